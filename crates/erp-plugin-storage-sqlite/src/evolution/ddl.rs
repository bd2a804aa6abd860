//! The statements of steps.

use std::fmt::Write;

use erp_plugin_model::evolution::{Action, Archived, Step};
use erp_plugin_model::{EntitySchema, Field, Value};
use erp_plugin_storage::layout::{folded_column, required_constraint};
use erp_plugin_storage::moves::{DOCUMENT, added_columns, filled_columns, source_column};

use crate::columns::ColumnType;
use crate::schema::{self, Index, create_index, indexes_of};
use crate::statements::quote;

/// What a step does to its table beside indexes, moved records and what is put aside. More than one statement, or none.
pub(super) fn plain(step: &Step) -> String {
    let table = quote(&step.entity.table());
    match (&step.action, step.fields(), &step.after) {
        (Action::AddField(_), (_, Some(field)), _) => {
            let column_type = ColumnType::of(&field.field_type).sql();
            let default = default(&field.default);
            format!("ALTER TABLE {table} ADD COLUMN {} {column_type}{default};", quote(field.column()))
        }
        (Action::Require(_), (_, Some(field)), _) => {
            format!("ALTER TABLE {table} ADD {};", schema::required(field))
        }
        (Action::Release(_), (Some(field), _), _) => drop_required(&step.entity.table(), field),
        (Action::DropSearch(_), (Some(field), _), _) => {
            let name = step.entity.table();
            let mut sql = drop_indexes(&folds_of(&name, field));
            sql.push_str(&drop_column(&name, &folded_column(field)));
            sql
        }
        (Action::Declare, _, Some(after)) => {
            let required = after.fields().iter().filter(|field| field.required);
            required.map(|field| format!("ALTER TABLE {table} ADD {};", schema::required(field))).collect()
        }
        _ => String::new(),
    }
}

fn drop_required(table: &str, field: &Field) -> String {
    if !field.required {
        return String::new();
    }
    format!("ALTER TABLE {} DROP CONSTRAINT {};", quote(table), quote(&required_constraint(field)))
}

/// Drops the indexes that only the step's beginning has, and makes those that only its end has.
pub(super) fn indexes(step: &Step) -> String {
    let table = step.entity.table();
    let of = |schema: &Option<EntitySchema>| -> Vec<Index> {
        let fields = schema.iter().flat_map(EntitySchema::fields);
        fields.flat_map(|field| indexes_of(&table, field).collect::<Vec<_>>()).collect()
    };
    let (before, after) = (of(&step.before), of(&step.after));
    let gone: Vec<Index> = before.into_iter().filter(|index| !after.contains(index)).collect();
    let old = drop_indexes(&gone);
    let kept: Vec<Index> = of(&step.before);
    let new = after.into_iter().filter(|index| !kept.contains(index));
    new.fold(old, |mut sql, index| {
        let _ = write!(sql, "{};", create_index(&table, &index));
        sql
    })
}

fn folds_of(table: &str, field: &Field) -> Vec<Index> {
    let folded = folded_column(field);
    indexes_of(table, field).filter(|index| index.column == folded).collect()
}

fn drop_indexes(indexes: &[Index]) -> String {
    indexes.iter().map(|index| format!("DROP INDEX IF EXISTS {};", quote(&index.name))).collect()
}

/// Adds the columns that are to be filled, and notes from now on which records are written.
pub(super) fn begin_move(step: &Step) -> String {
    let (name, table) = (step.entity.table(), quote(&step.entity.table()));
    let mut sql = String::new();
    for (column, field_type) in added_columns(step) {
        let column_type = ColumnType::of(&field_type).sql();
        let _ = write!(sql, "ALTER TABLE {table} ADD COLUMN {} {column_type};", quote(&column));
    }
    if let (false, Some((source, _))) = (matches!(step.action, Action::Fill(_)), source_column(step)) {
        let [inserted, updated] = triggers(&name).map(|trigger| quote(&trigger));
        let note = format!(
            "INSERT OR IGNORE INTO schema_notes (table_name, tenant_id, id) VALUES ('{name}', NEW.tenant_id, NEW.id)"
        );
        let _ = write!(
            sql,
            "CREATE TRIGGER {inserted} AFTER INSERT ON {table} BEGIN {note}; END;
                 CREATE TRIGGER {updated} AFTER UPDATE OF {} ON {table} BEGIN {note}; END;",
            quote(&source)
        );
    }
    sql
}

fn triggers(table: &str) -> [String; 2] {
    [format!("{table}__inserted"), format!("{table}__updated")]
}

pub(super) fn drop_triggers(table: &str) -> String {
    triggers(table).map(|trigger| format!("DROP TRIGGER IF EXISTS {};", quote(&trigger))).concat()
}

pub(super) fn drop_column(table: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {};", quote(table), quote(column))
}

pub(super) fn rename_column(table: &str, from: &str, to: &str) -> String {
    format!("ALTER TABLE {} RENAME COLUMN {} TO {};", quote(table), quote(from), quote(to))
}

