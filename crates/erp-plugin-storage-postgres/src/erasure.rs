//! [`Erasure`]: the tables that have a column for the tenant, and batches of their rows.
//!
//! The owner erases, whom the policies keep in the tenant as well. A row's place names it: all rows of a tenant are in one
//! partition, where there are any, and nobody writes to a suspended tenant meanwhile.

use async_trait::async_trait;
use erp_plugin_storage::{Erasure, StorageResult};

use crate::error::Error;
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
            let table = named(table);
            let sql = format!(
                "DELETE FROM {table} WHERE tenant_id = $1
                     AND ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE tenant_id = $1 LIMIT $2))"
            );
            let parameters = [Parameter::Text(self.tenant.as_str()), Parameter::Integer(i64::from(limit))];
            client.execute(&sql, &parameters).await
        };
        self.session.write("erase", work).await
    }
}
