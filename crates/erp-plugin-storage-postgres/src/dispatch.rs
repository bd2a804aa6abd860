//! [`Dispatch`]: numbers events, claims deliveries, ends them.
//!
//! Whoever dispatches locks one row and reads what is unnumbered then, in the order of the transactions that published
//! it: of two where the second saw the first's commit, it has the greater transaction number. No clock and no sequence
//! decides, and a publisher that is still under way is numbered in a later round.
//!
//! A stream's row belongs to those who dispatch and claim. A handler ends its delivery and does not touch it: what
//! others wrote to a row since a transaction began cannot be written by it, and every stream that is being handled
//! grows meanwhile. So the head of a stream is looked up when it is claimed, the first of its deliveries that is
//! pending, and a stream that turns out to have none is noted as idle then.

use std::collections::HashMap;

use async_trait::async_trait;
use erp_plugin_model::event::{ClaimToken, Delivery, EventPattern};
use erp_plugin_model::ids::EventId;
use erp_plugin_model::{EventType, PluginName};
use erp_plugin_storage::{Dispatch, DispatchOutcome, Failure, Parked, StorageResult};
use futures_util::future::join3;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::{
    read_boolean, read_count, read_event_type, read_integer, read_plugin, read_tenant, read_text, read_user,
    read_uuid,
};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

/// One dispatcher after the other.
pub(crate) const LOCK_DISPATCHER: &str = "SELECT last_seq FROM erp_plugin.dispatcher WHERE single FOR UPDATE";
/// Events that have no numbers yet, the oldest first.
pub(crate) const UNNUMBERED: &str = "SELECT id, tenant_id, event_type, key, publisher FROM erp_plugin.outbox
     WHERE seq IS NULL ORDER BY xact, invocation, ordinal LIMIT $1";
/// What is subscribed to by the plugins that are enabled in these tenants. A plugin's patterns stand together.
const SUBSCRIBERS: &str = "SELECT s.tenant_id, s.plugin, s.pattern, s.own_events
     FROM erp_plugin.subscriptions AS s
     JOIN erp_plugin.activations AS a ON a.tenant_id = s.tenant_id AND a.plugin = s.plugin
     WHERE s.tenant_id = ANY($1) AND a.enabled ORDER BY s.tenant_id, s.plugin, s.ordinal";
/// Tenants, ids, numbers.
const NUMBER: &str = "UPDATE erp_plugin.outbox AS o SET seq = n.seq
     FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS n(tenant_id, id, seq)
     WHERE o.tenant_id = n.tenant_id AND o.id = n.id";
const ADVANCE: &str = "UPDATE erp_plugin.dispatcher SET last_seq = $1 WHERE single";
/// Appends deliveries to streams. Of streams, in the order in which everybody locks them: tenants, plugins, keys,
/// first events, how many deliveries. Of deliveries: tenants, plugins, keys, how many follow in the same stream,
/// events, their numbers.
const DELIVER: &str = "WITH appended AS (
         INSERT INTO erp_plugin.streams (tenant_id, plugin, key, last_number, waiting, token)
         SELECT n.tenant_id, n.plugin, n.key, n.many, n.seq, 0
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
             AS n(tenant_id, plugin, key, seq, many)
         ORDER BY n.tenant_id, n.plugin, n.key
         ON CONFLICT (tenant_id, plugin, key) DO UPDATE SET
             last_number = streams.last_number + excluded.last_number,
             waiting = coalesce(streams.waiting, excluded.waiting)
         RETURNING tenant_id, plugin, key, last_number
     )
     INSERT INTO erp_plugin.deliveries
         (tenant_id, plugin, key, number, event, seq, status, token, attempts)
     SELECT n.tenant_id, n.plugin, n.key, a.last_number - n.behind, n.event, n.seq, 'pending', 0, 0
     FROM unnest($6::text[], $7::text[], $8::text[], $9::bigint[], $10::uuid[], $11::bigint[])
         AS n(tenant_id, plugin, key, behind, event, seq)
     JOIN appended AS a ON a.tenant_id = n.tenant_id AND a.plugin = n.plugin AND a.key = n.key";
