//! Claims streams, round-robin by tenant.

use std::collections::HashSet;

use erp_plugin_model::event::Delivery;
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::ClaimRequest;
use futures_util::future::join;
use tokio_postgres::Row;

use super::{DELIVERY_COLUMNS, read_delivery};
use crate::client::Client;
use crate::error::Result;
use crate::names::{read_count, read_text};
use crate::sql::Parameter;
use crate::workers;

/// The most streams that are woken in one go.
const MOST_WOKEN: i64 = 1000;

/// Streams whose head is to be tried again: until when, at most how many. None that others have.
pub(crate) const DUE: &str = "SELECT tenant_id, plugin, key FROM erp_plugin.streams
     WHERE retry_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED";
/// Streams whose head failed at a moment that is still to come: the clock went back.
pub(crate) const AHEAD: &str = "SELECT tenant_id, plugin, key FROM erp_plugin.streams
     WHERE retry_at IS NOT NULL AND failed_at > $1 LIMIT $2 FOR UPDATE SKIP LOCKED";
/// Has streams tried again: tenants, plugins, keys.
const WAKE: &str = "UPDATE erp_plugin.streams AS s SET retry_at = NULL, failed_at = NULL
     FROM unnest($1::text[], $2::text[], $3::text[]) AS c(tenant_id, plugin, key)
     WHERE s.tenant_id = c.tenant_id AND s.plugin = c.plugin AND s.key = c.key";
/// One round of claims after the other.
pub(crate) const LOCK_TURN: &str = "SELECT last_tenant FROM erp_plugin.claim_turn WHERE single FOR UPDATE";
/// So many streams that may have something waiting, of plugins that are enabled and not in quarantine at $8, in tenants that are not suspended, and of
/// the platform's subscribers at $5, not of the tenants at $6 and at most $7 of each, round-robin by tenant from the one after the last that had a turn; those at $2, $3, $4
/// were looked at already. Nobody waits for a stream that is being
/// appended to. From tenant to tenant it goes by the index, past however many streams each has.
pub(crate) const CANDIDATES: &str = "WITH RECURSIVE tenants AS (
         (
             SELECT tenant_id FROM erp_plugin.streams
             WHERE waiting IS NOT NULL AND claimed_by IS NULL AND retry_at IS NULL ORDER BY tenant_id LIMIT 1
         )
         UNION ALL
         SELECT (
             SELECT s.tenant_id FROM erp_plugin.streams AS s
             WHERE s.waiting IS NOT NULL AND s.claimed_by IS NULL AND s.retry_at IS NULL
                 AND s.tenant_id > t.tenant_id
             ORDER BY s.tenant_id LIMIT 1
         ) FROM tenants AS t WHERE t.tenant_id IS NOT NULL
     ), ranked AS (
         SELECT s.tenant_id, s.plugin, s.key,
             row_number() OVER (PARTITION BY s.tenant_id ORDER BY s.waiting, s.plugin, s.key) AS rank
         FROM tenants AS t CROSS JOIN LATERAL (
             SELECT s.tenant_id, s.plugin, s.key, s.waiting FROM erp_plugin.streams AS s
             WHERE s.tenant_id = t.tenant_id AND s.waiting IS NOT NULL AND s.claimed_by IS NULL AND s.retry_at IS NULL
             AND (s.plugin = ANY($5) OR EXISTS (
                 SELECT FROM erp_plugin.activations AS a
                 WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin AND a.enabled
                     AND (a.quarantined_until IS NULL OR a.quarantined_until <= $8)
             )) AND NOT EXISTS (
                 SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS c(tenant_id, plugin, key)
                 WHERE c.tenant_id = s.tenant_id AND c.plugin = s.plugin AND c.key = s.key
             ) ORDER BY s.waiting, s.plugin, s.key LIMIT least($1::bigint, $7::bigint)
         ) AS s
         WHERE NOT (t.tenant_id = ANY($6)) AND NOT EXISTS (
             SELECT FROM erp_plugin.tenants AS n WHERE n.id = t.tenant_id AND n.state = 'suspended'
         )
     ), chosen AS (
         SELECT *, row_number() OVER (
             ORDER BY rank, tenant_id <= (SELECT last_tenant FROM erp_plugin.claim_turn WHERE single), tenant_id
         ) AS turn FROM ranked
         ORDER BY turn LIMIT $1
     )
     SELECT s.tenant_id, s.plugin, s.key FROM chosen AS c
     JOIN erp_plugin.streams AS s
         ON s.tenant_id = c.tenant_id AND s.plugin = c.plugin AND s.key = c.key
     ORDER BY c.turn FOR UPDATE OF s SKIP LOCKED";
