//! [`NumberSeries`]: one row a series. There is one writer, so nobody waits for a row.

use async_trait::async_trait;
use erp_plugin_storage::{NumberSeries, Series, StorageResult};

use crate::error::Error;
use crate::transaction::SqliteTransaction;

#[async_trait]
impl NumberSeries for SqliteTransaction {
    async fn take_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.write("take numbers", |connection| {
            let last: i64 = connection
                .prepare_cached(
                    "INSERT INTO number_series (tenant_id, entity, field, series, last_number)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT DO UPDATE SET last_number = last_number + excluded.last_number
                     RETURNING last_number",
                )?
                .query_row(
                    (
                        tenant.as_str(),
                        series.entity.to_string(),
                        series.field.column(),
                        series.text,
                        i64::from(count),
                    ),
                    |row| row.get(0),
                )?;
            u64::try_from(last - i64::from(count) + 1).map_err(|_| Error::Unreadable("number of a series"))
        })
    }

    async fn give_back_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("give back numbers", |connection| {
            connection
                .prepare_cached(
                    "UPDATE number_series SET last_number = last_number - ?5
                     WHERE tenant_id = ?1 AND entity = ?2 AND field = ?3 AND series = ?4",
                )?
                .execute((
                    tenant.as_str(),
                    series.entity.to_string(),
                    series.field.column(),
                    series.text,
                    i64::from(count),
                ))?;
            Ok(())
        })
    }
}