/// One round of claims after the other.
pub(crate) const LOCK_TURN: &str = "SELECT last_tenant FROM erp_plugin.claim_turn WHERE single FOR UPDATE";
/// So many streams that may have something waiting, of plugins that are enabled in tenants that are not suspended, round-robin by tenant from the one
/// after the last that had a turn; those at $2, $3, $4 are claimed already. Nobody waits for a stream that is being
/// appended to. From tenant to tenant it goes by the index, past however many streams each has.
pub(crate) const CANDIDATES: &str = "WITH RECURSIVE tenants AS (
         (SELECT tenant_id FROM erp_plugin.streams WHERE waiting IS NOT NULL ORDER BY tenant_id LIMIT 1)
         UNION ALL
         SELECT (
             SELECT s.tenant_id FROM erp_plugin.streams AS s
             WHERE s.waiting IS NOT NULL AND s.tenant_id > t.tenant_id ORDER BY s.tenant_id LIMIT 1
         ) FROM tenants AS t WHERE t.tenant_id IS NOT NULL
     ), ranked AS (
         SELECT s.tenant_id, s.plugin, s.key,
             row_number() OVER (PARTITION BY s.tenant_id ORDER BY s.waiting, s.plugin, s.key) AS rank
         FROM tenants AS t CROSS JOIN LATERAL (
             SELECT s.tenant_id, s.plugin, s.key, s.waiting FROM erp_plugin.streams AS s
             WHERE s.tenant_id = t.tenant_id AND s.waiting IS NOT NULL AND EXISTS (
                 SELECT FROM erp_plugin.activations AS a
                 WHERE a.tenant_id = s.tenant_id AND a.plugin = s.plugin AND a.enabled
             ) AND NOT EXISTS (
                 SELECT FROM unnest($2::text[], $3::text[], $4::text[]) AS c(tenant_id, plugin, key)
                 WHERE c.tenant_id = s.tenant_id AND c.plugin = s.plugin AND c.key = s.key
             ) ORDER BY s.waiting, s.plugin, s.key LIMIT $1
         ) AS s
         WHERE NOT EXISTS (
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
/// Claims the heads of streams that are locked, notes those that have none as idle, and whose turn it was: tenants,
/// plugins, keys. Sent apart from what locks them, so that it sees what was appended until then.
pub(crate) const CLAIM: &str = "WITH held AS (
         SELECT s.tenant_id, s.plugin, s.key, s.turn, d.number, d.seq
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS s(tenant_id, plugin, key, turn)
         LEFT JOIN LATERAL (
             SELECT number, seq FROM erp_plugin.deliveries AS d
             WHERE d.tenant_id = s.tenant_id AND d.plugin = s.plugin AND d.key = s.key AND d.status = 'pending'
             ORDER BY d.number LIMIT 1
         ) AS d ON true
     ), moved AS (
         UPDATE erp_plugin.streams AS s
         SET waiting = h.seq, token = s.token + CASE WHEN h.number IS NULL THEN 0 ELSE 1 END
         FROM held AS h WHERE s.tenant_id = h.tenant_id AND s.plugin = h.plugin AND s.key = h.key
         RETURNING h.tenant_id, h.plugin, h.key, h.number, h.turn, s.token
     ), claimed AS (
         UPDATE erp_plugin.deliveries AS d SET token = m.token, attempts = d.attempts + 1
         FROM moved AS m
         WHERE d.tenant_id = m.tenant_id AND d.plugin = m.plugin AND d.key = m.key AND d.number = m.number
             AND d.status = 'pending'
         RETURNING d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, d.event, m.turn
     ), turned AS (
         UPDATE erp_plugin.claim_turn SET last_tenant = (SELECT tenant_id FROM claimed ORDER BY turn DESC LIMIT 1)
         WHERE single AND EXISTS (SELECT FROM claimed)
     )
     SELECT c.tenant_id, c.plugin, c.key, c.number, c.token, c.attempts, o.id, o.event_type, o.payload, o.caused_by,
         o.depth
     FROM claimed AS c JOIN erp_plugin.outbox AS o ON o.tenant_id = c.tenant_id AND o.id = c.event
     ORDER BY c.turn";
/// A failed attempt: whose it is, the new status, the error, when.
const FAIL: &str = "UPDATE erp_plugin.deliveries SET status = $6, last_error = $7, failed_at = $8
     WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number = $4 AND token = $5 AND status = 'pending'";
const RELEASE: &str = "UPDATE erp_plugin.deliveries SET attempts = attempts - 1
     WHERE tenant_id = $1 AND plugin = $2 AND key = $3 AND number = $4 AND token = $5 AND attempts = $6
         AND status = 'pending'";
/// Deliveries that were set aside, the oldest event first.
pub(crate) const PARKED: &str = "SELECT d.tenant_id, d.plugin, d.key, d.number, d.token, d.attempts, o.id, o.event_type,
         o.payload, o.caused_by, o.depth, d.last_error
     FROM erp_plugin.deliveries AS d JOIN erp_plugin.outbox AS o ON o.tenant_id = d.tenant_id AND o.id = d.event
     WHERE d.status = 'parked' ORDER BY d.seq, d.tenant_id, d.plugin LIMIT $1";

#[async_trait]
impl Dispatch for PostgresPlatformTransaction {
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome> {
        let client = self.session.client();
        self.session.write("dispatch", dispatch(&client, limit)).await
    }

    async fn claim(&mut self, limit: u32) -> StorageResult<Vec<Delivery>> {
        let client = self.session.client();
        self.session.write("claim", claim(&client, limit)).await
    }

    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool> {
        let client = self.session.client();
        let Failure { delivery, error, park, at } = failure;
        let work = async {
            let mut parameters = claimed(delivery);
            parameters.extend([
                Parameter::Text(if park { "parked" } else { "pending" }),
                Parameter::Text(error),
                Parameter::Time(at),
            ]);
            Ok(client.execute(FAIL, &parameters).await? > 0)
        };
        self.session.write("record failure", work).await
    }

    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let mut parameters = claimed(delivery);
            parameters.push(Parameter::Integer(i64::from(delivery.attempt)));
            Ok(client.execute(RELEASE, &parameters).await? > 0)
        };
        self.session.write("release", work).await
    }

    async fn parked(&mut self, limit: u32) -> StorageResult<Vec<Parked>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows(PARKED, &[Parameter::Integer(i64::from(limit))]).await?;
            rows.iter()
                .map(|row| {
                    Ok(Parked { delivery: read_delivery(row)?, error: read_text(row, 11)?.to_owned() })
                })
                .collect()
        };
        self.session.run("parked", work).await
    }
}

