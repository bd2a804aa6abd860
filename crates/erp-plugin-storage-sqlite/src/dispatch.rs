//! [`Dispatch`]: numbers events, claims deliveries, ends them.
//!
//! The one writer makes the outbox's row order the order of the commits, so "oldest" is the lowest row. A stream row
//! says where its stream stands: deliveries end strictly in order, so the head is a number and nobody searches for
//! it, however many wait behind it. A claim writes the stream's new token into the delivery; whoever ends it must
//! hit that very row.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{ClaimToken, Delivery, EventPattern};
use erp_plugin_model::ids::EventId;
use erp_plugin_model::{EventType, PluginName};
use erp_plugin_storage::{Dispatch, DispatchOutcome, Failure, Parked, StorageResult};
use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::names::{read_event_type, read_plugin, read_tenant, read_text, read_user, read_uuid};
use crate::transaction::SqlitePlatformTransaction;

/// Events that have no numbers yet, the oldest first.
pub(crate) const UNNUMBERED: &str = "SELECT seq, tenant_id, event_type, key, publisher FROM outbox
     WHERE numbered = 0 ORDER BY seq LIMIT ?1";
/// The next tenant that has a waiting stream of a plugin that is enabled there, and is not suspended.
pub(crate) const NEXT_TENANT: &str = "SELECT tenant_id FROM streams AS s
     WHERE head_event IS NOT NULL AND tenant_id > ?1 AND (
         SELECT enabled FROM activations AS a WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin
     ) AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = s.tenant_id AND t.state = 'suspended')
     ORDER BY tenant_id LIMIT 1";
/// The next waiting stream of a plugin that is enabled in this tenant: the one whose event is the oldest.
pub(crate) const NEXT_STREAM: &str = "SELECT head_event, plugin, key FROM streams AS s
     WHERE tenant_id = ?1 AND head_event IS NOT NULL AND (head_event, plugin, key) > (?2, ?3, ?4) AND (
         SELECT enabled FROM activations AS a WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin
     ) ORDER BY head_event, plugin, key LIMIT 1";
/// Deliveries that were set aside, the oldest event first.
pub(crate) const PARKED: &str = "SELECT d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts,
         o.id, o.event_type, o.payload, o.caused_by, o.depth, d.last_error
     FROM deliveries d JOIN outbox o ON o.seq = d.event
     WHERE d.status = 'parked' ORDER BY d.event, d.tenant_id, d.plugin LIMIT ?1";

#[async_trait]
impl Dispatch for SqlitePlatformTransaction {
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome> {
        self.session.write_long("dispatch", |connection| dispatch(connection, limit))
    }

    async fn claim(&mut self, limit: u32) -> StorageResult<Vec<Delivery>> {
        self.session.write_long("claim", |connection| claim(connection, limit))
    }

    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool> {
        self.session.write("record failure", |connection| {
            let Failure { delivery, error, park, at } = failure;
            end(
                connection,
                delivery,
                if park { End::Parked { error, at } } else { End::Failed { error, at } },
            )
        })
    }

    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        self.session.write("release", |connection| {
            let hit = connection
                .prepare_cached(
                    "UPDATE deliveries SET attempts = attempts - 1 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3
                     AND number = ?4 AND token = ?5 AND attempts = ?6 AND status = 'pending'",
                )?
                .execute((
                    delivery.tenant.as_str(),
                    delivery.plugin.as_str(),
                    delivery.key.as_str(),
                    delivery.number,
                    delivery.token.0,
                    delivery.attempt,
                ))?;
            Ok(hit > 0)
        })
    }

    async fn parked(&mut self, limit: u32) -> StorageResult<Vec<Parked>> {
        self.session.scan("parked", |connection| {
            let mut statement = connection.prepare_cached(PARKED)?;
            let mut rows = statement.query([limit])?;
            let mut parked = Vec::new();
            while let Some(row) = rows.next()? {
                parked.push(Parked { delivery: read_delivery(row)?, error: read_text(row, 11)?.to_owned() });
            }
            Ok(parked)
        })
    }
}

/// How an attempt at a delivery ended.
#[derive(Clone, Copy)]
pub(crate) enum End<'a> {
    Done,
    /// To be tried again.
    Failed {
        error: &'a str,
        at: DateTime<Utc>,
    },
    /// Set aside; the stream goes on.
    Parked {
        error: &'a str,
        at: DateTime<Utc>,
    },
}

