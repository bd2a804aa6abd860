//! [`DeadLetters`]: found by what is known of them, sent again or dropped.

use async_trait::async_trait;
use erp_plugin_model::event::{Delivery, EventPattern};
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{DeadLetter, DeadLetterFilter, DeadLetters, StorageResult};
use rusqlite::{Connection, Params};

use crate::dispatch::{DELIVERY, DELIVERY_COLUMNS, next_head, read_delivery};
use crate::error::Result;
use crate::names::{read_text, read_time};
use crate::transaction::SqlitePlatformTransaction;

/// Which dead letters are meant: tenant, plugin, type, what types begin with, event, since, until, how many; of an
/// unfiltered list those behind an event (tenant, id) and a plugin.
const WANTED: &str = "FROM deliveries d JOIN outbox o ON o.seq = d.event
     WHERE d.status = 'dead' AND (?1 IS NULL OR d.tenant_id = ?1) AND (?2 IS NULL OR d.plugin = ?2)
         AND (?3 IS NULL OR o.event_type = ?3) AND (?4 IS NULL OR substr(o.event_type, 1, length(?4)) = ?4)
         AND (?5 IS NULL OR o.id = ?5) AND (?6 IS NULL OR d.failed_at >= ?6) AND (?7 IS NULL OR d.failed_at < ?7)
         AND (?9 IS NULL OR (d.event, d.tenant_id, d.plugin)
             > ((SELECT seq FROM outbox WHERE tenant_id = ?9 AND id = ?10), ?9, ?11))
     ORDER BY d.event, d.tenant_id, d.plugin LIMIT ?8";

#[async_trait]
impl DeadLetters for SqlitePlatformTransaction {
    async fn dead_letters(
        &mut self,
        filter: &DeadLetterFilter,
        after: Option<&Delivery>,
        limit: u32,
    ) -> StorageResult<Vec<DeadLetter>> {
        self.session.scan("dead letters", |connection| {
            let mut statement = connection.prepare_cached(&list())?;
            let mut rows = statement.query(parameters(filter, after, limit))?;
            let mut letters = Vec::new();
            while let Some(row) = rows.next()? {
                letters.push(DeadLetter {
                    delivery: read_delivery(row)?,
                    error: read_text(row, DELIVERY_COLUMNS)?.to_owned(),
                    failed_at: read_time(row, DELIVERY_COLUMNS + 1)?,
                });
            }
            Ok(letters)
        })
    }

    async fn resend(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64> {
        self.session.write_long("resend", |connection| {
            let wanted = wanted(connection, filter, limit)?;
            let mut sent = connection.prepare_cached(
                "UPDATE deliveries SET status = 'pending', attempts = 0
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4",
            )?;
            // Whatever waits to be tried again comes behind it.
            let mut woken = connection.prepare_cached(
                "UPDATE streams SET retry_at = NULL, failed_at = NULL
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3",
            )?;
            for (tenant, plugin, key, number) in &wanted {
                sent.execute((tenant, plugin, key, number))?;
                woken.execute((tenant, plugin, key))?;
                next_head(connection, tenant, plugin, key)?;
            }
            Ok(wanted.len() as u64)
        })
    }

    async fn drop_dead_letters(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64> {
        self.session.write_long("drop dead letters", |connection| {
            let wanted = wanted(connection, filter, limit)?;
            let mut dropped = connection.prepare_cached(
                "UPDATE deliveries SET status = 'dropped'
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4",
            )?;
            let count = wanted.len() as u64;
            for letter in wanted {
                dropped.execute(letter)?;
            }
            Ok(count)
        })
    }
}

pub(crate) fn list() -> String {
    format!("SELECT {DELIVERY}, d.last_error, d.failed_at {WANTED}")
}

fn parameters<'p>(
    filter: &'p DeadLetterFilter,
    after: Option<&'p Delivery>,
    limit: u32,
) -> impl Params + use<'p> {
    let DeadLetterFilter { tenant, plugin, pattern, event, since, until } = filter;
    (
        tenant.as_ref().map(TenantId::as_str),
        plugin.as_ref().map(PluginName::as_str),
        pattern.as_ref().and_then(EventPattern::exact),
        pattern.as_ref().and_then(EventPattern::prefix),
        event.as_ref().map(|event| &event.0.as_bytes()[..]),
        since.map(|since| since.timestamp_micros()),
        until.map(|until| until.timestamp_micros()),
        limit,
        after.map(|after| after.tenant.as_str()),
        after.map(|after| &after.event.0.as_bytes()[..]),
        after.map(|after| after.plugin.as_str()),
    )
}

/// Tenants, plugins, keys, numbers.
fn wanted(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: u32,
) -> Result<Vec<(String, String, String, i64)>> {
    let sql = format!("SELECT d.tenant_id, d.plugin, d.key, d.number {WANTED}");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters(filter, None, limit), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
