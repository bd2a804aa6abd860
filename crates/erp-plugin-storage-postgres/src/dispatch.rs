//! [`Dispatch`]: numbers events, claims streams, ends claims.
//!
//! Whoever dispatches locks one row and reads what is unnumbered then, in the order of the transactions that published
//! it: of two where the second saw the first's commit, it has the greater transaction number. No clock and no sequence
//! decides, and a publisher that is still under way is numbered in a later round. The lock is the dispatcher's lease: it
//! ends with its transaction, so that nobody can go on under one that others have by now.
//!
//! A stream's row belongs to those who dispatch and claim. A handler ends its delivery and does not touch it: what
//! others wrote to a row since a transaction began cannot be written by it, and every stream that is being handled
//! grows meanwhile. So the head of a stream is looked up when it is claimed and when the claim ends.
//!
//! Rows of streams are locked in the order of their keys, or not waited for; a worker's row before them.

mod claim;
mod number;

use async_trait::async_trait;
use erp_plugin_model::event::{ClaimToken, Delivery};
use erp_plugin_model::{EventId, WorkerId};
use erp_plugin_storage::{ClaimRequest, Dispatch, DispatchOutcome, Failure, StorageResult};
use tokio_postgres::Row;

use crate::error::Result;
use crate::names::{
    read_count, read_event_type, read_integer, read_plugin, read_publisher, read_tenant, read_text,
    read_time, read_user, read_uuid,
};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;
use crate::workers;

pub(crate) use claim::LOCK_TURN;
#[cfg(test)]
pub(crate) use claim::{AHEAD, CANDIDATES, CLAIM, DUE};
pub(crate) use number::LOCK_DISPATCHER;
#[cfg(test)]
pub(crate) use number::UNNUMBERED;

/// A delivery, out of `deliveries` as `d` and `outbox` as `o`.
pub(crate) const DELIVERY: &str =
    "d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, o.id, o.event_type,
         o.payload, o.publisher, o.published_at, o.caused_by, o.depth";
/// How many columns that is.
pub(crate) const DELIVERY_COLUMNS: usize = 13;

/// Has the row of a delivery's stream.
const LOCK_STREAM: &str =
    "SELECT token FROM erp_plugin.streams WHERE tenant_id = $1 AND plugin = $2 AND key = $3 FOR UPDATE";
/// A failed attempt: whose it is (stream, number, token, event), the new status, the error, when, when again. What was
/// claimed behind it was not attempted.
const FAIL: &str = "WITH failed AS (
         UPDATE erp_plugin.deliveries SET status = $7, last_error = $8, failed_at = $9
         WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number = $4 AND token = $5 AND event = $6
             AND status = 'pending' AND EXISTS (
                 SELECT FROM erp_plugin.streams
                 WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND token = $5 AND claimed_by IS NOT NULL
             )
         RETURNING number
     ), behind AS (
         UPDATE erp_plugin.deliveries SET attempts = attempts - 1
         WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number > $4 AND token = $5 AND status = 'pending'
             AND EXISTS (SELECT FROM failed)
     )
     UPDATE erp_plugin.streams SET claimed_by = NULL, retry_at = $10::timestamptz,
         failed_at = CASE WHEN $10::timestamptz IS NULL THEN NULL ELSE $9::timestamptz END,
         waiting = CASE WHEN $10::timestamptz IS NOT NULL THEN waiting ELSE (
             SELECT seq FROM erp_plugin.deliveries
             WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND status = 'pending' AND number <> $4
             ORDER BY number LIMIT 1
         ) END
     WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND EXISTS (SELECT FROM failed)";
/// What was not attempted: stream, first number, token.
const RELEASE: &str = "WITH released AS (
         UPDATE erp_plugin.deliveries SET attempts = attempts - 1
         WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number >= $4 AND token = $5 AND status = 'pending'
             AND EXISTS (
                 SELECT FROM erp_plugin.streams
                 WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND token = $5 AND claimed_by IS NOT NULL
             )
         RETURNING number
     )
     UPDATE erp_plugin.streams SET claimed_by = NULL
     WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND EXISTS (SELECT FROM released)";
/// Has the rows of streams, in the order in which everybody locks them: tenants, plugins, keys.
const LOCK_STREAMS: &str = "SELECT s.token FROM erp_plugin.streams AS s
     JOIN unnest($1::text[], $2::text[], $3::text[]) AS c(tenant_id, plugin, key)
         ON c.tenant_id = s.tenant_id AND c.plugin = s.plugin AND c.key = s.key
     ORDER BY s.tenant_id, s.plugin, s.key FOR UPDATE OF s";