/// Ends an attempt; `false` when the delivery is no longer this claim's.
pub(crate) fn end(connection: &Connection, delivery: &Delivery, end: End<'_>) -> Result<bool> {
    let (status, error, at) = match end {
        End::Done => ("done", None, None),
        End::Failed { error, at } => ("pending", Some(error), Some(at)),
        End::Parked { error, at } => ("parked", Some(error), Some(at)),
    };
    let (tenant, plugin, key) = (delivery.tenant.as_str(), delivery.plugin.as_str(), delivery.key.as_str());
    let hit = connection
        .prepare_cached(
            "UPDATE deliveries SET status = ?6, last_error = coalesce(?7, last_error),
             failed_at = coalesce(?8, failed_at) WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4
             AND token = ?5 AND status = 'pending'",
        )?
        .execute((
            tenant,
            plugin,
            key,
            delivery.number,
            delivery.token.0,
            status,
            error,
            at.map(|at| at.timestamp_micros()),
        ))?;
    if hit == 0 || status == "pending" {
        return Ok(hit > 0);
    }
    let moved = connection
        .prepare_cached(
            "UPDATE streams SET head = head + 1, head_event = (
                 SELECT event FROM deliveries
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = streams.head + 1
             ) WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND head = ?4",
        )?
        .execute((tenant, plugin, key, delivery.number))?;
    if moved == 0 {
        return Err(Error::Unreadable("stream"));
    }
    Ok(true)
}

struct Subscriber {
    plugin: PluginName,
    pattern: EventPattern,
    own_events: bool,
}

fn dispatch(connection: &Connection, limit: u32) -> Result<DispatchOutcome> {
    let mut outcome = DispatchOutcome::default();
    let mut of_tenant: HashMap<String, Vec<Subscriber>> = HashMap::new();
    let mut unnumbered = connection.prepare_cached(UNNUMBERED)?;
    let mut numbered = connection.prepare_cached("UPDATE outbox SET numbered = 1 WHERE seq = ?1")?;
    // Read before the first is written: a select must not run over what it is changing.
    let mut events = Vec::new();
    let mut rows = unnumbered.query([limit])?;
    while let Some(row) = rows.next()? {
        events.push(Unnumbered {
            seq: row.get(0)?,
            tenant: row.get(1)?,
            event_type: read_event_type(row, 2)?,
            key: row.get(3)?,
            publisher: row.get(4)?,
        });
    }
    for event in &events {
        if !of_tenant.contains_key(&event.tenant) {
            of_tenant.insert(event.tenant.clone(), subscribers(connection, &event.tenant)?);
        }
        let mut last = None;
        for subscriber in of_tenant.get(&event.tenant).into_iter().flatten() {
            let wanted = subscriber.pattern.matches(&event.event_type)
                && (subscriber.own_events || subscriber.plugin.as_str() != event.publisher);
            // Sorted by plugin: one delivery each, however many of its patterns match.
            if wanted && last != Some(&subscriber.plugin) {
                last = Some(&subscriber.plugin);
                deliver(connection, event, &subscriber.plugin)?;
                outcome.deliveries += 1;
            }
        }
        numbered.execute([event.seq])?;
        outcome.events += 1;
    }
    Ok(outcome)
}

struct Unnumbered {
    seq: i64,
    tenant: String,
    event_type: EventType,
    key: String,
    publisher: String,
}

fn subscribers(connection: &Connection, tenant: &str) -> Result<Vec<Subscriber>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.plugin, s.pattern, s.own_events FROM subscriptions s
         JOIN activations a ON a.tenant_id = s.tenant_id AND a.plugin = s.plugin
         WHERE s.tenant_id = ?1 AND a.enabled = 1 ORDER BY s.plugin, s.ordinal",
    )?;
    let mut rows = statement.query([tenant])?;
    let mut subscribers = Vec::new();
    while let Some(row) = rows.next()? {
        subscribers.push(Subscriber {
            plugin: read_plugin(row, 0)?,
            pattern: EventPattern::parse(read_text(row, 1)?)
                .map_err(|_| Error::Unreadable("event pattern"))?,
            own_events: row.get(2)?,
        });
    }
    Ok(subscribers)
}

