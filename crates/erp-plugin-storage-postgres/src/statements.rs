//! The SQL of one entity, built once and kept in [`Entity::prepared`].
//!
//! Connections keep the prepared statements, found by the text: so the texts that matter are built here and not per
//! call. Names of tables and columns come from the schema alone, whose types admit nothing but `[a-z0-9_]`, and are
//! quoted all the same, because a field may be called `order`. Values are bound.
//!
//! A statement that writes says itself that what it refers to must be there, so that checking costs no round trip.
//! Where a table that is referred to was never made, such a statement cannot be prepared; for that there is a second
//! text, and the references are checked one by one.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use erp_plugin_model::schema::{FieldType, SystemField};
use erp_plugin_model::{EntitySchema, FieldName};
use erp_plugin_storage::Entity;
use erp_plugin_storage::layout::{FieldSet, folded_column, index_of};
use tokio_postgres::types::Type;

use crate::columns::ColumnType;
use crate::connection::quote;
use crate::error::{Error, Result};

/// The column of the first field, in every select.
pub(crate) const FIRST_COLUMN: usize = 6;
/// The parameter of the first field, in an insert and in an update.
const FIRST_INSERTED: usize = 5;
const FIRST_UPDATED: usize = 6;
/// The update shapes of one entity that are kept; a plugin uses a handful.
const UPDATES_KEPT: usize = 64;

/// The one live record of this tenant with this id.
const LIVE: &str = "tenant_id = $1 AND id = $2 AND deleted_at IS NULL";

/// A statement's text, and the types of its parameters: what stands in a list of values has none by itself.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub(crate) sql: String,
    pub(crate) types: Vec<Type>,
}

/// A statement in two texts.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Holds its references to records that live.
    pub(crate) checked: Text,
    /// Leaves that to the caller.
    pub(crate) unchecked: Text,
}

/// An entity's SQL.
pub(crate) struct Statements {
    /// The table's name, quoted.
    pub(crate) table: String,
    /// What a select lists: the system's columns, then the fields' in the schema's order.
    pub(crate) columns: String,
    /// The types of the fields' columns.
    pub(crate) types: Box<[ColumnType]>,
    /// Tenant, id, time, author, fields, folds.
    pub(crate) insert: Written,
    /// Tenant, time, author, ids, fields, folds: of the latter an array each. Gives the ids that were inserted.
    pub(crate) insert_many: Written,
    /// Tenant, id.
    pub(crate) get: String,
    /// Tenant, id.
    pub(crate) version: String,
    /// Tenant, ids: id and version of each that lives.
    pub(crate) versions: String,
    /// Tenant, id, version: the document.
    pub(crate) document: String,
    /// Tenant, id.
    pub(crate) exists: String,
    /// Tenant, id, time, author.
    pub(crate) delete: String,
    /// Tenant, id, time, author.
    pub(crate) restore: Written,
    /// Tenant, time, limit.
    pub(crate) purge: String,
    /// The fields that refer to records.
    pub(crate) references: Vec<Reference>,
    /// The fields whose values are unique.
    pub(crate) uniques: Vec<Unique>,
    /// The positions of those whose text is also kept folded.
    pub(crate) searchable: Vec<usize>,
    /// By their fields, and by whether they give what they replace, too.
    updates: Mutex<HashMap<(FieldSet, bool), Arc<Update>>>,
}

/// A field that refers to a record.
pub(crate) struct Reference {
    pub(crate) field: FieldName,
    pub(crate) position: usize,
    /// Its column, unquoted.
    column: String,
    /// The table referred to: its bare name, and quoted.
    pub(crate) name: String,
    table: String,
    /// Whether a live record is there: tenant, id.
    pub(crate) exists: String,
}

/// A field of which no two live records of a tenant have the same value.
pub(crate) struct Unique {
    pub(crate) field: FieldName,
    pub(crate) position: usize,
    /// The name of its index.
    pub(crate) index: String,
    /// Whether a live record has a value: tenant, value.
    pub(crate) taken: Text,
}

/// The update of a set of fields.
pub(crate) struct Update {
    /// The fields, in the order of their parameters, and of these the searchable ones.
    pub(crate) positions: Vec<usize>,
    pub(crate) folded: Vec<usize>,
    /// Whether it gives what was in the fields before, behind the new record.
    pub(crate) gives_replaced: bool,
    /// Whether one of them is unique, so that the statement can fail.
    pub(crate) may_clash: bool,
    /// Tenant, id, expected version, time, author, fields, folds.
    pub(crate) one: Written,
    /// Tenant, time, author, ids, expected versions, fields, folds: of the latter four an array each.
    pub(crate) many: Written,
}

/// The statements of an entity, built now if this is the first call.
pub(crate) fn of(entity: &Entity) -> Result<&Statements> {
    entity.prepared(Statements::new).ok_or_else(|| Error::Misuse("an entity that serves another storage"))
}

