//! Gives events their numbers and makes their deliveries.

use std::borrow::Cow;
use std::collections::HashMap;

use erp_plugin_model::event::{EventPattern, key_in};
use erp_plugin_model::{EventType, PluginName};
use erp_plugin_storage::DispatchOutcome;
use futures_util::future::join3;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::{
    read_boolean, read_event_type, read_integer, read_pattern, read_plugin, read_text, read_uuid,
};
use crate::sql::Parameter;

/// One dispatcher after the other.
pub(crate) const LOCK_DISPATCHER: &str = "SELECT last_seq FROM erp_plugin.dispatcher WHERE single FOR UPDATE";
/// Events that have no numbers yet, the oldest of each tenant first and as many of one as of another, of the tenants from
/// the one after the last that had a turn. From tenant to tenant it goes by the index, however many events each has.
pub(crate) const UNNUMBERED: &str = "WITH RECURSIVE tenants AS (
         (SELECT tenant_id FROM erp_plugin.outbox WHERE seq IS NULL ORDER BY tenant_id LIMIT 1)
         UNION ALL
         SELECT (
             SELECT o.tenant_id FROM erp_plugin.outbox AS o
             WHERE o.seq IS NULL AND o.tenant_id > t.tenant_id ORDER BY o.tenant_id LIMIT 1
         ) FROM tenants AS t WHERE t.tenant_id IS NOT NULL
     ), turns AS (
         SELECT tenant_id, row_number() OVER (
             ORDER BY tenant_id <= (SELECT last_tenant FROM erp_plugin.dispatcher WHERE single), tenant_id
         ) AS turn FROM tenants WHERE tenant_id IS NOT NULL
         ORDER BY turn LIMIT $1
     )
     SELECT o.id, t.tenant_id, o.event_type, o.key, o.publisher
     FROM turns AS t CROSS JOIN LATERAL (
         SELECT id, event_type, key, publisher, xact, invocation, ordinal FROM erp_plugin.outbox
         WHERE tenant_id = t.tenant_id AND seq IS NULL ORDER BY xact, invocation, ordinal
         LIMIT (SELECT ($1 + count(*) - 1) / greatest(count(*), 1) FROM turns)
     ) AS o
     ORDER BY t.turn, o.xact, o.invocation, o.ordinal LIMIT $1";
/// What is subscribed to by the plugins that are enabled in these tenants. A plugin's patterns stand together.
const SUBSCRIBERS: &str = "SELECT s.tenant_id, s.plugin, s.pattern, s.own_events, s.key_field
     FROM erp_plugin.subscriptions AS s
     JOIN erp_plugin.activations AS a ON a.tenant_id = s.tenant_id AND a.plugin = s.plugin
     WHERE s.tenant_id = ANY($1) AND a.enabled ORDER BY s.tenant_id, s.plugin, s.ordinal";
/// What the platform's own subscribers get in every tenant.
const OF_PLATFORM: &str =
    "SELECT NULL, subscriber, pattern, true, NULL FROM erp_plugin.platform_subscriptions
     ORDER BY subscriber, pattern";
/// Payloads of events: tenants, ids.
const PAYLOADS: &str = "SELECT o.id, o.payload FROM erp_plugin.outbox AS o
     JOIN unnest($1::text[], $2::uuid[]) AS e(tenant_id, id) ON e.tenant_id = o.tenant_id AND e.id = o.id";
/// Tenants, ids, numbers.
const NUMBER: &str = "UPDATE erp_plugin.outbox AS o SET seq = n.seq
     FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS n(tenant_id, id, seq)
     WHERE o.tenant_id = n.tenant_id AND o.id = n.id";
const ADVANCE: &str = "UPDATE erp_plugin.dispatcher SET last_seq = $1, last_tenant = $2 WHERE single";
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
    key: Option<String>,
}

/// What is appended to a stream (tenant, subscriber, key): the events by their places in the round.
type Appended<'e> = HashMap<(&'e str, &'e str, Cow<'e, str>), Vec<usize>>;

