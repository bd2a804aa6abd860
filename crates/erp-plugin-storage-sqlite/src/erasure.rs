//! [`Erasure`]: the tables that have a column for the tenant, and batches of their rows.
//!
//! A table without row numbers has nothing but its key to name a row by, so a batch is the first keys of the tenant.

use async_trait::async_trait;
use erp_plugin_model::TenantId;
use erp_plugin_storage::{Erasure, StorageResult};
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::names::read_text;
use crate::statements::quote;
use crate::transaction::SqliteTransaction;

#[async_trait]
impl Erasure for SqliteTransaction {
    async fn tenant_tables(&mut self) -> StorageResult<Vec<String>> {
        self.session.scan("tenant tables", |connection| {
            let sql = "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c
                 WHERE m.type = 'table' AND c.name = 'tenant_id' ORDER BY m.name";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query(())?;
            let mut tables = Vec::new();
            while let Some(row) = rows.next()? {
                tables.push(read_text(row, 0)?.to_owned());
            }
            Ok(tables)
        })
    }

    async fn erase(&mut self, table: &str, limit: u32) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.migrate("erase", |connection| erase(connection, tenant, table, limit))
    }
}

fn erase(connection: &Connection, tenant: &TenantId, table: &str, limit: u32) -> Result<u64> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
    let mut rows = statement.query([table])?;
    let mut key = Vec::new();
    while let Some(row) = rows.next()? {
        key.push(quote(read_text(row, 0)?));
    }
    if key.is_empty() {
        return Err(Error::Misuse("an erasure in a table that is not there"));
    }
    let (key, table) = (key.join(", "), quote(table));
    let sql = format!(
        "DELETE FROM {table} WHERE tenant_id = ?1
             AND ({key}) IN (SELECT {key} FROM {table} WHERE tenant_id = ?1 LIMIT ?2)"
    );
    Ok(connection.prepare(&sql)?.execute((tenant.as_str(), limit))? as u64)
}
