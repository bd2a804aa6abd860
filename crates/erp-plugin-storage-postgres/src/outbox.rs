//! [`Outbox`]: what the events of every tenant have come to, and what is kept of them no longer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{EventPattern, NewEvent};
use erp_plugin_model::{EventId, InvocationId, TenantId};
use erp_plugin_storage::{
    Backlog, DeliveryState, DeliveryStatus, EventFilter, Outbox, StorageResult, StoredEvent,
};
use tokio_postgres::Row;

use crate::error::{Error, Result};
use crate::names::{
    read_count, read_event_type, read_integer, read_plugin, read_publisher, read_some_time, read_some_uuid,
    read_tenant, read_text, read_time, read_user, read_uuid,
};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

/// An event, out of `outbox`.
const EVENT: &str =
    "tenant_id, seq, id, event_type, key, payload, publisher, invocation, ordinal, caused_by, parent,
     depth, published_at";
/// Removes log lines: before when, at most how many. Tenant by tenant, as their index has them.
pub(crate) const PRUNE_LOG: &str = "WITH RECURSIVE t (tenant_id) AS (
         (SELECT tenant_id FROM erp_plugin.log_lines ORDER BY tenant_id, at, invocation, ordinal LIMIT 1)
         UNION ALL
         SELECT (
             SELECT l.tenant_id FROM erp_plugin.log_lines AS l WHERE l.tenant_id > t.tenant_id
             ORDER BY l.tenant_id, l.at, l.invocation, l.ordinal LIMIT 1
         ) FROM t WHERE t.tenant_id IS NOT NULL
     ), old AS (
         SELECT l.tenant_id, l.invocation, l.ordinal FROM t CROSS JOIN LATERAL (
             SELECT tenant_id, invocation, ordinal FROM erp_plugin.log_lines
             WHERE tenant_id = t.tenant_id AND at < $1 ORDER BY at, invocation, ordinal LIMIT $2
         ) AS l LIMIT $2
     )
     DELETE FROM erp_plugin.log_lines AS l USING old AS o
     WHERE l.tenant_id = o.tenant_id AND l.invocation = o.invocation AND l.ordinal = o.ordinal";
/// Removes events that were delivered to the end, with their deliveries, and streams of which nothing is left: before when,
/// at most how many.
pub(crate) const PRUNE: &str = "WITH old AS (
         SELECT o.tenant_id, o.id FROM erp_plugin.outbox AS o
         WHERE o.seq IS NOT NULL AND o.published_at < $1 AND NOT EXISTS (
             SELECT FROM erp_plugin.deliveries AS d
             WHERE d.tenant_id = o.tenant_id AND d.event = o.id AND d.status IN ('pending', 'dead')
         ) ORDER BY o.published_at LIMIT $2
     ), gone AS (
         DELETE FROM erp_plugin.deliveries AS d USING old AS o WHERE d.tenant_id = o.tenant_id AND d.event = o.id
         RETURNING d.tenant_id, d.plugin, d.key, d.number
     ), idle AS (
         DELETE FROM erp_plugin.streams AS s
         USING (SELECT tenant_id, plugin, key, max(number) AS number FROM gone GROUP BY tenant_id, plugin, key) AS g
         WHERE s.tenant_id = g.tenant_id AND s.plugin = g.plugin AND s.key = g.key AND s.claimed_by IS NULL
             AND s.last_number = g.number AND NOT EXISTS (
                 SELECT FROM erp_plugin.deliveries AS d
                 WHERE d.tenant_id = g.tenant_id AND d.plugin = g.plugin AND d.key = g.key AND NOT EXISTS (
                     SELECT FROM gone AS w WHERE w.tenant_id = d.tenant_id AND w.plugin = d.plugin AND w.key = d.key
                         AND w.number = d.number
                 )
             )
     )
     DELETE FROM erp_plugin.outbox AS e USING old AS o WHERE e.tenant_id = o.tenant_id AND e.id = o.id";

#[async_trait]
impl Outbox for PostgresPlatformTransaction {
    async fn events(
        &mut self,
        filter: &EventFilter,
        newest: bool,
        limit: u32,
    ) -> StorageResult<Vec<StoredEvent>> {
        let client = self.session.client();
        let work = async {
            let EventFilter { tenant, pattern, after } = filter;
            let parameters = [
                Parameter::text(tenant.as_ref().map(TenantId::as_str)),
                Parameter::text(pattern.as_ref().and_then(EventPattern::exact)),
                Parameter::text(pattern.as_ref().and_then(EventPattern::prefix)),
                Parameter::Integer(after.unwrap_or(0)),
                Parameter::Integer(i64::from(limit)),
            ];
            client.rows(&list(newest), &parameters).await?.iter().map(read_event).collect()
        };
        self.session.run("events", work).await
    }