/// Puts an event at the end of a plugin's stream.
fn deliver(connection: &Connection, event: &Unnumbered, plugin: &PluginName) -> Result<()> {
    let Unnumbered { seq, tenant, key, .. } = event;
    let number: i64 = connection
        .prepare_cached(
            "INSERT INTO streams (tenant_id, plugin, key, last_number, head, head_event, token)
             VALUES (?1, ?2, ?3, 1, 1, ?4, 0) ON CONFLICT DO UPDATE SET
             last_number = last_number + 1, head_event = coalesce(head_event, excluded.head_event)
             RETURNING last_number",
        )?
        .query_row((tenant, plugin.as_str(), key, seq), |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO deliveries (tenant_id, plugin, key, number, event, status, token, attempts)
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending', 0, 0)",
        )?
        .execute((tenant, plugin.as_str(), key, number, seq))?;
    Ok(())
}

/// A tenant in the round of claims, and its stream that was claimed last: head event, plugin, key.
struct Turn {
    tenant: String,
    after: (i64, String, String),
}

fn claim(connection: &Connection, limit: u32) -> Result<Vec<Delivery>> {
    let limit = limit as usize;
    let mut turns = waiting_tenants(connection, limit)?;
    let mut claimed: Vec<Delivery> = Vec::new();
    while claimed.len() < limit
        && let Some(mut turn) = turns.pop_front()
    {
        if let Some(next) = next_stream(connection, &turn)? {
            turn.after = next;
            claimed.push(claim_head(connection, &turn)?);
            turns.push_back(turn);
        }
    }
    if let Some(last) = claimed.last() {
        connection
            .prepare_cached("UPDATE claim_turn SET last_tenant = ?1")?
            .execute([last.tenant.as_str()])?;
    }
    Ok(claimed)
}

/// Tenants that have waiting streams, beginning after the one that had the last turn.
fn waiting_tenants(connection: &Connection, limit: usize) -> Result<VecDeque<Turn>> {
    let last: String =
        connection.prepare_cached("SELECT last_tenant FROM claim_turn")?.query_row((), |row| row.get(0))?;
    let mut next = connection.prepare_cached(NEXT_TENANT)?;
    let mut turns = VecDeque::new();
    let (mut after, mut wrapped) = (last.clone(), false);
    while turns.len() < limit {
        let mut rows = next.query([&after])?;
        match rows.next()? {
            Some(row) => after = row.get(0)?,
            None if !wrapped => {
                (after, wrapped) = (String::new(), true);
                continue;
            }
            None => break,
        }
        if wrapped && after > last {
            break;
        }
        turns.push_back(Turn { tenant: after.clone(), after: (i64::MIN, String::new(), String::new()) });
    }
    Ok(turns)
}

fn next_stream(connection: &Connection, turn: &Turn) -> Result<Option<(i64, String, String)>> {
    let (event, plugin, key) = &turn.after;
    let mut statement = connection.prepare_cached(NEXT_STREAM)?;
    let mut rows = statement.query((&turn.tenant, event, plugin, key))?;
    Ok(match rows.next()? {
        Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?)),
        None => None,
    })
}

fn claim_head(connection: &Connection, turn: &Turn) -> Result<Delivery> {
    let Turn { tenant, after: (_, plugin, key) } = turn;
    let (token, number): (i64, i64) = connection
        .prepare_cached(
            "UPDATE streams SET token = token + 1 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3
             RETURNING token, head",
        )?
        .query_row((tenant, plugin, key), |row| Ok((row.get(0)?, row.get(1)?)))?;
    connection
        .prepare_cached(
            "UPDATE deliveries SET token = ?5, attempts = attempts + 1
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4",
        )?
        .execute((tenant, plugin, key, number, token))?;
    let mut statement = connection.prepare_cached(
        "SELECT d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, o.id, o.event_type, o.payload,
                o.caused_by, o.depth
         FROM deliveries d JOIN outbox o ON o.seq = d.event
         WHERE d.tenant_id = ?1 AND d.plugin = ?2 AND d.key = ?3 AND d.number = ?4",
    )?;
    let mut rows = statement.query((tenant, plugin, key, number))?;
    read_delivery(rows.next()?.ok_or_else(|| Error::Unreadable("delivery"))?)
}

fn read_delivery(row: &Row<'_>) -> Result<Delivery> {
    Ok(Delivery {
        tenant: read_tenant(row, 0)?,
        plugin: read_plugin(row, 1)?,
        key: read_text(row, 2)?.to_owned(),
        number: row.get(3)?,
        token: ClaimToken(row.get(4)?),
        attempt: row.get(5)?,
        event: EventId(read_uuid(row, 6)?),
        event_type: read_event_type(row, 7)?,
        payload: read_text(row, 8)?.to_owned(),
        caused_by: read_user(row, 9)?,
        depth: row.get(10)?,
    })
}
