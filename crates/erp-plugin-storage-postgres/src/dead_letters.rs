//! [`DeadLetters`]: found by what is known of them, sent again or dropped.

use async_trait::async_trait;
use erp_plugin_model::event::{Delivery, EventPattern};
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{DeadLetter, DeadLetterFilter, DeadLetters, StorageResult};

use crate::dispatch::{DELIVERY, DELIVERY_COLUMNS, read_delivery};
use crate::names::{read_count, read_text, read_time};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

/// Which dead letters are meant: tenant, plugin, type, what types begin with, event, since, until, how many; of an
/// unfiltered list those behind an event (tenant, id) and a plugin.
const WANTED: &str = "FROM erp_plugin.deliveries AS d
     JOIN erp_plugin.outbox AS o ON o.tenant_id = d.tenant_id AND o.id = d.event
     WHERE d.status = 'dead' AND ($1::text IS NULL OR d.tenant_id = $1) AND ($2::text IS NULL OR d.plugin = $2)
         AND ($3::text IS NULL OR o.event_type = $3) AND ($4::text IS NULL OR starts_with(o.event_type, $4))
         AND ($5::uuid IS NULL OR o.id = $5) AND ($6::timestamptz IS NULL OR d.failed_at >= $6)
         AND ($7::timestamptz IS NULL OR d.failed_at < $7)
         AND ($9::text IS NULL OR (d.seq, d.tenant_id, d.plugin)
             > ((SELECT a.seq FROM erp_plugin.outbox AS a WHERE a.tenant_id = $9 AND a.id = $10::uuid), $9, $11::text))
     ORDER BY d.seq, d.tenant_id, d.plugin LIMIT $8";

#[async_trait]
impl DeadLetters for PostgresPlatformTransaction {
    async fn dead_letters(
        &mut self,
        filter: &DeadLetterFilter,
        after: Option<&Delivery>,
        limit: u32,
    ) -> StorageResult<Vec<DeadLetter>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows(&list(), &parameters(filter, after, limit)).await?;
            let read = rows.iter().map(|row| {
                Ok(DeadLetter {
                    delivery: read_delivery(row)?,
                    error: read_text(row, DELIVERY_COLUMNS)?.to_owned(),
                    failed_at: read_time(row, DELIVERY_COLUMNS + 1)?,
                })
            });
            read.collect()
        };
        self.session.run("dead letters", work).await
    }

    async fn resend(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            // Whatever waits in the stream to be tried again comes behind what is sent again.
            let sql = format!(
                "WITH wanted AS (
                     SELECT d.tenant_id, d.plugin, d.key, d.number, d.seq {WANTED} FOR UPDATE OF d
                 ), sent AS (
                     UPDATE erp_plugin.deliveries AS d SET status = 'pending', attempts = 0 FROM wanted AS w
                     WHERE d.tenant_id = w.tenant_id AND d.plugin = w.plugin AND d.key = w.key AND d.number = w.number
                 ), woken AS (
                     UPDATE erp_plugin.streams AS s
                     SET waiting = least(s.waiting, w.seq), retry_at = NULL, failed_at = NULL
                     FROM (
                         SELECT tenant_id, plugin, key, min(seq) AS seq FROM wanted GROUP BY tenant_id, plugin, key
                     ) AS w
                     WHERE s.tenant_id = w.tenant_id AND s.plugin = w.plugin AND s.key = w.key
                 )
                 SELECT count(*) FROM wanted"
            );
            read_count(&client.one(&sql, &parameters(filter, None, limit)).await?, 0)
        };
        self.session.write("resend", work).await
    }

    async fn drop_dead_letters(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            let sql = format!(
                "WITH wanted AS (
                     SELECT d.tenant_id, d.plugin, d.key, d.number {WANTED} FOR UPDATE OF d
                 )
                 UPDATE erp_plugin.deliveries AS d SET status = 'dropped' FROM wanted AS w
                 WHERE d.tenant_id = w.tenant_id AND d.plugin = w.plugin AND d.key = w.key AND d.number = w.number"
            );
            client.execute(&sql, &parameters(filter, None, limit)).await
        };
        self.session.write("drop dead letters", work).await
    }
}

pub(crate) fn list() -> String {
    format!("SELECT {DELIVERY}, d.last_error, d.failed_at {WANTED}")
}

fn parameters<'p>(
    filter: &'p DeadLetterFilter,
    after: Option<&'p Delivery>,
    limit: u32,
) -> [Parameter<'p>; 11] {
    let DeadLetterFilter { tenant, plugin, pattern, event, since, until } = filter;
    [
        Parameter::text(tenant.as_ref().map(TenantId::as_str)),
        Parameter::text(plugin.as_ref().map(PluginName::as_str)),
        Parameter::text(pattern.as_ref().and_then(EventPattern::exact)),
        Parameter::text(pattern.as_ref().and_then(EventPattern::prefix)),
        event.map_or(Parameter::Null, |event| Parameter::Uuid(event.0)),
        since.map_or(Parameter::Null, Parameter::Time),
        until.map_or(Parameter::Null, Parameter::Time),
        Parameter::Integer(i64::from(limit)),
        Parameter::text(after.map(|after| after.tenant.as_str())),
        after.map_or(Parameter::Null, |after| Parameter::Uuid(after.event.0)),
        Parameter::text(after.map(|after| after.plugin.as_str())),
    ]
}
