//! [`Erasure`]: the tables that have a column for the tenant, and batches of their rows.
//!
//! A table without row numbers has nothing but its key to name a row by, so a batch is the first keys of the tenant.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_storage::{Erasure, StorageResult};
use rusqlite::{Connection, params_from_iter};

use crate::error::{Error, Result};
use crate::names::read_text;
use crate::statements::quote;
use crate::transaction::SqliteTransaction;

/// Where a plugin has rows, and which of a tenant's they are. No event is assigned to a plugin that stands nowhere, so
/// that goes first. A full name begins with the plugin's and a dot, behind which the slash comes.
const OF_PLUGIN: [(&str, &str); 9] = [
    ("activations", "plugin = ?2"),
    ("subscriptions", "plugin = ?2"),
    ("plugin_config", "plugin = ?2"),
    ("deliveries", "plugin = ?2"),
    ("streams", "plugin = ?2"),
    ("jobs", "plugin = ?2"),
    ("job_runs", "plugin = ?2"),
    ("number_series", "entity >= ?2 || '.' AND entity < ?2 || '/'"),
    ("record_history", "entity >= ?2 || '.' AND entity < ?2 || '/'"),
];

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
        session.migrate("erase", |connection| {
            let whose = [tenant.as_str()];
            erase(connection, table, "tenant_id = ?1", &whose, limit)
        })
    }

    async fn erase_plugin(&mut self, plugin: &PluginName, limit: u32) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.migrate("erase plugin", |connection| {
            let whose = [tenant.as_str(), plugin.as_str()];
            let mut erased = 0;
            for (table, condition) in OF_PLUGIN {
                let left = limit.saturating_sub(u32::try_from(erased).unwrap_or(limit));
                let condition = format!("tenant_id = ?1 AND {condition}");
                erased += erase(connection, table, &condition, &whose, left)?;
            }
            Ok(erased)
        })
    }
}

/// Removes at most `limit` of the rows that fulfil a condition on these texts.
fn erase(connection: &Connection, table: &str, condition: &str, whose: &[&str], limit: u32) -> Result<u64> {
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
             AND ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {limit})"
    );
    Ok(connection.prepare(&sql)?.execute(params_from_iter(whose))? as u64)
}
