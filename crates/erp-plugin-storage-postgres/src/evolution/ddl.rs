//! The statements of steps.

use std::fmt::Write;

use erp_plugin_model::evolution::{Action, Archived, Step};
use erp_plugin_model::{EntitySchema, Field, Value};
use erp_plugin_storage::layout::{folded_column, index_name, required_constraint};
use erp_plugin_storage::moves::{DOCUMENT, added_columns, filled_columns, source_column};

use crate::columns::ColumnType;
use crate::connection::{Roles, quote};
use crate::schema::{self, Index, indexes_of};
use crate::statements::table;

/// What is made before the step itself, in a transaction of its own, and can be made again.
pub(super) fn first(step: &Step) -> Option<String> {
    let name = step.entity.table();
    match (&step.action, step.fields()) {
        // Its index is built beside writers, so the column must be there before.
        (Action::AddField(_), (_, Some(field))) if !new_indexes(step).is_empty() => {
            Some(add_column(&name, field))
        }
        // Looked through beside writers, who keep to it from here on.
        (Action::Require(_), (_, Some(field))) => Some(format!(
            "{}ALTER TABLE {} ADD {} NOT VALID;",
            drop_required(&name, field),
            table(&name),
            schema::required(field)
        )),
        _ => None,
    }
}

/// Takes back what was made first for a step that turned out not to fit.
pub(super) fn undo_first(step: &Step) -> Option<String> {
    match (&step.action, step.fields()) {
        (Action::Require(_), (_, Some(field))) => Some(drop_required(&step.entity.table(), field)),
        _ => None,
    }
}

/// What a step does to its table beside indexes, moved records and what is put aside.
pub(super) fn plain(step: &Step) -> String {
    let name = step.entity.table();
    match (&step.action, step.fields(), &step.after) {
        // With an index it was made first.
        (Action::AddField(_), (_, Some(field)), _) if new_indexes(step).is_empty() => {
            add_column(&name, field)
        }
        (Action::Require(_), (_, Some(field)), _) => {
            let constraint = quote(&required_constraint(field));
            format!("ALTER TABLE {} VALIDATE CONSTRAINT {constraint};", table(&name))
        }
        (Action::Release(_), (Some(field), _), _) => drop_required(&name, field),
        (Action::DropSearch(_), (Some(field), _), _) => drop_column(&name, &folded_column(field)),
        (Action::Declare, _, Some(after)) => {
            let required = after.fields().iter().filter(|field| field.required);
            required
                .map(|field| format!("ALTER TABLE {} ADD {};", table(&name), schema::required(field)))
                .collect()
        }
        _ => String::new(),
    }
}

/// In the place of one that the ledger knows nothing of: somebody was stopped before its entry.
fn add_column(name: &str, field: &Field) -> String {
    let column_type = ColumnType::of(&field.field_type).ddl();
    let (own, column) = (table(name), quote(field.column()));
    format!(
        "ALTER TABLE {own} DROP COLUMN IF EXISTS {column};ALTER TABLE {own} ADD COLUMN {column} {column_type}{};",
        default(&field.default)
    )
}

fn drop_required(name: &str, field: &Field) -> String {
    format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};", table(name), quote(&required_constraint(field)))
}

fn indexes(name: &str, schema: Option<&EntitySchema>) -> Vec<Index> {
    schema.into_iter().flat_map(EntitySchema::fields).flat_map(|field| indexes_of(name, field)).collect()
}

/// The indexes that a table has after a step and not before.
pub(super) fn new_indexes(step: &Step) -> Vec<Index> {
    // A table that is new or comes back comes with its own.
    if step.before.is_none() || step.after.is_none() {
        return Vec::new();
    }
    let name = step.entity.table();
    let before = indexes(&name, step.before.as_ref());
    indexes(&name, step.after.as_ref()).into_iter().filter(|index| !before.contains(index)).collect()
}

pub(super) fn drop_old_indexes(step: &Step) -> String {
    let name = step.entity.table();
    let after = indexes(&name, step.after.as_ref());
    let old = indexes(&name, step.before.as_ref()).into_iter().filter(|index| !after.contains(index));
    drop_indexes(&old.collect::<Vec<_>>())
}

fn drop_indexes(indexes: &[Index]) -> String {
    indexes.iter().map(|index| format!("DROP INDEX IF EXISTS {};", table(&index.name))).collect()
}

/// The name of an index on one part of a table.
pub(super) fn part_index(index: &Index, number: i64) -> String {
    index_name(&index.name, &format!("p{number:02}"), "part")
}

/// Adds the columns that are to be filled, and notes from now on which records are written.
pub(super) fn begin_move(step: &Step) -> String {
    let name = step.entity.table();
    let own = table(&name);
    let mut sql = String::new();
    for (column, field_type) in added_columns(step) {
        let column_type = ColumnType::of(&field_type).ddl();
        let _ = write!(sql, "ALTER TABLE {own} ADD COLUMN {} {column_type};", quote(&column));
    }
    if let (false, Some((source, _))) = (matches!(step.action, Action::Fill(_)), source_column(step)) {
        let [inserted, updated] = triggers(&name).map(|trigger| quote(&trigger));
        let source = quote(&source);
        let note = format!("FOR EACH ROW EXECUTE FUNCTION erp_plugin.note_written('{name}')");
        let _ = write!(
            sql,
            "CREATE TRIGGER {inserted} AFTER INSERT ON {own} {note};
             CREATE TRIGGER {updated} AFTER UPDATE OF {source} ON {own} {note};"
        );
    }
    sql
}

fn triggers(name: &str) -> [String; 2] {
    [format!("{name}__in"), format!("{name}__up")]
}

