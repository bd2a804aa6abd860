//! [`Dispatch`]: numbers events, claims streams, ends claims.
//!
//! The one writer makes the outbox's row order the order of the commits, so "oldest" is the lowest row. A stream's row says
//! which event is its head, so that nobody searches for waiting streams, however many events wait behind. A claim writes
//! the stream's new token into what it takes; whoever ends a delivery must hit that very row.

mod claim;
mod number;

use async_trait::async_trait;
use erp_plugin_model::event::{ClaimToken, Delivery};
use erp_plugin_model::{EventId, WorkerId};
use erp_plugin_storage::{ClaimRequest, Dispatch, DispatchOutcome, Failure, StorageResult};
use rusqlite::{Connection, Row};

use crate::error::Result;
use crate::names::{
    read_event_type, read_plugin, read_publisher, read_tenant, read_text, read_time, read_user, read_uuid,
};
use crate::transaction::SqlitePlatformTransaction;
use crate::workers;

#[cfg(test)]
pub(crate) use claim::{AHEAD, DUE, NEXT_STREAM, NEXT_TENANT};
#[cfg(test)]
pub(crate) use number::{NEXT_UNNUMBERED_TENANT, UNNUMBERED};

/// A delivery, out of `deliveries` as `d` and `outbox` as `o`.
pub(crate) const DELIVERY: &str =
    "d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, o.id, o.event_type,
         o.payload, o.publisher, o.published_at, o.caused_by, o.depth";
/// How many columns that is.
pub(crate) const DELIVERY_COLUMNS: usize = 13;

#[async_trait]
impl Dispatch for SqlitePlatformTransaction {
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome> {
        self.session.write_long("dispatch", |connection| number::dispatch(connection, limit))
    }

    async fn claim(&mut self, request: &ClaimRequest<'_>) -> StorageResult<Vec<Vec<Delivery>>> {
        self.session.write_long("claim", |connection| claim::claim(connection, request))
    }

    async fn end_claims(&mut self, worker: WorkerId, claims: &[&Delivery]) -> StorageResult<()> {
        self.session.write_long("end claims", |connection| {
            workers::beat(connection, worker)?;
            for delivery in claims {
                end_claim(connection, delivery, worker)?;
            }
            Ok(())
        })
    }

    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool> {
        self.session.write("record failure", |connection| {
            let Failure { delivery, error, at, retry_at } = failure;
            let at = at.timestamp_micros();
            let status = if retry_at.is_some() { "pending" } else { "dead" };
            let retry = retry_at.map(|retry_at| (retry_at.timestamp_micros(), at));
            if !is_claimed(connection, delivery)? || !end(connection, delivery, status, Some((error, at)))? {
                return Ok(false);
            }
            not_attempted(connection, delivery, delivery.number + 1)?;
            give_up(connection, delivery, retry)?;
            Ok(true)
        })
    }

    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        self.session.write("release", |connection| {
            if !is_claimed(connection, delivery)? || !not_attempted(connection, delivery, delivery.number)? {
                return Ok(false);
            }
            give_up(connection, delivery, None)?;
            Ok(true)
        })
    }
}

/// Marks a delivery as done; `false` when it is no longer this claim's.
pub(crate) fn mark_done(connection: &Connection, delivery: &Delivery) -> Result<bool> {
    end(connection, delivery, "done", None)
}

/// Writes how an attempt ended; `false` when the delivery is no longer this claim's.
fn end(
    connection: &Connection,
    delivery: &Delivery,
    status: &str,
    error: Option<(&str, i64)>,
) -> Result<bool> {
    let (tenant, plugin, key) = (delivery.tenant.as_str(), delivery.plugin.as_str(), delivery.key.as_str());
    let (error, at) = error.unzip();
    // The event as well: a stream that was pruned begins anew.
    let hit = connection
        .prepare_cached(
            "UPDATE deliveries SET status = ?7, last_error = coalesce(?8, last_error),
             failed_at = coalesce(?9, failed_at) WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND number = ?4
             AND token = ?5 AND status = 'pending'
             AND event = (SELECT seq FROM outbox WHERE tenant_id = ?1 AND id = ?6)",
        )?
        .execute((
            tenant,
            plugin,
            key,
            delivery.number,
            delivery.token.0,
            &delivery.event.0.as_bytes()[..],
            status,
            error,
            at,
        ))?;
    if hit == 0 {
        return Ok(false);
    }
    if status != "pending" {
        next_head(connection, tenant, plugin, key)?;
    }
    Ok(true)
}

/// Notes which of a stream's deliveries is the first that is pending.
pub(crate) fn next_head(connection: &Connection, tenant: &str, plugin: &str, key: &str) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE streams SET head_event = (
                 SELECT event FROM deliveries
                 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND status = 'pending' ORDER BY number LIMIT 1
             ) WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3",
        )?
        .execute((tenant, plugin, key))?;
    Ok(())
}

/// Whether the delivery's stream is still in the hands of this claim.
fn is_claimed(connection: &Connection, delivery: &Delivery) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM streams WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND token = ?4
         AND claimed_by IS NOT NULL",
    )?;
    let stream =
        (delivery.tenant.as_str(), delivery.plugin.as_str(), delivery.key.as_str(), delivery.token.0);
    Ok(statement.exists(stream)?)
}

/// What a claim took of its stream from this number on was not attempted; `false` if there was nothing of that.
fn not_attempted(connection: &Connection, delivery: &Delivery, from: i64) -> Result<bool> {
    let hit = connection
        .prepare_cached(
            "UPDATE deliveries SET attempts = attempts - 1 WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3
             AND number >= ?4 AND token = ?5 AND status = 'pending'",
        )?
        .execute((
            delivery.tenant.as_str(),
            delivery.plugin.as_str(),
            delivery.key.as_str(),
            from,
            delivery.token.0,
        ))?;
    Ok(hit > 0)
}

/// Ends the claim of a stream, if it is still this one of this worker.
fn end_claim(connection: &Connection, delivery: &Delivery, worker: WorkerId) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE streams SET claimed_by = NULL
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND token = ?4 AND claimed_by = ?5",
        )?
        .execute((
            delivery.tenant.as_str(),
            delivery.plugin.as_str(),
            delivery.key.as_str(),
            delivery.token.0,
            &worker.0.as_bytes()[..],
        ))?;
    Ok(())
}

/// Ends the claim of a stream, if it is still this one: the stream waits for others, or until it is to be tried again,
/// having failed at the second of these moments.
fn give_up(connection: &Connection, delivery: &Delivery, retry: Option<(i64, i64)>) -> Result<()> {
    let (retry_at, failed_at) = retry.unzip();
    connection
        .prepare_cached(
            "UPDATE streams SET claimed_by = NULL, retry_at = ?5, failed_at = ?6
             WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3 AND token = ?4 AND claimed_by IS NOT NULL",
        )?
        .execute((
            delivery.tenant.as_str(),
            delivery.plugin.as_str(),
            delivery.key.as_str(),
            delivery.token.0,
            retry_at,
            failed_at,
        ))?;
    Ok(())
}

/// Reads what [`DELIVERY`] selects.
pub(crate) fn read_delivery(row: &Row<'_>) -> Result<Delivery> {
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
        publisher: read_publisher(row, 9)?,
        published_at: read_time(row, 10)?,
        caused_by: read_user(row, 11)?,
        depth: row.get(12)?,
    })
}