pub(super) async fn dispatch(client: &Client, limit: u32) -> Result<DispatchOutcome> {
    let limit = [Parameter::Integer(i64::from(limit))];
    let (last, rows) = client.one_then_rows((LOCK_DISPATCHER, &[]), (UNNUMBERED, &limit)).await?;
    let first_seq = read_integer(&last, 0)? + 1;
    let events = rows.iter().map(read_unnumbered).collect::<Result<Vec<_>>>()?;
    let Some(last_tenant) = events.last().map(|event| event.tenant.as_str()) else {
        return Ok(DispatchOutcome::default());
    };
    let of_tenants = subscribers(client, &events).await?;
    let of_platform =
        client.rows(OF_PLATFORM, &[]).await?.iter().map(read_subscriber).collect::<Result<Vec<_>>>()?;
    let wanted = wanted(&events, &of_tenants, &of_platform);
    let payloads = payloads(client, &events, &wanted).await?;
    let appended = appended(&events, &wanted, &payloads);
    let deliveries = wanted.len();

    let seq = |at: usize| Parameter::Integer(first_seq.saturating_add_unsigned(at as u64));
    let numbers = [
        Parameter::many(events.iter().map(|event| Parameter::Text(&event.tenant))),
        Parameter::many(events.iter().map(|event| Parameter::Uuid(event.id))),
        Parameter::many((0..events.len()).map(seq)),
    ];
    let last = [seq(events.len() - 1), Parameter::Text(last_tenant)];
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
    appended: &'e Appended<'e>,
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

/// Which events go to whom: each event once to a subscriber, however many of its patterns match.
fn wanted<'e>(
    events: &'e [Unnumbered],
    of_tenants: &'e HashMap<String, Vec<Subscriber>>,
    of_platform: &'e [Subscriber],
) -> Vec<(usize, &'e Subscriber)> {
    let mut wanted = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let mut last = None;
        for subscriber in of_tenants.get(&event.tenant).into_iter().flatten().chain(of_platform) {
            let is_meant = subscriber.pattern.matches(&event.event_type)
                && (subscriber.own_events || subscriber.plugin.as_str() != event.publisher);
            // A subscriber's patterns stand together.
            if is_meant && last != Some(&subscriber.plugin) {
                last = Some(&subscriber.plugin);
                wanted.push((at, subscriber));
            }
        }
    }
    wanted
}

/// The payloads in which somebody looks for a key.
async fn payloads(
    client: &Client,
    events: &[Unnumbered],
    wanted: &[(usize, &Subscriber)],
) -> Result<HashMap<Uuid, String>> {
    let mut places: Vec<usize> =
        wanted.iter().filter(|(_, subscriber)| subscriber.key.is_some()).map(|(at, _)| *at).collect();
    places.dedup();
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let of = |value: for<'u> fn(&'u Unnumbered) -> Parameter<'u>| {
        Parameter::many(places.iter().filter_map(|at| events.get(*at)).map(value))
    };
    let parameters = [of(|event| Parameter::Text(&event.tenant)), of(|event| Parameter::Uuid(event.id))];
    let rows = client.rows(PAYLOADS, &parameters).await?;
    rows.iter().map(|row| Ok((read_uuid(row, 0)?, read_text(row, 1)?.to_owned()))).collect()
}

fn appended<'e>(
    events: &'e [Unnumbered],
    wanted: &[(usize, &'e Subscriber)],
    payloads: &HashMap<Uuid, String>,
) -> Appended<'e> {
    let mut appended = Appended::new();
    for (at, subscriber) in wanted {
        let Some(event) = events.get(*at) else { continue };
        let found = subscriber.key.as_ref().and_then(|field| key_in(payloads.get(&event.id)?, field));
        let key = found.map_or(Cow::Borrowed(event.key.as_str()), Cow::Owned);
        appended.entry((event.tenant.as_str(), subscriber.plugin.as_str(), key)).or_default().push(*at);
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
        subscribers.entry(read_text(&row, 0)?.to_owned()).or_default().push(read_subscriber(&row)?);
    }
    Ok(subscribers)
}

fn read_subscriber(row: &Row) -> Result<Subscriber> {
    Ok(Subscriber {
        plugin: read_plugin(row, 1)?,
        pattern: read_pattern(row, 2)?,
        own_events: read_boolean(row, 3)?,
        key: row.try_get(4)?,
    })
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
