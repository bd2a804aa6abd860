//! [`Erasure`]: the tables that have a column for the tenant, and batches of their rows.
//!
//! The owner erases, whom the policies keep in the tenant as well. A row's place names it: all rows of a tenant are in one
//! partition, where there are any, and nobody writes to a suspended tenant meanwhile.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_storage::{Erasure, StorageResult};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::read_text;
use crate::schema;
use crate::sql::Parameter;
use crate::statements::table as named;
use crate::transaction::PostgresTransaction;

/// Not the partitions, which are parts of their tables.
const TABLES: &str = "SELECT c.relname::text FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'erp_plugin'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         AND a.attname = 'tenant_id' AND NOT a.attisdropped
     ORDER BY c.relname COLLATE \"C\"";

/// Where a plugin has rows, and which of a tenant's they are. No event is assigned to a plugin that stands nowhere, so
/// that goes first. A full name begins with the plugin's and a dot, behind which the slash comes.
const OF_PLUGIN: [(&str, &str); 9] = [
    ("activations", "plugin = $2"),
    ("subscriptions", "plugin = $2"),
    ("plugin_config", "plugin = $2"),
    ("deliveries", "plugin = $2"),
    ("streams", "plugin = $2"),
    ("jobs", "plugin = $2"),
    ("job_runs", "plugin = $2"),
    ("number_series", "entity >= $2 || '.' AND entity < $2 || '/'"),
    ("record_history", "entity >= $2 || '.' AND entity < $2 || '/'"),
];

#[async_trait]
impl Erasure for PostgresTransaction {
    async fn tenant_tables(&mut self) -> StorageResult<Vec<String>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows(TABLES, &[]).await?;
            rows.iter().map(|row| Ok(read_text(row, 0)?.to_owned())).collect()
        };
        self.session.run("tenant tables", work).await
    }

    async fn erase(&mut self, table: &str, limit: u32) -> StorageResult<u64> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("erase"))?;
        let client = self.session.client();
        let work = async {
            let known = client.rows(TABLES, &[]).await?;
            let is_known = known.iter().any(|row| read_text(row, 0).is_ok_and(|name| name == table));
            if !is_known {
                return Err(Error::Misuse("an erasure in a table that is not there"));
            }
            let whose = [Parameter::Text(self.tenant.as_str())];
            erase(&client, table, "tenant_id = $1", &whose, limit).await
        };
        self.session.write("erase", work).await
    }

    async fn erase_plugin(&mut self, plugin: &PluginName, limit: u32) -> StorageResult<u64> {
        schema::check_mode(self.session.mode()).map_err(|error| error.at("erase plugin"))?;
        let client = self.session.client();
        let work = async {
            let whose = [Parameter::Text(self.tenant.as_str()), Parameter::Text(plugin.as_str())];
            let mut erased = 0;
            for (table, condition) in OF_PLUGIN {
                let left = limit.saturating_sub(u32::try_from(erased).unwrap_or(limit));
                let condition = format!("tenant_id = $1 AND {condition}");
                erased += erase(&client, table, &condition, &whose, left).await?;
            }
            Ok(erased)
        };
        self.session.write("erase plugin", work).await
    }
}

/// Removes at most `limit` of the rows that fulfil a condition on these values.
async fn erase(
    client: &Client,
    table: &str,
    condition: &str,
    whose: &[Parameter<'_>],
    limit: u32,
) -> Result<u64> {
    let table = named(table);
    let sql = format!(
        "DELETE FROM {table} WHERE tenant_id = $1
             AND ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {limit}))"
    );
    client.execute(&sql, whose).await
}
