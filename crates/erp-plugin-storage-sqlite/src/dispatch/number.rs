//! Gives events their numbers and makes their deliveries.

use erp_plugin_model::event::{EventPattern, key_in};
use erp_plugin_model::{EventType, PluginName};
use erp_plugin_storage::DispatchOutcome;
use rusqlite::Connection;

use crate::error::Result;
use crate::names::{read_event_type, read_pattern, read_plugin};

/// The next tenant that has events without numbers.
pub(crate) const NEXT_UNNUMBERED_TENANT: &str =
    "SELECT tenant_id FROM outbox WHERE numbered = 0 AND tenant_id > ?1 ORDER BY tenant_id LIMIT 1";
/// A tenant's events that have no numbers yet, the oldest first.
pub(crate) const UNNUMBERED: &str = "SELECT seq, event_type, key, publisher FROM outbox
     WHERE numbered = 0 AND tenant_id = ?1 ORDER BY seq LIMIT ?2";

pub(super) fn dispatch(connection: &Connection, limit: u32) -> Result<DispatchOutcome> {
    let mut outcome = DispatchOutcome::default();
    let tenants = unnumbered_tenants(connection, limit as usize)?;
    let Some(last) = tenants.last() else { return Ok(outcome) };
    let share = limit.div_ceil(u32::try_from(tenants.len()).unwrap_or(u32::MAX));
    let mut left = limit;
    let of_platform = subscribers(
        connection,
        "SELECT subscriber, pattern, 1, NULL FROM platform_subscriptions ORDER BY subscriber, pattern",
        (),
    )?;
    let mut numbered = connection.prepare_cached("UPDATE outbox SET numbered = 1 WHERE seq = ?1")?;
    for tenant in &tenants {
        let events = unnumbered(connection, tenant, share.min(left))?;
        left = left.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
        let of_tenant = subscribers(
            connection,
            "SELECT s.plugin, s.pattern, s.own_events, s.key_field FROM subscriptions s
             JOIN activations a ON a.tenant_id = s.tenant_id AND a.plugin = s.plugin
             WHERE s.tenant_id = ?1 AND a.enabled = 1 ORDER BY s.plugin, s.ordinal",
            [tenant],
        )?;
        for event in &events {
            let mut last = None;
            for subscriber in of_tenant.iter().chain(&of_platform) {
                let wanted = subscriber.pattern.matches(&event.event_type)
                    && (subscriber.own_events || subscriber.plugin.as_str() != event.publisher);
                // A subscriber's patterns stand together: one delivery, however many of them match.
                if wanted && last != Some(&subscriber.plugin) {
                    last = Some(&subscriber.plugin);
                    deliver(connection, tenant, event, subscriber)?;
                    outcome.deliveries += 1;
                }
            }
            numbered.execute([event.seq])?;
            outcome.events += 1;
        }
    }
    connection.prepare_cached("UPDATE turns SET numbered = ?1")?.execute([last])?;
    Ok(outcome)
}

/// Tenants that have events without numbers, beginning after the one whose turn was the last.
fn unnumbered_tenants(connection: &Connection, limit: usize) -> Result<Vec<String>> {
    let last: String =
        connection.prepare_cached("SELECT numbered FROM turns")?.query_row((), |row| row.get(0))?;
    let mut next = connection.prepare_cached(NEXT_UNNUMBERED_TENANT)?;
    super::claim::round(&last, limit, |after| {
        let mut rows = next.query([after])?;
        Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
    })
}

struct Unnumbered {
    seq: i64,
    event_type: EventType,
    key: String,
    publisher: String,
}

fn unnumbered(connection: &Connection, tenant: &str, limit: u32) -> Result<Vec<Unnumbered>> {
    let mut statement = connection.prepare_cached(UNNUMBERED)?;
    // Read before the first is written: a select must not run over what it is changing.
    let mut rows = statement.query((tenant, limit))?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(Unnumbered {
            seq: row.get(0)?,
            event_type: read_event_type(row, 1)?,
            key: row.get(2)?,
            publisher: row.get(3)?,
        });
    }
    Ok(events)
}

struct Subscriber {
    plugin: PluginName,
    pattern: EventPattern,
    own_events: bool,
    key: Option<String>,
}

fn subscribers(connection: &Connection, sql: &str, whose: impl rusqlite::Params) -> Result<Vec<Subscriber>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(whose)?;
    let mut subscribers = Vec::new();
    while let Some(row) = rows.next()? {
        subscribers.push(Subscriber {
            plugin: read_plugin(row, 0)?,
            pattern: read_pattern(row, 1)?,
            own_events: row.get(2)?,
            key: row.get(3)?,
        });
    }
    Ok(subscribers)
}

/// Puts an event at the end of a subscriber's stream.
fn deliver(connection: &Connection, tenant: &str, event: &Unnumbered, subscriber: &Subscriber) -> Result<()> {
    let plugin = subscriber.plugin.as_str();
    let found = match &subscriber.key {
        Some(field) => {
            let payload: String = connection
                .prepare_cached("SELECT payload FROM outbox WHERE seq = ?1")?
                .query_row([event.seq], |row| row.get(0))?;
            key_in(&payload, field)
        }
        None => None,
    };
    let key = found.as_deref().unwrap_or(&event.key);
    let number: i64 = connection
        .prepare_cached(
            "INSERT INTO streams (tenant_id, plugin, key, last_number, head_event, token)
             VALUES (?1, ?2, ?3, 1, ?4, 0) ON CONFLICT DO UPDATE SET
             last_number = last_number + 1, head_event = coalesce(head_event, excluded.head_event)
             RETURNING last_number",
        )?
        .query_row((tenant, plugin, key, event.seq), |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO deliveries (tenant_id, plugin, key, number, event, status, token, attempts)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, 0)",
        )?
        .execute((tenant, plugin, key, number, event.seq))?;
    Ok(())
}
