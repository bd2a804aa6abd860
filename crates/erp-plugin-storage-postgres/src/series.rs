//! [`NumberSeries`]: one row a series, which whoever takes a number locks until their transaction ends.
//!
//! Who comes to the row meanwhile waits for it. When the first one commits, the row is not the one of the other's moment
//! any longer: Postgres ends that transaction (40001), the host runs its invocation again, and it takes the next number.
//! When the first one rolls back, the other goes on. So writers of one series of one tenant go one after another, as their
//! numbers do.

use async_trait::async_trait;
use erp_plugin_storage::{NumberSeries, Series, StorageResult};

use crate::error::Error;
use crate::sql::Parameter;
use crate::transaction::PostgresTransaction;

#[async_trait]
impl NumberSeries for PostgresTransaction {
    async fn take_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<u64> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql =
                "INSERT INTO erp_plugin.number_series AS s (tenant_id, entity, field, series, last_number)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant_id, entity, field, series)
                 DO UPDATE SET last_number = s.last_number + excluded.last_number
                 RETURNING last_number";
            let last: i64 = client.one(sql, &parameters(tenant, series, count)).await?.try_get(0)?;
            u64::try_from(last - i64::from(count) + 1).map_err(|_| Error::Unreadable("number of a series"))
        };
        self.session.write("take numbers", work).await
    }

    async fn give_back_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "UPDATE erp_plugin.number_series SET last_number = last_number - $5
                 WHERE tenant_id = $1 AND entity = $2 AND field = $3 AND series = $4";
            client.execute(sql, &parameters(tenant, series, count)).await?;
            Ok(())
        };
        self.session.write("give back numbers", work).await
    }
}

fn parameters<'p>(tenant: &'p str, series: Series<'p>, count: u32) -> [Parameter<'p>; 5] {
    [
        Parameter::Text(tenant),
        Parameter::Owned(series.entity.to_string()),
        Parameter::Text(series.field.column()),
        Parameter::Text(series.text),
        Parameter::Integer(i64::from(count)),
    ]
}
