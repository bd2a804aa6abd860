//! The SQL of one entity, built once and kept in [`Entity::prepared`].
//!
//! Connections keep the compiled statements, found by the text: so the texts that matter are built here and not per
//! call. Names of tables and columns come from the schema alone, whose types admit nothing but `[a-z0-9_]`, and are
//! quoted all the same, because a field may be called `order`. Values are bound.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use erp_plugin_model::schema::{FieldType, SystemField};
use erp_plugin_model::{EntitySchema, FieldName, Value, fold};
use erp_plugin_storage::Entity;
use erp_plugin_storage::layout::{FieldSet, folded_column};
use rusqlite::Statement;
use rusqlite::types::Null;

use crate::columns::{self, ColumnType};
use crate::error::{Error, Result};

/// The parameter that takes the first field's value, in an insert and in an update.
pub(crate) const FIRST_FIELD: usize = 6;
/// The column of the first field, in every select.
pub(crate) const FIRST_COLUMN: usize = 6;
/// The update shapes of one entity that are kept; a plugin uses a handful.
const UPDATES_KEPT: usize = 64;

/// An entity's SQL.
pub(crate) struct Statements {
    /// The table's name, quoted.
    pub(crate) table: String,
    /// What a select lists: the system's columns, then the fields' in the schema's order.
    pub(crate) columns: String,
    /// The types of the fields' columns; apart from the schema, whose fields are large, because every value read asks.
    pub(crate) types: Box<[ColumnType]>,
    /// Tenant, id, time, author, nothing, fields, folds.
    pub(crate) insert: String,
    /// Tenant, id.
    pub(crate) get: String,
    /// Tenant, id.
    pub(crate) version: String,
    /// Tenant, id, time, author.
    pub(crate) delete: String,
    /// What a deleted record refers to, in the order of [`references`](Self::references): tenant, id.
    pub(crate) deleted: String,
    /// Tenant, id, nothing, time, author.
    pub(crate) restore: String,
    /// Tenant, deleted before, at most so many.
    pub(crate) purge: String,
    /// The fields that refer to records.
    pub(crate) references: Vec<Reference>,
    /// The searchable fields, whose folds are stored beside them.
    pub(crate) folds: Vec<Fold>,
    updates: Mutex<HashMap<FieldSet, Arc<str>>>,
}

/// A field that refers to a record.
pub(crate) struct Reference {
    /// The field.
    pub(crate) field: FieldName,
    /// Its position in the schema.
    pub(crate) position: usize,
    /// Its column, unquoted.
    column: String,
    /// The table referred to, unquoted.
    pub(crate) table: String,
    /// Whether a live record is there: tenant, id.
    pub(crate) exists: String,
}

/// A searchable field.
pub(crate) struct Fold {
    /// Its position in the schema.
    pub(crate) position: usize,
    /// The parameter that takes the fold, in an insert and in an update.
    pub(crate) parameter: usize,
    /// The column of the folds, quoted.
    column: String,
}

/// The statements of an entity, built now if this is the first call.
pub(crate) fn of(entity: &Entity) -> Result<&Statements> {
    entity.prepared(Statements::new).ok_or_else(|| Error::Misuse("an entity that serves another storage"))
}

