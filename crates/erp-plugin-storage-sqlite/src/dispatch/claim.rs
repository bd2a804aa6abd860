//! Claims streams, round-robin by tenant.

use std::collections::VecDeque;

use erp_plugin_model::event::Delivery;
use erp_plugin_storage::ClaimRequest;
use rusqlite::Connection;

use super::{DELIVERY, read_delivery};
use crate::error::{Error, Result};
use crate::workers;

/// Has streams tried again whose head is due.
pub(crate) const DUE: &str =
    "UPDATE streams SET retry_at = NULL, failed_at = NULL WHERE retry_at IS NOT NULL AND retry_at <= ?1";
/// Has streams tried again whose head failed at a moment that is still to come: the clock went back.
pub(crate) const AHEAD: &str =
    "UPDATE streams SET retry_at = NULL, failed_at = NULL WHERE retry_at IS NOT NULL AND failed_at > ?1";
/// The next tenant that has a waiting stream of a plugin that is enabled there and in no quarantine, or of one of the platform's subscribers,
/// and is not suspended.
pub(crate) const NEXT_TENANT: &str = "SELECT tenant_id FROM streams AS s
     WHERE head_event IS NOT NULL AND claimed_by IS NULL AND retry_at IS NULL AND tenant_id > ?1 AND (
         (SELECT enabled AND coalesce(quarantined_until <= ?3, 1) FROM activations AS a
             WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin)
         OR s.plugin IN (SELECT value FROM json_each(?2))
     ) AND NOT EXISTS (SELECT 1 FROM tenants AS t WHERE t.id = s.tenant_id AND t.state = 'suspended')
     ORDER BY tenant_id LIMIT 1";
/// The next waiting stream of this tenant: the one whose event is the oldest.
pub(crate) const NEXT_STREAM: &str = "SELECT head_event, plugin, key FROM streams AS s
     WHERE tenant_id = ?1 AND head_event IS NOT NULL AND claimed_by IS NULL AND retry_at IS NULL
         AND (head_event, plugin, key) > (?2, ?3, ?4) AND (
         (SELECT enabled AND coalesce(quarantined_until <= ?6, 1) FROM activations AS a
             WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin)
         OR s.plugin IN (SELECT value FROM json_each(?5))
     ) ORDER BY head_event, plugin, key LIMIT 1";

/// A tenant in the round of claims, and its stream that was claimed last: head event, plugin, key.
struct Turn {
    tenant: String,
    claimed: u32,
    after: (i64, String, String),
}

pub(super) fn claim(connection: &Connection, request: &ClaimRequest<'_>) -> Result<Vec<Vec<Delivery>>> {
    workers::beat(connection, request.worker)?;
    for woken in [DUE, AHEAD] {
        connection.prepare_cached(woken)?.execute([request.at.timestamp_micros()])?;
    }
    let limit = request.streams as usize;
    // Names, so no character needs an escape.
    let names: Vec<String> = request.subscribers.iter().map(|name| format!("\"{name}\"")).collect();
    let subscribers = format!("[{}]", names.join(","));
    let mut turns = waiting_tenants(connection, request, &subscribers)?;
    let mut claimed: Vec<Vec<Delivery>> = Vec::new();
    let mut last = None;
    while claimed.len() < limit
        && let Some(mut turn) = turns.pop_front()
    {
        if let Some(next) = next_stream(connection, &turn, &subscribers, request)? {
            turn.after = next;
            claimed.push(claim_stream(connection, &turn, request)?);
            last = Some(turn.tenant.clone());
            turn.claimed += 1;
            if turn.claimed < request.per_tenant {
                turns.push_back(turn);
            }
        }
    }
    if let Some(last) = last {
        connection.prepare_cached("UPDATE turns SET claimed = ?1")?.execute([last])?;
    }
    Ok(claimed)
}