/// Claims the heads of streams that are locked and what follows them, notes those that have none as idle, and whose turn it
/// was: tenants, plugins, keys, the worker, how many of each. Sent apart from what locks them, so that it sees what was
/// appended until then.
pub(crate) const CLAIM: &str = "WITH held AS (
         SELECT s.tenant_id, s.plugin, s.key, s.turn, d.number, d.seq, coalesce(d.place, 1) AS place
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(tenant_id, plugin, key, turn)
         LEFT JOIN LATERAL (
             SELECT number, seq, row_number() OVER w AS place, bool_and(attempts = 0) OVER w AS fresh
             FROM (
                 SELECT number, seq, attempts FROM erp_plugin.deliveries AS d
                 WHERE d.tenant_id = s.tenant_id AND d.plugin = s.plugin AND d.key = s.key AND d.status = 'pending'
                 ORDER BY d.number LIMIT $5
             ) AS d WINDOW w AS (ORDER BY number)
         ) AS d ON d.place = 1 OR d.fresh
     ), moved AS (
         UPDATE erp_plugin.streams AS s
         SET waiting = h.seq, token = s.token + CASE WHEN h.number IS NULL THEN 0 ELSE 1 END,
             claimed_by = CASE WHEN h.number IS NULL THEN NULL ELSE $4::uuid END
         FROM held AS h
         WHERE s.tenant_id = h.tenant_id AND s.plugin = h.plugin AND s.key = h.key AND h.place = 1
         RETURNING h.tenant_id, h.plugin, h.key, s.token
     ), claimed AS (
         UPDATE erp_plugin.deliveries AS d SET token = m.token, attempts = d.attempts + 1
         FROM held AS h JOIN moved AS m ON m.tenant_id = h.tenant_id AND m.plugin = h.plugin AND m.key = h.key
         WHERE d.tenant_id = h.tenant_id AND d.plugin = h.plugin AND d.key = h.key AND d.number = h.number
             AND d.status = 'pending'
         RETURNING d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, d.event, h.turn
     ), turned AS (
         UPDATE erp_plugin.claim_turn SET last_tenant = (SELECT tenant_id FROM claimed ORDER BY turn DESC LIMIT 1)
         WHERE single AND EXISTS (SELECT FROM claimed)
     )
     SELECT d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, o.id, o.event_type, o.payload, o.publisher,
         o.published_at, o.caused_by, o.depth, d.turn
     FROM claimed AS d JOIN erp_plugin.outbox AS o ON o.tenant_id = d.tenant_id AND o.id = d.event
     ORDER BY d.turn, d.number";
/// Gives back streams of which nothing was claimed after all: tenants, plugins, keys, the worker.
const UNCLAIM: &str = "UPDATE erp_plugin.streams AS s SET claimed_by = NULL
     FROM unnest($1::text[], $2::text[], $3::text[]) AS c(tenant_id, plugin, key)
     WHERE s.tenant_id = c.tenant_id AND s.plugin = c.plugin AND s.key = c.key AND s.claimed_by = $4";