/// An identifier, quoted.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Statements {
    fn new(schema: &EntitySchema) -> Self {
        let table = quote(&schema.name.table());
        let fields: Vec<String> = if schema.is_dynamic() {
            vec![quote("data")]
        } else {
            schema.fields().iter().map(|field| quote(field.column())).collect()
        };
        let columns = SystemField::ALL
            .iter()
            .map(|field| field.as_str().to_owned())
            .chain(fields.iter().cloned())
            .collect::<Vec<_>>()
            .join(", ");
        let folds: Vec<Fold> = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| field.searchable)
            .zip(FIRST_FIELD + fields.len()..)
            .map(|((position, field), parameter)| Fold {
                position,
                parameter,
                column: quote(&folded_column(field)),
            })
            .collect();
        let mut insert = format!(
            "INSERT INTO {table} (tenant_id, id, version, created_at, created_by, updated_at, updated_by"
        );
        for column in fields.iter().chain(folds.iter().map(|fold| &fold.column)) {
            let _ = write!(insert, ", {column}");
        }
        insert.push_str(") VALUES (?1, ?2, 1, ?3, ?4, ?3, ?4");
        for parameter in FIRST_FIELD..FIRST_FIELD + fields.len() + folds.len() {
            let _ = write!(insert, ", ?{parameter}");
        }
        insert.push(')');
        let references: Vec<Reference> = schema
            .fields()
            .iter()
            .enumerate()
            .filter_map(|(position, field)| match &field.field_type {
                FieldType::Reference { target, .. } => Some(Reference {
                    field: field.name.clone(),
                    position,
                    column: field.column().to_owned(),
                    table: target.table(),
                    exists: format!("SELECT 1 FROM {} WHERE {LIVE}", quote(&target.table())),
                }),
                _ => None,
            })
            .collect();
        let types = if schema.is_dynamic() {
            Box::from([ColumnType::Json])
        } else {
            schema.fields().iter().map(|field| ColumnType::of(&field.field_type)).collect()
        };
        let mut referring = "1".to_owned();
        for reference in &references {
            let _ = write!(referring, ", {}", quote(&reference.column));
        }
        Self {
            deleted: format!("SELECT {referring} FROM {table} WHERE {DELETED}"),
            restore: format!(
                "UPDATE {table} SET deleted_at = NULL, deleted_by = NULL, version = version + 1, \
                 updated_at = ?4, updated_by = ?5 WHERE {DELETED} RETURNING {columns}"
            ),
            purge: format!(
                "DELETE FROM {table} WHERE tenant_id = ?1 AND id IN (SELECT id FROM {table} WHERE tenant_id = ?1 \
                 AND deleted_at IS NOT NULL AND deleted_at < ?2 ORDER BY deleted_at, id LIMIT ?3)"
            ),
            insert,
            types,
            get: format!("SELECT {columns} FROM {table} WHERE {LIVE}"),
            version: format!("SELECT version FROM {table} WHERE {LIVE}"),
            delete: format!(
                "UPDATE {table} SET deleted_at = ?3, deleted_by = ?4 WHERE {LIVE} RETURNING version"
            ),
            references,
            folds,
            updates: Mutex::default(),
            columns,
            table,
        }
    }

    /// Binds a field's value, and the fold of a searchable one.
    pub(crate) fn bind_field(
        &self,
        statement: &mut Statement<'_>,
        position: usize,
        value: &Value,
    ) -> Result<()> {
        columns::bind(statement, FIRST_FIELD + position, value)?;
        if let Some(fold) = self.folds.iter().find(|fold| fold.position == position) {
            match value {
                Value::Text(text) => statement.raw_bind_parameter(fold.parameter, fold::fold(text))?,
                Value::Null => statement.raw_bind_parameter(fold.parameter, Null)?,
                _ => return Err(Error::Misuse("a searchable field's value that is no text")),
            }
        }
        Ok(())
    }

    /// The reference at this position of the schema.
    pub(crate) fn reference(&self, position: usize) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.position == position)
    }

    /// The update of these fields: tenant, id, expected version, time, author, then the field at position `n` as
    /// parameter `FIRST_FIELD + n`, and the folds as theirs.
    pub(crate) fn update(&self, schema: &EntitySchema, fields: FieldSet) -> Arc<str> {
        let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sql) = updates.get(&fields) {
            return Arc::clone(sql);
        }
        let mut assignments = String::new();
        for (position, field) in schema.fields().iter().enumerate() {
            if fields.contains(position) {
                let _ = write!(assignments, ", {} = ?{}", quote(field.column()), FIRST_FIELD + position);
            }
        }
        for fold in self.folds.iter().filter(|fold| fields.contains(fold.position)) {
            let _ = write!(assignments, ", {} = ?{}", fold.column, fold.parameter);
        }
        let sql: Arc<str> = self.update_with(&assignments).into();
        if updates.len() < UPDATES_KEPT {
            updates.insert(fields, Arc::clone(&sql));
        }
        sql
    }

    /// The update with these assignments, each with a comma before it.
    pub(crate) fn update_with(&self, assignments: &str) -> String {
        let Self { table, columns, .. } = self;
        format!(
            "UPDATE {table} SET version = version + 1, updated_at = ?4, updated_by = ?5{assignments} \
             WHERE {LIVE} AND version = ?3 RETURNING {columns}"
        )
    }
}

/// The one live record of this tenant with this id.
const LIVE: &str = "tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL";
/// The one deleted record of this tenant with this id.
const DELETED: &str = "tenant_id = ?1 AND id = ?2 AND deleted_at IS NOT NULL";
