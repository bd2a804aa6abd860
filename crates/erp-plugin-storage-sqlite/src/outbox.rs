//! [`Outbox`]: what the events of every tenant have come to, and what is kept of them no longer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{EventPattern, NewEvent};
use erp_plugin_model::{EventId, InvocationId, TenantId};
use erp_plugin_storage::{
    Backlog, DeliveryState, DeliveryStatus, EventFilter, Outbox, StorageResult, StoredEvent,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};

use crate::error::{Error, Result};
use crate::names::{
    read_event_type, read_plugin, read_publisher, read_tenant, read_text, read_time, read_user, read_uuid,
};
use crate::transaction::SqlitePlatformTransaction;

/// An event, out of `outbox`.
const EVENT: &str =
    "tenant_id, CASE numbered WHEN 1 THEN seq END, id, event_type, key, payload, publisher, invocation,
     ordinal, caused_by, parent, depth, published_at";
/// Events that were delivered to the end: before when, at most how many. The newest of all stays, whose row's number would
/// be given again.
pub(crate) const DELIVERED: &str = "SELECT seq FROM outbox AS o
     WHERE numbered = 1 AND published_at < ?1 AND seq < (SELECT max(seq) FROM outbox) AND NOT EXISTS (
         SELECT 1 FROM deliveries AS d WHERE d.event = o.seq AND d.status IN ('pending', 'dead')
     ) ORDER BY published_at LIMIT ?2";
/// Removes log lines: before when, at most how many. Tenant by tenant, as they lie.
pub(crate) const PRUNE_LOG: &str = "WITH RECURSIVE t (tenant_id) AS (
         SELECT min(tenant_id) FROM log_lines
         UNION ALL
         SELECT (SELECT min(tenant_id) FROM log_lines AS l WHERE l.tenant_id > t.tenant_id) FROM t
         WHERE t.tenant_id IS NOT NULL
     )
     DELETE FROM log_lines WHERE (tenant_id, at, invocation, ordinal) IN (
         SELECT l.tenant_id, l.at, l.invocation, l.ordinal FROM t CROSS JOIN log_lines AS l
         WHERE l.tenant_id = t.tenant_id AND l.at < ?1 LIMIT ?2
     )";

#[async_trait]
impl Outbox for SqlitePlatformTransaction {
    async fn events(
        &mut self,
        filter: &EventFilter,
        newest: bool,
        limit: u32,
    ) -> StorageResult<Vec<StoredEvent>> {
        self.session.scan("events", |connection| {
            let EventFilter { tenant, pattern, after } = filter;
            let parameters = (
                tenant.as_ref().map(TenantId::as_str),
                pattern.as_ref().and_then(EventPattern::exact),
                pattern.as_ref().and_then(EventPattern::prefix),
                after.unwrap_or(0),
                limit,
            );
            found(connection, &list(newest), parameters)
        })
    }

    async fn event(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Option<StoredEvent>> {
        self.session.read("event", |connection| {
            let sql = format!("SELECT {EVENT} FROM outbox WHERE tenant_id = ?1 AND id = ?2");
            Ok(found(connection, &sql, (tenant.as_str(), &event.0.as_bytes()[..]))?.pop())
        })
    }

    async fn deliveries(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Vec<DeliveryStatus>> {
        self.session.read("deliveries", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, key, number, status, attempts, last_error FROM deliveries
                 WHERE event = (SELECT seq FROM outbox WHERE tenant_id = ?1 AND id = ?2) ORDER BY plugin",
            )?;
            let mut rows = statement.query((tenant.as_str(), &event.0.as_bytes()[..]))?;
            let mut deliveries = Vec::new();
            while let Some(row) = rows.next()? {
                deliveries.push(DeliveryStatus {
                    plugin: read_plugin(row, 0)?,
                    key: read_text(row, 1)?.to_owned(),
                    number: row.get(2)?,
                    state: read_state(row, 3)?,
                    attempts: row.get(4)?,
                    error: row.get(5)?,
                });
            }
            Ok(deliveries)
        })
    }