/// Puts a field aside: its values under another name, without indexes and without being asked for.
pub(super) fn archive_column(table: &str, field: &Field, kept_as: &str) -> String {
    let mut sql = drop_indexes(&indexes_of(table, field).collect::<Vec<_>>());
    sql.push_str(&drop_required(table, field));
    if field.searchable {
        sql.push_str(&drop_column(table, &folded_column(field)));
    }
    sql.push_str(&rename_column(table, field.column(), kept_as));
    sql
}

pub(super) fn archive_document(table: &str, kept_as: &str) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN \"data\" DROP NOT NULL;{}",
        quote(table),
        rename_column(table, DOCUMENT, kept_as)
    )
}

/// Puts a table aside. Its indexes go: their names belong to the table that may come after it.
pub(super) fn archive_table(step: &Step, kept_as: &str) -> String {
    let table = step.entity.table();
    let fields = step.before.iter().flat_map(EntitySchema::fields);
    let indexes: Vec<Index> =
        fields.flat_map(|field| indexes_of(&table, field).collect::<Vec<_>>()).collect();
    format!(
        "{}DROP INDEX IF EXISTS {};ALTER TABLE {} RENAME TO {};",
        drop_indexes(&indexes),
        quote(&schema::deleted_index(&table)),
        quote(&table),
        quote(kept_as)
    )
}

/// Brings back a table that was put aside.
pub(super) fn revive_table(after: &EntitySchema, kept_as: &str) -> String {
    format!(
        "ALTER TABLE {} RENAME TO {};{}",
        quote(kept_as),
        quote(&after.name.table()),
        schema::create_indexes(after)
    )
}

pub(super) fn purge(archived: &Archived) -> String {
    let table = &archived.table;
    if archived.is_entity() {
        return format!("DROP TABLE {};", quote(&archived.kept_as));
    }
    // A document's length is held by a constraint that would name a column that is not there.
    let document = if archived.definition.is_dynamic() {
        format!("ALTER TABLE {} DROP CONSTRAINT {};", quote(table), quote(schema::DOCUMENT_BYTES))
    } else {
        String::new()
    };
    document + &drop_column(table, &archived.kept_as)
}

/// A default, for the records that are there and those of an older host. Nothing for none.
fn default(value: &Value) -> String {
    let literal = match value {
        Value::Null | Value::Number(_) => return String::new(),
        Value::Text(text) | Value::Json(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Integer(number) | Value::Decimal(number) => number.to_string(),
        Value::Boolean(truth) => i64::from(*truth).to_string(),
        Value::Date(date) => format!("'{}'", date.format("%Y-%m-%d")),
        Value::DateTime(time) => time.timestamp_micros().to_string(),
        Value::Uuid(id) => format!("x'{}'", id.simple()),
    };
    format!(" DEFAULT {literal}")
}

/// The statements of a step, for people.
pub(super) fn shown(step: &Step) -> Vec<String> {
    let table = step.entity.table();
    let mut sql = match (&step.action, step.fields(), &step.after) {
        (Action::CreateEntity, _, Some(after)) => schema::ddl(after),
        (Action::ArchiveEntity, _, _) => archive_table(step, &format!("{table}__old1")),
        (Action::ReviveEntity { table }, _, Some(after)) => revive_table(after, table),
        (Action::ArchiveField(name), (Some(field), _), _) => {
            archive_column(&table, field, &format!("{name}__old1"))
        }
        (Action::ReviveField { column, .. }, (_, Some(field)), _) => {
            rename_column(&table, column, field.column())
        }
        _ => String::new(),
    };
    if step.moves_records() {
        sql.push_str(&begin_move(step));
        let columns: Vec<String> =
            filled_columns(step).iter().map(|(column, _)| format!("{} = ?", quote(column))).collect();
        let _ = write!(
            sql,
            "UPDATE {} SET {} WHERE tenant_id = ? AND id = ?;",
            quote(&table),
            columns.join(", ")
        );
        sql.push_str(&drop_triggers(&table));
        match (&step.action, step.fields()) {
            (Action::Convert(name), (Some(field), _)) => {
                sql.push_str(&archive_column(&table, field, &format!("{name}__old1")));
            }
            (Action::Declare, _) => sql.push_str(&archive_document(&table, "data__old1")),
            _ => {}
        }
    }
    if step.before.is_some() && step.after.is_some() {
        sql.push_str(&plain(step));
        sql.push_str(&indexes(step));
    }
    split(&sql)
}

/// Statements one by one. A trigger's body ends in `END`.
fn split(sql: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let mut open = String::new();
    for part in sql.split_inclusive(';') {
        open.push_str(part);
        let is_whole = !open.trim_start().starts_with("CREATE TRIGGER") || open.trim_end().ends_with("END;");
        if is_whole {
            let text = open.split_whitespace().collect::<Vec<_>>().join(" ");
            statements.push(text.trim_end_matches(';').to_owned());
            open.clear();
        }
    }
    statements.retain(|statement| !statement.is_empty());
    statements
}