/// The name of an entity's table, in full and quoted.
pub(crate) fn table(name: &str) -> String {
    format!("erp_plugin.{}", quote(name))
}

impl Statements {
    fn new(schema: &EntitySchema) -> Self {
        let (name, table) = (schema.name.table(), table(&schema.name.table()));
        let fields = field_columns(schema);
        let columns = SystemField::ALL
            .iter()
            .map(|field| field.as_str().to_owned())
            .chain(fields.iter().cloned())
            .collect::<Vec<_>>()
            .join(", ");
        let references = references(schema);
        let uniques = schema.fields().iter().enumerate().filter(|(_, field)| field.unique);
        let uniques = uniques
            .map(|(position, field)| Unique {
                field: field.name.clone(),
                position,
                index: index_of(&name, field).map(|index| index.name).unwrap_or_default(),
                taken: Text {
                    sql: format!(
                        "SELECT 1 FROM {table} WHERE tenant_id = $1 AND {} = $2 AND deleted_at IS NULL",
                        quote(field.column())
                    ),
                    types: vec![Type::TEXT, ColumnType::of(&field.field_type).parameter()],
                },
            })
            .collect();
        let types: Box<[ColumnType]> = if schema.is_dynamic() {
            Box::from([ColumnType::Json])
        } else {
            schema.fields().iter().map(|field| ColumnType::of(&field.field_type)).collect()
        };
        let mut statements = Self {
            insert: Written::default(),
            insert_many: Written::default(),
            get: format!("SELECT {columns} FROM {table} WHERE {LIVE}"),
            version: format!("SELECT version FROM {table} WHERE {LIVE}"),
            versions: format!(
                "SELECT id, version FROM {table} WHERE tenant_id = $1 AND id = ANY($2) AND deleted_at IS NULL"
            ),
            document: format!("SELECT data FROM {table} WHERE {LIVE} AND version = $3"),
            exists: format!("SELECT 1 FROM {table} WHERE tenant_id = $1 AND id = $2"),
            delete: format!(
                "UPDATE {table} SET deleted_at = $3, deleted_by = $4 WHERE {LIVE} RETURNING version"
            ),
            restore: Written::default(),
            purge: format!(
                "DELETE FROM {table} WHERE tenant_id = $1 AND id IN (
                     SELECT id FROM {table} WHERE tenant_id = $1 AND deleted_at < $2
                     ORDER BY deleted_at, id LIMIT $3
                 )"
            ),
            searchable: searchable(schema),
            updates: Mutex::default(),
            references,
            uniques,
            types,
            columns,
            table,
        };
        statements.insert = statements.write_insert(schema);
        statements.insert_many = statements.write_insert_many(schema);
        statements.restore = statements.write_restore();
        statements
    }

    /// The reference at this position of the schema.
    pub(crate) fn reference(&self, position: usize) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.position == position)
    }

    fn write_insert(&self, schema: &EntitySchema) -> Written {
        let folds = FIRST_INSERTED + self.types.len();
        let values: Vec<String> = (FIRST_INSERTED..folds + self.searchable.len())
            .map(|parameter| format!("${parameter}"))
            .collect();
        let text = format!(
            "INSERT INTO {} ({}) SELECT $1, $2, 1, $3, $4, $3, $4, {}",
            self.table,
            inserted_columns(schema),
            values.join(", ")
        );
        let conditions = self
            .references
            .iter()
            .map(|reference| reference.condition(&format!("${}", FIRST_INSERTED + reference.position)));
        let mut types = vec![Type::TEXT, Type::UUID, Type::TIMESTAMPTZ, Type::TEXT];
        types.extend(self.types.iter().map(|column| column.parameter()));
        types.extend(self.searchable.iter().map(|_| Type::TEXT));
        written(&text, " WHERE ", conditions, " ON CONFLICT DO NOTHING", types)
    }

    fn write_insert_many(&self, schema: &EntitySchema) -> Written {
        let (mut values, mut names, mut arrays) = (String::new(), String::new(), String::new());
        let mut types = vec![Type::TEXT, Type::TIMESTAMPTZ, Type::TEXT, Type::UUID_ARRAY];
        let folds = self.searchable.iter().map(|_| ColumnType::Text);
        for (index, column) in self.types.iter().copied().chain(folds).enumerate() {
            let _ = write!(values, ", r.v{index}");
            let _ = write!(names, ", v{index}");
            let _ = write!(arrays, ", ${}", FIRST_INSERTED + index);
            types.push(column.array());
        }
        let text = format!(
            "INSERT INTO {} ({}) SELECT $1, r.id, 1, $2, $3, $2, $3{values}
             FROM unnest($4{arrays}) WITH ORDINALITY AS r(id{names}, n)",
            self.table,
            inserted_columns(schema),
        );
        let conditions = self
            .references
            .iter()
            .map(|reference| reference.condition(&format!("r.v{}", reference.position)));
        // In their order: of two with one unique value the first is kept.
        written(&text, " WHERE ", conditions, " ORDER BY r.n ON CONFLICT DO NOTHING RETURNING id", types)
    }

    fn write_restore(&self) -> Written {
        let Self { table, columns, .. } = self;
        let text = format!(
            "UPDATE {table} AS t SET deleted_at = NULL, deleted_by = NULL, version = version + 1, updated_at = $3,
             updated_by = $4 WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NOT NULL"
        );
        let conditions = self.references.iter().map(|reference| {
            let value = format!("t.{}", quote(&reference.column));
            let condition = reference.condition(&value);
            // One to itself lives with it.
            if reference.table == *table { format!("({value} = t.id OR {condition})") } else { condition }
        });
        let types = vec![Type::TEXT, Type::UUID, Type::TIMESTAMPTZ, Type::TEXT];
        written(&text, " AND ", conditions, &format!(" RETURNING {columns}"), types)
    }

    /// The update of a dynamic entity's document: tenant, id, expected version, time, author, document.
    pub(crate) fn update_document(&self) -> String {
        let Self { table, columns, .. } = self;
        format!(
            "UPDATE {table} SET version = version + 1, updated_at = $4, updated_by = $5, data = $6
             WHERE {LIVE} AND version = $3 RETURNING {columns}"
        )
    }

    /// The update of these fields, which gives what it replaces too, if that is wanted.
    pub(crate) fn update(&self, schema: &EntitySchema, fields: FieldSet, replaced: bool) -> Arc<Update> {
        let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(update) = updates.get(&(fields, replaced)) {
            return Arc::clone(update);
        }
        let update = Arc::new(self.write_update(schema, fields, replaced));
        if updates.len() < UPDATES_KEPT {
            updates.insert((fields, replaced), Arc::clone(&update));
        }
        update
    }

    /// What an update replaces is read by the same statement, of the row as its snapshot has it, and the update goes to
    /// that very place in the table (`ctid`): so it is searched for once. A row that somebody else changed meanwhile fails
    /// to serialize, so it needs no lock.
    fn write_update(&self, schema: &EntitySchema, fields: FieldSet, replaced: bool) -> Update {
        let changed = |(position, _): &(usize, _)| fields.contains(*position);
        let set: Vec<_> = schema.fields().iter().enumerate().filter(changed).collect();
        let folded: Vec<usize> =
            self.searchable.iter().copied().filter(|position| fields.contains(*position)).collect();
        let columns = set.iter().map(|(_, field)| quote(field.column()));
        let folds = set.iter().filter(|(_, field)| field.searchable);
        let columns: Vec<String> =
            columns.chain(folds.map(|(_, field)| quote(&folded_column(field)))).collect();
        let column_types: Vec<ColumnType> = set
            .iter()
            .map(|(_, field)| ColumnType::of(&field.field_type))
            .chain(folded.iter().map(|_| ColumnType::Text))
            .collect();
        let conditions = |value: &dyn Fn(usize) -> String| -> Vec<String> {
            set.iter()
                .enumerate()
                .filter_map(|(index, (position, _))| {
                    Some(self.reference(*position)?.condition(&value(index)))
                })
                .collect()
        };

        let mut one = self.updated("", ", updated_at = $4, updated_by = $5", &columns, |index| {
            format!("${}", FIRST_UPDATED + index)
        });
        let table = &self.table;
        let (mut read, mut shown) = (String::new(), String::new());
        if replaced {
            for (index, (_, field)) in set.iter().enumerate() {
                let _ = write!(read, ", {} AS p__b{index}", quote(field.column()));
                let _ = write!(shown, ", p__b{index}");
            }
        }
        if !read.is_empty() {
            let _ = write!(
                one,
                " FROM (SELECT ctid AS p__at{read} FROM {table} WHERE {LIVE} AND version = $3 OFFSET 0) AS b"
            );
        }
        let _ = write!(one, " WHERE {LIVE} AND version = $3");
        if !read.is_empty() {
            let _ = write!(one, " AND {table}.ctid = b.p__at");
        }
        let mut types = vec![Type::TEXT, Type::UUID, Type::INT8, Type::TIMESTAMPTZ, Type::TEXT];
        types.extend(column_types.iter().map(|column| column.parameter()));
        let returning = format!(" RETURNING {}{shown}", self.columns);
        let of_parameter = conditions(&|index| format!("${}", FIRST_UPDATED + index));
        let one = written(&one, " AND ", of_parameter.into_iter(), &returning, types);

        let mut many = self.updated(" AS t", ", updated_at = $2, updated_by = $3", &columns, |index| {
            format!("r.p__v{index}")
        });
        let (mut names, mut arrays) = (String::new(), String::new());
        let mut types = vec![Type::TEXT, Type::TIMESTAMPTZ, Type::TEXT, Type::UUID_ARRAY, Type::INT8_ARRAY];
        for (index, column) in column_types.iter().enumerate() {
            let _ = write!(names, ", p__v{index}");
            let _ = write!(arrays, ", ${}", FIRST_UPDATED + index);
            types.push(column.array());
        }
        let given = format!("unnest($4, $5{arrays})");
        if read.is_empty() {
            let _ = write!(many, " FROM {given} AS r(p__id, p__expected{names})");
        } else {
            // OFFSET keeps the planner from joining the table with itself first: until it has statistics it takes it that a
            // tenant has one record or two.
            let _ = write!(
                many,
                " FROM (SELECT u.*, x.ctid AS p__at{read} FROM {given} AS u(p__id, p__expected{names}) JOIN {table} AS x
                 ON x.tenant_id = $1 AND x.id = u.p__id AND x.version = u.p__expected AND x.deleted_at IS NULL
                 OFFSET 0) AS r"
            );
        }
        let _ = write!(
            many,
            " WHERE t.tenant_id = $1 AND t.id = r.p__id AND t.version = r.p__expected AND t.deleted_at IS NULL"
        );
        if !read.is_empty() {
            many.push_str(" AND t.ctid = r.p__at");
        }
        // No column of a field has two underscores.
        let of_row = conditions(&|index| format!("r.p__v{index}"));
        Update {
            gives_replaced: replaced,
            may_clash: set.iter().any(|(_, field)| field.unique),
            positions: set.iter().map(|(position, _)| *position).collect(),
            one,
            many: written(&many, " AND ", of_row.into_iter(), &returning, types),
            folded,
        }
    }

    fn updated(
        &self,
        alias: &str,
        stamp: &str,
        columns: &[String],
        value: impl Fn(usize) -> String,
    ) -> String {
        let mut sql = format!("UPDATE {}{alias} SET version = version + 1{stamp}", self.table);
        for (index, column) in columns.iter().enumerate() {
            let _ = write!(sql, ", {column} = {}", value(index));
        }
        sql
    }
}