    async fn backlog(&mut self, tenant: Option<&TenantId>) -> StorageResult<Backlog> {
        self.session.scan("backlog", |connection| {
            let count = |sql: &str| -> Result<u64> {
                let count: i64 = connection
                    .prepare_cached(sql)?
                    .query_row([tenant.map(TenantId::as_str)], |row| row.get(0))?;
                u64::try_from(count).map_err(|_| Error::Unreadable("count"))
            };
            let unnumbered =
                count("SELECT count(*) FROM outbox WHERE numbered = 0 AND (?1 IS NULL OR tenant_id = ?1)")?;
            let pending = count(
                "SELECT count(*) FROM deliveries WHERE status = 'pending' AND (?1 IS NULL OR tenant_id = ?1)",
            )?;
            let dead = count(
                "SELECT count(*) FROM deliveries WHERE status = 'dead' AND (?1 IS NULL OR tenant_id = ?1)",
            )?;
            let oldest: Option<i64> = connection
                .prepare_cached(
                    "SELECT min(published_at) FROM outbox WHERE seq IN (
                         SELECT min(seq) FROM outbox WHERE numbered = 0 AND (?1 IS NULL OR tenant_id = ?1)
                         UNION ALL SELECT min(event) FROM deliveries
                             WHERE status = 'pending' AND (?1 IS NULL OR tenant_id = ?1)
                     )",
                )?
                .query_row([tenant.map(TenantId::as_str)], |row| row.get(0))?;
            let oldest = oldest.map(crate::columns::datetime).transpose()?;
            Ok(Backlog { unnumbered, pending, dead, oldest })
        })
    }

    async fn prune_events(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        self.session.write_long("prune events", |connection| {
            let mut statement = connection.prepare_cached(DELIVERED)?;
            let found = statement.query_map((before.timestamp_micros(), limit), |row| row.get(0))?;
            let events = found.collect::<rusqlite::Result<Vec<i64>>>()?;
            for event in &events {
                remove(connection, *event)?;
            }
            Ok(events.len() as u64)
        })
    }

    async fn prune_log(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64> {
        self.session.write_long("prune log", |connection| {
            let mut statement = connection.prepare_cached(PRUNE_LOG)?;
            Ok(statement.execute((before.timestamp_micros(), limit))? as u64)
        })
    }
}

/// Removes an event with its deliveries, and their streams where nothing is left of them.
fn remove(connection: &Connection, event: i64) -> Result<()> {
    let mut removed = connection
        .prepare_cached("DELETE FROM deliveries WHERE event = ?1 RETURNING tenant_id, plugin, key")?;
    let streams: Vec<(String, String, String)> = removed
        .query_map([event], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for stream in streams {
        connection
            .prepare_cached(
                "DELETE FROM streams WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND claimed_by IS NULL
                 AND NOT EXISTS (
                     SELECT 1 FROM deliveries WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3
                 )",
            )?
            .execute(stream)?;
    }
    connection.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([event])?;
    Ok(())
}

/// The select of a list: tenant, type, what types begin with, after which number, how many.
pub(crate) fn list(newest: bool) -> String {
    let order = if newest { "DESC" } else { "ASC" };
    format!(
        "SELECT {EVENT} FROM outbox WHERE numbered = 1 AND seq > ?4 AND (?1 IS NULL OR tenant_id = ?1)
             AND (?2 IS NULL OR event_type = ?2) AND (?3 IS NULL OR substr(event_type, 1, length(?3)) = ?3)
         ORDER BY seq {order} LIMIT ?5"
    )
}

fn found(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<StoredEvent>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read_event(row)?);
    }
    Ok(events)
}

fn read_event(row: &Row<'_>) -> Result<StoredEvent> {
    let parent = match row.get_ref(10)? {
        ValueRef::Null => None,
        _ => Some(EventId(read_uuid(row, 10)?)),
    };
    Ok(StoredEvent {
        tenant: read_tenant(row, 0)?,
        number: row.get(1)?,
        event: NewEvent {
            id: EventId(read_uuid(row, 2)?),
            event_type: read_event_type(row, 3)?,
            key: read_text(row, 4)?.to_owned(),
            payload: read_text(row, 5)?.to_owned(),
            publisher: read_publisher(row, 6)?,
            invocation: InvocationId(read_uuid(row, 7)?),
            ordinal: row.get(8)?,
            caused_by: read_user(row, 9)?,
            parent,
            depth: row.get(11)?,
            published_at: read_time(row, 12)?,
        },
    })
}

fn read_state(row: &Row<'_>, column: usize) -> Result<DeliveryState> {
    let name = read_text(row, column)?;
    let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == name);
    known.ok_or_else(|| Error::Unreadable("state of a delivery"))
}