/// Tenants that have waiting streams, beginning after the one that had the last turn.
fn waiting_tenants(
    connection: &Connection,
    request: &ClaimRequest<'_>,
    subscribers: &str,
) -> Result<VecDeque<Turn>> {
    let is_full = |tenant: &str| request.full.iter().any(|full| full.as_str() == tenant);
    let last: String =
        connection.prepare_cached("SELECT claimed FROM turns")?.query_row((), |row| row.get(0))?;
    let mut next = connection.prepare_cached(NEXT_TENANT)?;
    let tenants = round(&last, request.streams as usize, |after| {
        let mut after = after.to_owned();
        loop {
            let mut rows = next.query((&after, subscribers, request.now.timestamp_micros()))?;
            let found: Option<String> = rows.next()?.map(|row| row.get(0)).transpose()?;
            match found {
                Some(full) if is_full(&full) => after = full,
                found => return Ok(found),
            }
        }
    })?;
    Ok(tenants
        .into_iter()
        .map(|tenant| Turn { tenant, claimed: 0, after: (i64::MIN, String::new(), String::new()) })
        .collect())
}

/// At most `limit` tenants in their order, beginning after this one and going round.
pub(super) fn round(
    last: &str,
    limit: usize,
    mut next: impl FnMut(&str) -> Result<Option<String>>,
) -> Result<Vec<String>> {
    let mut tenants = Vec::new();
    let (mut after, mut wrapped) = (last.to_owned(), false);
    while tenants.len() < limit {
        match next(&after)? {
            Some(tenant) => after = tenant,
            None if !wrapped => {
                (after, wrapped) = (String::new(), true);
                continue;
            }
            None => break,
        }
        if wrapped && after.as_str() > last {
            break;
        }
        tenants.push(after.clone());
    }
    Ok(tenants)
}

fn next_stream(
    connection: &Connection,
    turn: &Turn,
    subscribers: &str,
    request: &ClaimRequest<'_>,
) -> Result<Option<(i64, String, String)>> {
    let (event, plugin, key) = &turn.after;
    let mut statement = connection.prepare_cached(NEXT_STREAM)?;
    let now = request.now.timestamp_micros();
    let mut rows = statement.query((&turn.tenant, event, plugin, key, subscribers, now))?;
    Ok(match rows.next()? {
        Some(row) => Some((row.get(0)?, row.get(1)?, row.get(2)?)),
        None => None,
    })
}

fn claim_stream(connection: &Connection, turn: &Turn, request: &ClaimRequest<'_>) -> Result<Vec<Delivery>> {
    let Turn { tenant, after: (_, plugin, key), .. } = turn;
    let token: i64 = connection
        .prepare_cached(
            "UPDATE streams SET token = token + 1, claimed_by = ?4 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3
             RETURNING token",
        )?
        .query_row((tenant, plugin, key, &request.worker.0.as_bytes()[..]), |row| row.get(0))?;
    // The first, and those behind it as long as none was attempted.
    let mut statement = connection.prepare_cached(
        "SELECT number, attempts FROM deliveries
         WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND status = 'pending' ORDER BY number LIMIT ?4",
    )?;
    let mut rows = statement.query((tenant, plugin, key, request.batch.max(1)))?;
    let (mut numbers, mut fresh) = (Vec::new(), true);
    while let Some(row) = rows.next()? {
        let (number, attempts): (i64, i64) = (row.get(0)?, row.get(1)?);
        fresh &= attempts == 0;
        if !numbers.is_empty() && !fresh {
            break;
        }
        numbers.push(number);
    }
    drop(rows);
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET token = ?5, attempts = attempts + 1
         WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4",
    )?;
    let mut select = connection.prepare_cached(&format!(
        "SELECT {DELIVERY} FROM deliveries d JOIN outbox o ON o.seq = d.event
         WHERE d.tenant_id = ?1 AND d.plugin = ?2 AND d.key = ?3 AND d.number = ?4"
    ))?;
    let mut claimed = Vec::with_capacity(numbers.len());
    for number in numbers {
        update.execute((tenant, plugin, key, number, token))?;
        let mut rows = select.query((tenant, plugin, key, number))?;
        claimed.push(read_delivery(rows.next()?.ok_or_else(|| Error::Unreadable("delivery"))?)?);
    }
    if claimed.is_empty() {
        return Err(Error::Unreadable("stream"));
    }
    Ok(claimed)
}