/// Ends claims that are still the worker's: tenants, plugins, keys, tokens, the worker. Sent apart from what locks them, so
/// that it sees what was appended until then.
const END_CLAIMS: &str = "UPDATE erp_plugin.streams AS s SET claimed_by = NULL, waiting = (
         SELECT d.seq FROM erp_plugin.deliveries AS d
         WHERE d.tenant_id = c.tenant_id AND d.plugin = c.plugin AND d.key = c.key AND d.status = 'pending'
         ORDER BY d.number LIMIT 1
     ) FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS c(tenant_id, plugin, key, token)
     WHERE s.tenant_id = c.tenant_id AND s.plugin = c.plugin AND s.key = c.key AND s.token = c.token
         AND s.claimed_by = $5";

#[async_trait]
impl Dispatch for PostgresPlatformTransaction {
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome> {
        let client = self.session.client();
        self.session.write("dispatch", number::dispatch(&client, limit)).await
    }

    async fn claim(&mut self, request: &ClaimRequest<'_>) -> StorageResult<Vec<Vec<Delivery>>> {
        let client = self.session.client();
        self.session.write("claim", claim::claim(&client, request)).await
    }

    async fn end_claims(&mut self, worker: WorkerId, claims: &[&Delivery]) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            workers::beat(&client, worker).await?;
            if claims.is_empty() {
                return Ok(());
            }
            let column = |value: for<'d> fn(&'d Delivery) -> Parameter<'d>| {
                Parameter::many(claims.iter().map(|delivery| value(delivery)))
            };
            let mut parameters = vec![
                column(|delivery| Parameter::Text(delivery.tenant.as_str())),
                column(|delivery| Parameter::Text(delivery.plugin.as_str())),
                column(|delivery| Parameter::Text(&delivery.key)),
            ];
            client.rows(LOCK_STREAMS, &parameters).await?;
            parameters.push(column(|delivery| Parameter::Integer(delivery.token.0)));
            parameters.push(Parameter::Uuid(worker.0));
            client.execute(END_CLAIMS, &parameters).await?;
            Ok(())
        };
        self.session.write("end claims", work).await
    }

    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool> {
        let client = self.session.client();
        let Failure { delivery, error, at, retry_at } = failure;
        let work = async {
            let mut parameters = stream(delivery);
            client.rows(LOCK_STREAM, &parameters).await?;
            parameters.extend([
                Parameter::Integer(delivery.number),
                Parameter::Integer(delivery.token.0),
                Parameter::Uuid(delivery.event.0),
                Parameter::Text(if retry_at.is_some() { "pending" } else { "dead" }),
                Parameter::Text(error),
                Parameter::Time(at),
                retry_at.map_or(Parameter::Null, Parameter::Time),
            ]);
            Ok(client.execute(FAIL, &parameters).await? > 0)
        };
        self.session.write("record failure", work).await
    }

    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let mut parameters = stream(delivery);
            client.rows(LOCK_STREAM, &parameters).await?;
            parameters.extend([Parameter::Integer(delivery.number), Parameter::Integer(delivery.token.0)]);
            Ok(client.execute(RELEASE, &parameters).await? > 0)
        };
        self.session.write("release", work).await
    }
}

/// The parameters that name a delivery's stream.
fn stream(delivery: &Delivery) -> Vec<Parameter<'_>> {
    vec![
        Parameter::Text(delivery.tenant.as_str()),
        Parameter::Text(delivery.plugin.as_str()),
        Parameter::Text(&delivery.key),
    ]
}

/// Reads what [`DELIVERY`] selects.
pub(crate) fn read_delivery(row: &Row) -> Result<Delivery> {
    Ok(Delivery {
        tenant: read_tenant(row, 0)?,
        plugin: read_plugin(row, 1)?,
        key: read_text(row, 2)?.to_owned(),
        number: read_integer(row, 3)?,
        token: ClaimToken(read_integer(row, 4)?),
        attempt: read_count(row, 5)?,
        event: EventId(read_uuid(row, 6)?),
        event_type: read_event_type(row, 7)?,
        payload: read_text(row, 8)?.to_owned(),
        publisher: read_publisher(row, 9)?,
        published_at: read_time(row, 10)?,
        caused_by: read_user(row, 11)?,
        depth: read_count(row, 12)?,
    })
}