pub(super) async fn claim(client: &Client, request: &ClaimRequest<'_>) -> Result<Vec<Vec<Delivery>>> {
    workers::beat(client, request.worker).await?;
    wake(client, request).await?;
    let limit = request.streams as usize;
    let mut claimed: Vec<Vec<Delivery>> = Vec::new();
    let mut looked_at: Vec<[String; 3]> = Vec::new();
    while claimed.len() < limit {
        let left = (limit - claimed.len()) as i64;
        let of_platform = request.subscribers.iter().map(PluginName::as_str).map(Parameter::Text);
        let mut parameters = vec![Parameter::Integer(left)];
        parameters.extend(columns(&looked_at));
        parameters.push(Parameter::many(of_platform));
        let claimed_of = |tenant: &str| {
            claimed.iter().filter(|own| own.first().is_some_and(|own| own.tenant.as_str() == tenant)).count()
        };
        let full = request.full.iter().map(TenantId::as_str);
        let full_now = looked_at.iter().map(|[tenant, ..]| tenant.as_str());
        let full_now = full_now.filter(|tenant| claimed_of(tenant) >= request.per_tenant as usize);
        parameters.push(Parameter::many(full.chain(full_now).map(Parameter::Text)));
        parameters.push(Parameter::Integer(i64::from(request.per_tenant)));
        parameters.push(Parameter::Time(request.now));
        let (_, candidates) = client.one_then_rows((LOCK_TURN, &[]), (CANDIDATES, &parameters)).await?;
        if candidates.is_empty() {
            break;
        }
        let streams = candidates.iter().map(read_stream).collect::<Result<Vec<_>>>()?;
        let before = claimed.len();
        claim_streams(client, request, &streams, &mut claimed).await?;
        // A stream that gave none is idle now, or was worked off in this moment by somebody who was taken for dead.
        let all_gave = claimed.len() - before == streams.len();
        if all_gave && (streams.len() as i64) < left {
            break;
        }
        looked_at.extend(streams);
    }
    Ok(claimed)
}

async fn wake(client: &Client, request: &ClaimRequest<'_>) -> Result<()> {
    let parameters = [Parameter::Time(request.at), Parameter::Integer(MOST_WOKEN)];
    client.ready(DUE).await?;
    client.ready(AHEAD).await?;
    let (due, ahead) = join(client.rows(DUE, &parameters), client.rows(AHEAD, &parameters)).await;
    let streams = due?.iter().chain(&ahead?).map(read_stream).collect::<Result<Vec<_>>>()?;
    if !streams.is_empty() {
        client.execute(WAKE, &columns(&streams)).await?;
    }
    Ok(())
}

fn read_stream(row: &Row) -> Result<[String; 3]> {
    Ok([read_text(row, 0)?.to_owned(), read_text(row, 1)?.to_owned(), read_text(row, 2)?.to_owned()])
}

/// Claims what these streams have, and gives back those that have nothing.
async fn claim_streams(
    client: &Client,
    request: &ClaimRequest<'_>,
    streams: &[[String; 3]],
    claimed: &mut Vec<Vec<Delivery>>,
) -> Result<()> {
    let worker = Parameter::Uuid(request.worker.0);
    let mut parameters = Vec::from(columns(streams));
    parameters.extend([worker.clone(), Parameter::Integer(i64::from(request.batch.max(1)))]);
    let mut turns = HashSet::new();
    for row in &client.rows(CLAIM, &parameters).await? {
        let delivery = read_delivery(row)?;
        if turns.insert(read_count::<usize>(row, DELIVERY_COLUMNS)?) {
            claimed.push(vec![delivery]);
        } else if let Some(stream) = claimed.last_mut() {
            stream.push(delivery);
        }
    }
    // Turns are counted from 1.
    let idle: Vec<_> = streams
        .iter()
        .zip(1..)
        .filter(|(_, turn)| !turns.contains(turn))
        .map(|(stream, _)| stream.clone())
        .collect();
    if !idle.is_empty() {
        let mut parameters = Vec::from(columns(&idle));
        parameters.push(worker);
        client.execute(UNCLAIM, &parameters).await?;
    }
    Ok(())
}

/// Tenants, plugins, keys.
fn columns(streams: &[[String; 3]]) -> [Parameter<'_>; 3] {
    let column = |at: usize| {
        Parameter::many(
            streams.iter().map(|stream| Parameter::Text(stream.get(at).map_or("", String::as_str))),
        )
    };
    [column(0), column(1), column(2)]
}
