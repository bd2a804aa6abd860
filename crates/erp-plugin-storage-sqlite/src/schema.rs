//! [`SchemaAdmin`] and [`DynamicEntities`]: the tables of entities.
//!
//! A table is `STRICT, WITHOUT ROWID` with the primary key (tenant, id), so that a tenant's records lie together and
//! a record is found in one step. Every index begins with the tenant and holds live records only, but for the one of
//! those that were deleted, which finds what is to be purged. A required field is one of live records: who wrote a
//! record before the field became required may have deleted it. The ledger `entities` keeps the schema that each table
//! is at; two schemas with one layout share a table.

use std::fmt::Write;

use async_trait::async_trait;
use erp_plugin_model::schema::MAX_DOCUMENT_BYTES;
use erp_plugin_model::{EntityRef, EntitySchema, Field};
use erp_plugin_storage::layout::{folded_column, index_name, index_of, layout, required_constraint};
use erp_plugin_storage::{
    CreateDynamic, DynamicEntities, Entity, MAX_DYNAMIC_ENTITIES, SchemaAdmin, StorageResult,
};
use rusqlite::{Connection, OptionalExtension};

use crate::columns::ColumnType;
use crate::error::{Error, Result};
use crate::statements::quote;
use crate::statistics;
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};

/// The constraint that a document too long breaks.
pub(crate) const DOCUMENT_BYTES: &str = "document_bytes";

#[async_trait]
impl SchemaAdmin for SqlitePlatformTransaction {
    async fn create_entity(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        self.session.migrate("create entity", |connection| declare(connection, schema))
    }
}

#[async_trait]
impl DynamicEntities for SqliteTransaction {
    async fn create_dynamic(&mut self, entity: &Entity) -> StorageResult<CreateDynamic> {
        self.session.write_long("create dynamic entity", |connection| {
            let schema = entity.schema();
            if !schema.is_dynamic() {
                return Err(Error::Misuse("a declared entity made as a dynamic one"));
            }
            if !has_table(connection, &schema.name.table())? {
                let made: u32 = connection
                    .prepare_cached("SELECT count(*) FROM entities WHERE plugin = ?1 AND kind = 'dynamic'")?
                    .query_row([schema.name.plugin.as_str()], |row| row.get(0))?;
                if made >= MAX_DYNAMIC_ENTITIES {
                    return Ok(CreateDynamic::TooMany);
                }
            }
            if create(connection, schema)? {
                Ok(CreateDynamic::Ready)
            } else {
                Err(Error::Misuse("a dynamic entity with the name of a declared one"))
            }
        })
    }

    async fn declare(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        self.session.migrate("declare entity", |connection| declare(connection, schema))
    }

    async fn has_dynamic(&mut self, name: &EntityRef) -> StorageResult<bool> {
        self.session.read("has dynamic entity", |connection| {
            Ok(connection
                .prepare_cached("SELECT 1 FROM entities WHERE table_name = ?1 AND kind = 'dynamic'")?
                .exists([name.table()])?)
        })
    }
}

/// Whether an entity's table is there, declared or dynamic.
pub(crate) fn has_table(connection: &Connection, table: &str) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM entities WHERE table_name = ?1")?.exists([table])?)
}

fn declare(connection: &Connection, schema: &EntitySchema) -> Result<bool> {
    if schema.is_dynamic() {
        return Err(Error::Misuse("a dynamic entity made as a declared one"));
    }
    create(connection, schema)
}

/// Makes the table unless it is there; whether it is now as the schema says.
pub(crate) fn create(connection: &Connection, schema: &EntitySchema) -> Result<bool> {
    if let Some(found) = found(connection, &schema.name)? {
        return Ok(found.kind == schema.kind && layout(&found) == layout(schema));
    }
    connection.execute_batch(&ddl(schema))?;
    enter(connection, schema)?;
    Ok(true)
}

/// Enters a table into the ledger.
pub(crate) fn enter(connection: &Connection, schema: &EntitySchema) -> Result<()> {
    let definition = (!schema.is_dynamic()).then(|| schema.to_definition());
    let kind = if schema.is_dynamic() { "dynamic" } else { "declared" };
    connection
        .prepare_cached(
            "INSERT INTO entities (table_name, plugin, entity, kind, definition) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            schema.name.table(),
            schema.name.plugin.as_str(),
            schema.name.entity.as_str(),
            kind,
            definition,
        ))?;
    statistics::write(connection, schema)
}