/// The parameters that name a claim.
fn claimed(delivery: &Delivery) -> Vec<Parameter<'_>> {
    vec![
        Parameter::Text(delivery.tenant.as_str()),
        Parameter::Text(delivery.plugin.as_str()),
        Parameter::Text(&delivery.key),
        Parameter::Integer(delivery.number),
        Parameter::Integer(delivery.token.0),
    ]
}

struct Unnumbered {
    id: Uuid,
    tenant: String,
    event_type: EventType,
    key: String,
    publisher: String,
}

struct Subscriber {
    plugin: PluginName,
    pattern: EventPattern,
    own_events: bool,
}

/// What is appended to a stream: the events by their places in the round.
type Appended<'e> = HashMap<(&'e str, &'e str, &'e str), Vec<usize>>;

async fn dispatch(client: &Client, limit: u32) -> Result<DispatchOutcome> {
    let limit = [Parameter::Integer(i64::from(limit))];
    let (last, rows) = client.one_then_rows((LOCK_DISPATCHER, &[]), (UNNUMBERED, &limit)).await?;
    let first_seq = read_integer(&last, 0)? + 1;
    let events = rows.iter().map(read_unnumbered).collect::<Result<Vec<_>>>()?;
    if events.is_empty() {
        return Ok(DispatchOutcome::default());
    }
    let subscribers = subscribers(client, &events).await?;
    let appended = appended(&events, &subscribers);
    let deliveries = appended.values().map(Vec::len).sum::<usize>();

    let seq = |at: usize| Parameter::Integer(first_seq.saturating_add_unsigned(at as u64));
    let numbers = [
        Parameter::many(events.iter().map(|event| Parameter::Text(&event.tenant))),
        Parameter::many(events.iter().map(|event| Parameter::Uuid(event.id))),
        Parameter::many((0..events.len()).map(seq)),
    ];
    let last = [seq(events.len() - 1)];
    let to_deliver = to_deliver(&events, &appended, seq)?;
    client.ready(NUMBER).await?;
    client.ready(ADVANCE).await?;
    if deliveries > 0 {
        client.ready(DELIVER).await?;
    }
    let delivered =
        async { if deliveries == 0 { Ok(0) } else { client.execute(DELIVER, &to_deliver).await } };
    let (numbered, advanced, delivered) =
        join3(client.execute(NUMBER, &numbers), client.execute(ADVANCE, &last), delivered).await;
    numbered?;
    advanced?;
    delivered?;
    Ok(DispatchOutcome { events: events.len() as u64, deliveries: deliveries as u64 })
}

