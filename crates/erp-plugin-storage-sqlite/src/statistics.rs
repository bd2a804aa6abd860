//! What SQLite's planner is told about the tables of entities.
//!
//! Without statistics it takes a tenant to have ten records, and reads all of them in the order of their ids rather
//! than look up two values in an index: with 10,000 records, hundreds of times slower. So each new table gets the
//! statistics of a plausible one: many tenants, each with many records. They are never gathered from the data, so a
//! plan does not change overnight, nor from one host to the next.

use erp_plugin_model::EntitySchema;
use erp_plugin_model::schema::FieldType;
use rusqlite::Connection;

use crate::error::Result;
use crate::schema::{deleted_index, indexes_of};

/// Records in all, how many of them deleted, and those of one tenant.
const RECORDS: u64 = 1_000_000;
const DELETED: u64 = 10_000;
const TENANTS: u64 = 100;
const PER_TENANT: u64 = RECORDS / TENANTS;
/// Records of one tenant with the same value in an indexed field.
const PER_VALUE: u64 = 10;
/// The same where the field has two values or three: fewer than an equal share, because who searches means the rare
/// one, and because above a quarter SQLite rather reads the whole tenant.
const OF_FEW_VALUES: u64 = PER_TENANT / 8;

/// Tells the planner about a table that was altered.
pub(crate) fn rewrite(connection: &Connection, schema: &EntitySchema) -> Result<()> {
    connection.prepare_cached("DELETE FROM sqlite_stat1 WHERE tbl = ?1")?.execute([schema.name.table()])?;
    write(connection, schema)
}

/// Tells the planner about the table of a new entity, in this connection and in those that will see it.
pub(crate) fn write(connection: &Connection, schema: &EntitySchema) -> Result<()> {
    let table = schema.name.table();
    let mut insert =
        connection.prepare_cached("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?1, ?2, ?3)")?;
    // A WITHOUT ROWID table is its own index.
    insert.execute((&table, &table, format!("{RECORDS} {PER_TENANT} 1")))?;
    for field in schema.fields() {
        let per_value = match &field.field_type {
            FieldType::Boolean => OF_FEW_VALUES,
            FieldType::Enum { options } => {
                OF_FEW_VALUES.min(PER_TENANT / u64::try_from(options.len().max(1)).unwrap_or(1))
            }
            _ => PER_VALUE,
        };
        for index in indexes_of(&table, field) {
            let per_value = if index.unique { 1 } else { per_value };
            insert.execute((&table, index.name, format!("{RECORDS} {PER_TENANT} {per_value}")))?;
        }
    }
    insert.execute((&table, deleted_index(&table), format!("{DELETED} {} 1", DELETED / TENANTS)))?;
    // Other connections read the statistics with the changed schema; this one has to be told.
    connection.execute_batch("ANALYZE sqlite_schema")?;
    Ok(())
}