pub(super) fn drop_triggers(name: &str) -> String {
    let drop = |trigger: String| format!("DROP TRIGGER IF EXISTS {} ON {};", quote(&trigger), table(name));
    triggers(name).map(drop).concat()
}

pub(super) fn drop_column(name: &str, column: &str) -> String {
    format!("ALTER TABLE {} DROP COLUMN {};", table(name), quote(column))
}

pub(super) fn rename_column(name: &str, from: &str, to: &str) -> String {
    format!("ALTER TABLE {} RENAME COLUMN {} TO {};", table(name), quote(from), quote(to))
}

/// Puts a field aside: its values under another name, without indexes and without being asked for.
pub(super) fn archive_column(name: &str, field: &Field, kept_as: &str) -> String {
    let mut sql = drop_indexes(&indexes_of(name, field));
    sql.push_str(&drop_required(name, field));
    if field.searchable {
        sql.push_str(&drop_column(name, &folded_column(field)));
    }
    sql.push_str(&rename_column(name, field.column(), kept_as));
    sql
}

pub(super) fn archive_document(name: &str, kept_as: &str) -> String {
    format!(
        "ALTER TABLE {} ALTER COLUMN {DOCUMENT} DROP NOT NULL;{}",
        table(name),
        rename_column(name, DOCUMENT, kept_as)
    )
}

/// Puts a table aside. Its indexes go: their names belong to the table that may come after it.
pub(super) fn archive_table(step: &Step, kept_as: &str, partitions: i64) -> String {
    let name = step.entity.table();
    let mut sql = format!(
        "{}DROP INDEX IF EXISTS {};ALTER TABLE {} RENAME TO {};",
        drop_indexes(&indexes(&name, step.before.as_ref())),
        table(&schema::deleted_index(&name)),
        table(&name),
        quote(kept_as)
    );
    for number in 0..partitions {
        let part = kept_part(kept_as, number);
        let _ =
            write!(sql, "ALTER TABLE {} RENAME TO {};", table(&schema::part(&name, number)), quote(&part));
    }
    sql
}

/// The name of one part of a table that was put aside.
fn kept_part(kept_as: &str, number: i64) -> String {
    index_name(kept_as, &format!("p{number:02}"), "part")
}

/// Brings back a table that was put aside.
pub(super) fn revive_table(after: &EntitySchema, kept_as: &str, partitions: i64) -> String {
    let name = after.name.table();
    let mut sql = format!("ALTER TABLE {} RENAME TO {};", table(kept_as), quote(&name));
    for number in 0..partitions {
        let (kept, own) = (kept_part(kept_as, number), schema::part(&name, number));
        let _ = write!(sql, "ALTER TABLE {} RENAME TO {};", table(&kept), quote(&own));
    }
    sql.push_str(&schema::create_indexes(after));
    sql
}

pub(super) fn purge(archived: &Archived) -> String {
    if archived.is_entity() {
        return format!("DROP TABLE {};", table(&archived.kept_as));
    }
    drop_column(&archived.table, &archived.kept_as)
}

/// A default, for the records that are there and those of an older host. Nothing for none.
fn default(value: &Value) -> String {
    let literal = match value {
        Value::Null | Value::Number(_) => return String::new(),
        Value::Text(text) | Value::Json(text) => text_literal(text),
        Value::Integer(number) | Value::Decimal(number) => format!("'{number}'"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Date(date) => format!("'{}'", date.format("%Y-%m-%d")),
        Value::DateTime(time) => format!("'{}'", time.format("%Y-%m-%dT%H:%M:%S%.6fZ")),
        Value::Uuid(id) => format!("'{id}'"),
    };
    format!(" DEFAULT {literal}")
}

/// A text in which neither a quote nor a backslash means anything, however the server is set.
fn text_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The statements of a step, for people.
pub(super) fn shown(step: &Step, roles: &Roles) -> Vec<String> {
    let name = step.entity.table();
    let mut sql = match (&step.action, step.fields(), &step.after) {
        (Action::CreateEntity, _, Some(after)) => schema::ddl(after, roles, 0),
        (Action::ArchiveEntity, _, _) => archive_table(step, &format!("{name}__old1"), 0),
        (Action::ReviveEntity { table }, _, Some(after)) => revive_table(after, table, 0),
        (Action::ArchiveField(field), (Some(own), _), _) => {
            archive_column(&name, own, &format!("{field}__old1"))
        }
        (Action::ReviveField { column, .. }, (_, Some(field)), _) => {
            rename_column(&name, column, field.column())
        }
        _ => first(step).unwrap_or_default(),
    };
    if step.moves_records() {
        sql.push_str(&begin_move(step));
        let columns: Vec<String> =
            filled_columns(step).iter().map(|(column, _)| format!("{} = ?", quote(column))).collect();
        let _ =
            write!(sql, "UPDATE {} SET {} WHERE tenant_id = ? AND id = ?;", table(&name), columns.join(", "));
    }
    for index in new_indexes(step) {
        let _ = write!(sql, "{};", index.create("CONCURRENTLY ", &index.name, &table(&name)));
    }
    if step.moves_records() {
        sql.push_str(&drop_triggers(&name));
        match (&step.action, step.fields()) {
            (Action::Convert(field), (Some(own), _)) => {
                sql.push_str(&archive_column(&name, own, &format!("{field}__old1")));
            }
            (Action::Declare, _) => sql.push_str(&archive_document(&name, "data__old1")),
            _ => {}
        }
    }
    if step.before.is_some() && step.after.is_some() {
        let plain = plain(step);
        if !sql.contains(&plain) {
            sql.push_str(&plain);
        }
        sql.push_str(&drop_old_indexes(step));
    }
    let statements = sql.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    statements.filter(|statement| !statement.is_empty()).collect()
}