impl Reference {
    /// Whether it is to records of the entity that has it.
    pub(crate) fn is_own(&self, statements: &Statements) -> bool {
        self.table == statements.table
    }

    /// That this value is absent or names a live record of the tenant.
    fn condition(&self, value: &str) -> String {
        format!(
            "({value} IS NULL OR EXISTS (
                 SELECT 1 FROM {} AS o WHERE o.tenant_id = $1 AND o.id = {value} AND o.deleted_at IS NULL
             ))",
            self.table
        )
    }
}

fn written(
    text: &str,
    before: &str,
    conditions: impl Iterator<Item = String>,
    after: &str,
    types: Vec<Type>,
) -> Written {
    let mut checked = text.to_owned();
    let mut joiner = before;
    for condition in conditions {
        checked.push_str(joiner);
        checked.push_str(&condition);
        joiner = " AND ";
    }
    checked.push_str(after);
    Written {
        checked: Text { sql: checked, types: types.clone() },
        unchecked: Text { sql: format!("{text}{after}"), types },
    }
}

/// The columns of the fields, or of the document, quoted.
fn field_columns(schema: &EntitySchema) -> Vec<String> {
    if schema.is_dynamic() {
        vec!["data".to_owned()]
    } else {
        schema.fields().iter().map(|field| quote(field.column())).collect()
    }
}

fn searchable(schema: &EntitySchema) -> Vec<usize> {
    schema.fields().iter().enumerate().filter_map(|(at, field)| field.searchable.then_some(at)).collect()
}

fn inserted_columns(schema: &EntitySchema) -> String {
    let mut columns = "tenant_id, id, version, created_at, created_by, updated_at, updated_by".to_owned();
    let folds = schema.fields().iter().filter(|field| field.searchable);
    for column in field_columns(schema).into_iter().chain(folds.map(|field| quote(&folded_column(field)))) {
        columns.push_str(", ");
        columns.push_str(&column);
    }
    columns
}

fn references(schema: &EntitySchema) -> Vec<Reference> {
    let fields = schema.fields().iter().enumerate();
    fields
        .filter_map(|(position, field)| match &field.field_type {
            FieldType::Reference { target, .. } => {
                let (name, table) = (target.table(), table(&target.table()));
                Some(Reference {
                    field: field.name.clone(),
                    position,
                    column: field.column().to_owned(),
                    exists: format!("SELECT 1 FROM {table} WHERE {LIVE}"),
                    name,
                    table,
                })
            }
            _ => None,
        })
        .collect()
}