/// What [`DELIVER`] is given.
fn to_deliver<'e>(
    events: &'e [Unnumbered],
    appended: &Appended<'e>,
    seq: impl Fn(usize) -> Parameter<'e>,
) -> Result<[Parameter<'e>; 11]> {
    let first = |members: &Vec<usize>| members.first().map_or(Parameter::Null, |at| seq(*at));
    let (mut tenants, mut plugins, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let (mut behind, mut ids, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
    for ((tenant, plugin, key), members) in appended {
        for (at, following) in members.iter().zip((0..members.len()).rev()) {
            let event = events.get(*at).ok_or_else(|| Error::Unreadable("event"))?;
            tenants.push(Parameter::Text(tenant));
            plugins.push(Parameter::Text(plugin));
            keys.push(Parameter::Text(key));
            behind.push(Parameter::Integer(following as i64));
            ids.push(Parameter::Uuid(event.id));
            seqs.push(seq(*at));
        }
    }
    Ok([
        Parameter::many(appended.keys().map(|(tenant, _, _)| Parameter::Text(tenant))),
        Parameter::many(appended.keys().map(|(_, plugin, _)| Parameter::Text(plugin))),
        Parameter::many(appended.keys().map(|(_, _, key)| Parameter::Text(key))),
        Parameter::many(appended.values().map(first)),
        Parameter::many(appended.values().map(|members| Parameter::Integer(members.len() as i64))),
        Parameter::Many(tenants),
        Parameter::Many(plugins),
        Parameter::Many(keys),
        Parameter::Many(behind),
        Parameter::Many(ids),
        Parameter::Many(seqs),
    ])
}

fn appended<'e>(events: &'e [Unnumbered], subscribers: &'e HashMap<String, Vec<Subscriber>>) -> Appended<'e> {
    let mut appended = Appended::new();
    for (at, event) in events.iter().enumerate() {
        let mut last = None;
        for subscriber in subscribers.get(&event.tenant).into_iter().flatten() {
            let wanted = subscriber.pattern.matches(&event.event_type)
                && (subscriber.own_events || subscriber.plugin.as_str() != event.publisher);
            // Sorted by plugin: one delivery each, however many of its patterns match.
            if wanted && last != Some(&subscriber.plugin) {
                last = Some(&subscriber.plugin);
                let stream = (event.tenant.as_str(), subscriber.plugin.as_str(), event.key.as_str());
                appended.entry(stream).or_default().push(at);
            }
        }
    }
    appended
}

async fn subscribers(client: &Client, events: &[Unnumbered]) -> Result<HashMap<String, Vec<Subscriber>>> {
    let mut tenants: Vec<&str> = events.iter().map(|event| event.tenant.as_str()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let tenants = Parameter::many(tenants.into_iter().map(Parameter::Text));
    let mut subscribers: HashMap<String, Vec<Subscriber>> = HashMap::new();
    for row in client.rows(SUBSCRIBERS, &[tenants]).await? {
        subscribers.entry(read_text(&row, 0)?.to_owned()).or_default().push(Subscriber {
            plugin: read_plugin(&row, 1)?,
            pattern: EventPattern::parse(read_text(&row, 2)?)
                .map_err(|_| Error::Unreadable("event pattern"))?,
            own_events: read_boolean(&row, 3)?,
        });
    }
    Ok(subscribers)
}

async fn claim(client: &Client, limit: u32) -> Result<Vec<Delivery>> {
    let mut claimed: Vec<Delivery> = Vec::new();
    let limit = limit as usize;
    while claimed.len() < limit {
        let left = (limit - claimed.len()) as i64;
        let column = |value: fn(&Delivery) -> &str| {
            Parameter::many(claimed.iter().map(|delivery| Parameter::Text(value(delivery))))
        };
        let parameters = [
            Parameter::Integer(left),
            column(|delivery| delivery.tenant.as_str()),
            column(|delivery| delivery.plugin.as_str()),
            column(|delivery| &delivery.key),
        ];
        let (_, candidates) = client.one_then_rows((LOCK_TURN, &[]), (CANDIDATES, &parameters)).await?;
        if candidates.is_empty() {
            break;
        }
        let mut streams = [Vec::new(), Vec::new(), Vec::new()];
        for row in &candidates {
            for (column, values) in streams.iter_mut().enumerate() {
                values.push(Parameter::Text(read_text(row, column)?));
            }
        }
        let heads = client.rows(CLAIM, &streams.map(Parameter::Many)).await?;
        for row in &heads {
            claimed.push(read_delivery(row)?);
        }
        // A stream that gave none is idle now; or its head was ended in this moment, and the next one waits behind it.
        if heads.len() == candidates.len() && (candidates.len() as i64) < left {
            break;
        }
    }
    Ok(claimed)
}

fn read_unnumbered(row: &Row) -> Result<Unnumbered> {
    Ok(Unnumbered {
        id: read_uuid(row, 0)?,
        tenant: read_text(row, 1)?.to_owned(),
        event_type: read_event_type(row, 2)?,
        key: read_text(row, 3)?.to_owned(),
        publisher: read_text(row, 4)?.to_owned(),
    })
}

fn read_delivery(row: &Row) -> Result<Delivery> {
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
        caused_by: read_user(row, 9)?,
        depth: read_count(row, 10)?,
    })
}