    async fn event(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Option<StoredEvent>> {
        let client = self.session.client();
        let work = async {
            let sql = format!("SELECT {EVENT} FROM erp_plugin.outbox WHERE tenant_id = $1 AND id = $2");
            let row = client.row(&sql, &[Parameter::Text(tenant.as_str()), Parameter::Uuid(event.0)]).await?;
            row.as_ref().map(read_event).transpose()
        };
        self.session.run("event", work).await
    }

    async fn deliveries(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Vec<DeliveryStatus>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT plugin, key, number, status, attempts, last_error FROM erp_plugin.deliveries
                 WHERE tenant_id = $1 AND event = $2 ORDER BY plugin";
            let rows =
                client.rows(sql, &[Parameter::Text(tenant.as_str()), Parameter::Uuid(event.0)]).await?;
            let read = rows.iter().map(|row| {
                Ok(DeliveryStatus {
                    plugin: read_plugin(row, 0)?,
                    key: read_text(row, 1)?.to_owned(),
                    number: read_integer(row, 2)?,
                    state: read_state(row, 3)?,
                    attempts: read_count(row, 4)?,
                    error: row.try_get(5)?,
                })
            });
            read.collect()
        };
        self.session.run("deliveries", work).await
    }

    async fn backlog(&mut self, tenant: Option<&TenantId>) -> StorageResult<Backlog> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT
                 (SELECT count(*) FROM erp_plugin.outbox
                     WHERE seq IS NULL AND ($1::text IS NULL OR tenant_id = $1)),
                 (SELECT count(*) FROM erp_plugin.deliveries
                     WHERE status = 'pending' AND ($1 IS NULL OR tenant_id = $1)),
                 (SELECT count(*) FROM erp_plugin.deliveries
                     WHERE status = 'dead' AND ($1 IS NULL OR tenant_id = $1)),
                 (SELECT min(published_at) FROM (
                     (SELECT published_at FROM erp_plugin.outbox
                         WHERE seq IS NULL AND ($1 IS NULL OR tenant_id = $1) ORDER BY published_at LIMIT 1)
                     UNION ALL
                     (SELECT published_at FROM erp_plugin.outbox WHERE seq = (
                         SELECT min(seq) FROM erp_plugin.deliveries
                         WHERE status = 'pending' AND ($1 IS NULL OR tenant_id = $1)
                     ))
                 ) AS o)";
            let row = client.one(sql, &[Parameter::text(tenant.map(TenantId::as_str))]).await?;
            Ok(Backlog {
                unnumbered: read_count(&row, 0)?,
                pending: read_count(&row, 1)?,
                dead: read_count(&row, 2)?,
                oldest: read_some_time(&row, 3)?,
            })
        };
        self.session.run("backlog", work).await
    }

    async fn prune_events(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            client.execute(PRUNE, &[Parameter::Time(before), Parameter::Integer(i64::from(limit))]).await
        };
        self.session.write("prune events", work).await
    }

    async fn prune_log(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            client.execute(PRUNE_LOG, &[Parameter::Time(before), Parameter::Integer(i64::from(limit))]).await
        };
        self.session.write("prune log", work).await
    }
}

/// The select of a list: tenant, type, what types begin with, after which number, how many.
pub(crate) fn list(newest: bool) -> String {
    let order = if newest { "DESC" } else { "ASC" };
    format!(
        "SELECT {EVENT} FROM erp_plugin.outbox WHERE seq > $4 AND ($1::text IS NULL OR tenant_id = $1)
             AND ($2::text IS NULL OR event_type = $2) AND ($3::text IS NULL OR starts_with(event_type, $3))
         ORDER BY seq {order} LIMIT $5"
    )
}

fn read_event(row: &Row) -> Result<StoredEvent> {
    Ok(StoredEvent {
        tenant: read_tenant(row, 0)?,
        number: row.try_get(1)?,
        event: NewEvent {
            id: EventId(read_uuid(row, 2)?),
            event_type: read_event_type(row, 3)?,
            key: read_text(row, 4)?.to_owned(),
            payload: read_text(row, 5)?.to_owned(),
            publisher: read_publisher(row, 6)?,
            invocation: InvocationId(read_uuid(row, 7)?),
            ordinal: read_count(row, 8)?,
            caused_by: read_user(row, 9)?,
            parent: read_some_uuid(row, 10)?.map(EventId),
            depth: read_count(row, 11)?,
            published_at: read_time(row, 12)?,
        },
    })
}

fn read_state(row: &Row, column: usize) -> Result<DeliveryState> {
    let name = read_text(row, column)?;
    let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| Error::Unreadable("state of a delivery"))
}