/// The schema that an entity's table is at; `None` when there is no such table.
pub(crate) fn found(connection: &Connection, name: &EntityRef) -> Result<Option<EntitySchema>> {
    let definition: Option<Option<String>> = connection
        .prepare_cached("SELECT definition FROM entities WHERE table_name = ?1")?
        .query_row([name.table()], |row| row.get(0))
        .optional()?;
    definition.map(|definition| read_schema(name.clone(), definition.as_deref())).transpose()
}

/// A schema as the ledger keeps it: a dynamic entity has no definition.
pub(crate) fn read_schema(name: EntityRef, definition: Option<&str>) -> Result<EntitySchema> {
    match definition {
        None => Ok(EntitySchema::dynamic(name)),
        Some(text) => {
            EntitySchema::from_definition(&name, text).map_err(|_| Error::Unreadable("entity definition"))
        }
    }
}

pub(crate) fn ddl(schema: &EntitySchema) -> String {
    let name = schema.name.table();
    let table = quote(&name);
    let mut sql = format!(
        "CREATE TABLE {table} (
            tenant_id TEXT NOT NULL,
            id BLOB NOT NULL,
            version INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            created_by TEXT NOT NULL,
            updated_at INTEGER NOT NULL,
            updated_by TEXT NOT NULL,
            deleted_at INTEGER,
            deleted_by TEXT"
    );
    if schema.is_dynamic() {
        // Held here, because only the statement that merges an update knows what it comes to.
        let _ = write!(
            sql,
            ", \"data\" TEXT NOT NULL CONSTRAINT {DOCUMENT_BYTES} CHECK (octet_length(\"data\") <= {MAX_DOCUMENT_BYTES})"
        );
    }
    for field in schema.fields() {
        let column_type = ColumnType::of(&field.field_type).sql();
        let _ = write!(sql, ", {} {column_type}", quote(field.column()));
        if field.searchable {
            let _ = write!(sql, ", {} TEXT", quote(&folded_column(field)));
        }
    }
    sql.push_str(", PRIMARY KEY (tenant_id, id)");
    for field in schema.fields().iter().filter(|field| field.required) {
        let _ = write!(sql, ", {}", required(field));
    }
    sql.push_str(") STRICT, WITHOUT ROWID;");
    sql.push_str(&create_indexes(schema));
    sql
}

/// The statements that make all indexes of an entity's table.
pub(crate) fn create_indexes(schema: &EntitySchema) -> String {
    let name = schema.name.table();
    let mut sql = String::new();
    for index in schema.fields().iter().flat_map(|field| indexes_of(&name, field)) {
        sql.push_str(&create_index(&name, &index));
        sql.push(';');
    }
    let (deleted, table) = (quote(&deleted_index(&name)), quote(&name));
    let _ = write!(
        sql,
        "CREATE INDEX {deleted} ON {table} (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;"
    );
    sql
}

/// That live records have a field.
pub(crate) fn required(field: &Field) -> String {
    let (name, column) = (quote(&required_constraint(field)), quote(field.column()));
    format!("CONSTRAINT {name} CHECK ({column} IS NOT NULL OR deleted_at IS NOT NULL)")
}

pub(crate) fn create_index(table: &str, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    // SQLite ends every entry of a WITHOUT ROWID table's index with the primary key, so with the id.
    format!(
        "CREATE {unique}INDEX {} ON {} (tenant_id, {}) WHERE deleted_at IS NULL",
        quote(&index.name),
        quote(table),
        quote(&index.column)
    )
}

/// An index on a field's values, or on their folds.
#[derive(PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) column: String,
    pub(crate) unique: bool,
}

/// The indexes that a field has.
pub(crate) fn indexes_of(table: &str, field: &Field) -> impl Iterator<Item = Index> {
    let own = index_of(table, field).map(|index| Index {
        name: index.name,
        column: field.column().to_owned(),
        unique: index.unique,
    });
    let folded = field.searchable.then(|| Index {
        name: index_name(table, field.column(), "folded"),
        column: folded_column(field),
        unique: false,
    });
    own.into_iter().chain(folded)
}

/// The index of a table's deleted records.
pub(crate) fn deleted_index(table: &str) -> String {
    index_name(table, "deleted_at", "deleted")
}
