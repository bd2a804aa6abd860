//! From the outbox to the subscribers: numbers, claims, failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::WorkerId;
use erp_plugin_model::event::{Delivery, EventPattern, NewEvent, Publisher};
use erp_plugin_storage::{
    ActivationState, ClaimRequest, DeadLetter, DeadLetterFilter, DispatchOutcome, Quarantine, Storage,
    Subscription, TenantState,
};

use crate::fixture::{
    ALPHA, BETA, claim, claim_as, claim_with, done, event, fail, pattern, platform, plugin, publish, request,
    retire_all, subscribe, tenant, time, work, worker, write,
};

/// When a failure is to be tried again, long before the next claim.
const SOON: Option<DateTime<Utc>> = DateTime::from_timestamp_micros(0);

async fn end_claims(storage: &Arc<dyn Storage>, worker: WorkerId, claims: &[&Delivery]) {
    let mut platform = platform(storage).await;
    platform.end_claims(worker, claims).await.unwrap();
    platform.commit().await.unwrap();
}

async fn dead_letters(storage: &Arc<dyn Storage>) -> Vec<DeadLetter> {
    platform(storage).await.dead_letters(&DeadLetterFilter::default(), None, 10).await.unwrap()
}

async fn dispatch(storage: &Arc<dyn Storage>, limit: u32) -> DispatchOutcome {
    let mut platform = platform(storage).await;
    let outcome = platform.dispatch(limit).await.unwrap();
    platform.commit().await.unwrap();
    outcome
}

/// Enables or disables a plugin that subscribes to everything.
async fn set_enabled(storage: &Arc<dyn Storage>, tenant: &str, name: &str, enabled: bool) {
    let state = ActivationState {
        plugin: plugin(name),
        version: semver::Version::new(1, 0, 0),
        enabled,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let everything = Subscription { pattern: EventPattern::everything(), own_events: false, key: None };
    let mut transaction = write(storage, tenant).await;
    transaction.set_activation(&state, &[everything]).await.unwrap();
    transaction.commit(None).await.unwrap();
}

fn payloads(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.payload.as_str()).collect()
}

/// Works until nothing is left, and returns what each stream was given, in order.
async fn drain(storage: &Arc<dyn Storage>) -> BTreeMap<(String, String, String), Vec<Delivery>> {
    let mut streams: BTreeMap<_, Vec<Delivery>> = BTreeMap::new();
    loop {
        let claimed = work(storage).await;
        if claimed.is_empty() {
            return streams;
        }
        for delivery in claimed {
            done(storage, &delivery).await;
            let stream = (delivery.tenant.to_string(), delivery.plugin.to_string(), delivery.key.clone());
            streams.entry(stream).or_default().push(delivery);
        }
    }
}

pub async fn an_event_goes_once_to_each_plugin_that_subscribes_to_it(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "all", &["*"]).await;
    subscribe(&storage, ALPHA, "exact", &["order.created"]).await;
    subscribe(&storage, ALPHA, "twice", &["order.*", "order.created", "*"]).await;
    subscribe(&storage, ALPHA, "other", &["invoice.*", "orders.created", "order.created.late"]).await;
    subscribe(&storage, ALPHA, "none", &[]).await;
    subscribe(&storage, BETA, "elsewhere", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    let outcome = dispatch(&storage, 10).await;
    assert_eq!(outcome, DispatchOutcome { events: 1, deliveries: 3 });
    let plugins: Vec<_> = drain(&storage).await.into_keys().map(|(_, plugin, _)| plugin).collect();
    assert_eq!(plugins, ["all", "exact", "twice"]);
}

pub async fn a_plugin_gets_its_own_events_only_if_it_asks(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    for (name, own_events) in [("modest", false), ("vain", true)] {
        let state = ActivationState {
            plugin: plugin(name),
            version: semver::Version::new(1, 0, 0),
            enabled: true,
            tenant_told: true,
            pinned: false,
            quarantine: None,
        };
        let subscription = Subscription { pattern: EventPattern::everything(), own_events, key: None };
        transaction.set_activation(&state, &[subscription]).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
    let by = |name: &str, ordinal| NewEvent {
        publisher: Publisher::Plugin(plugin(name)),
        ..event("order.created", "k", ordinal)
    };
    publish(&storage, ALPHA, &[by("modest", 0), by("vain", 1)]).await;
    let streams = drain(&storage).await;
    let got = |name: &str| payloads(&streams[&(ALPHA.to_owned(), name.to_owned(), "k".to_owned())]);
    assert_eq!(got("modest"), [r#"{"n":1}"#]);
    assert_eq!(got("vain"), [r#"{"n":0}"#, r#"{"n":1}"#]);
}

pub async fn events_of_a_stream_come_in_order_and_numbered_from_one(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    subscribe(&storage, ALPHA, "stock", &["*"]).await;
    subscribe(&storage, BETA, "sales", &["*"]).await;
    for round in 0..4 {
        for tenant in [ALPHA, BETA] {
            let events: Vec<_> =
                (0..6).map(|n| event("order.created", ["a", "b"][n as usize % 2], round * 6 + n)).collect();
            publish(&storage, tenant, &events).await;
        }
    }
    let streams = drain(&storage).await;
    assert_eq!(streams.len(), 6);
    for ((_, _, key), deliveries) in streams {
        let odd = u32::from(key == "b");
        let expected: Vec<_> = (0..12).map(|n| format!("{{\"n\":{}}}", 2 * n + odd)).collect();
        assert_eq!(payloads(&deliveries), expected);
        assert!(deliveries.iter().map(|delivery| delivery.number).eq(1..=12));
    }
}

pub async fn events_without_subscribers_are_numbered_once_and_for_all(storage: Arc<dyn Storage>) {
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    assert_eq!(dispatch(&storage, 10).await, DispatchOutcome { events: 1, deliveries: 0 });
    // Who comes later does not get what was before.
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    assert_eq!(dispatch(&storage, 10).await, DispatchOutcome::default());
    publish(&storage, ALPHA, &[event("order.created", "k", 1)]).await;
    let claimed = work(&storage).await;
    assert_eq!((payloads(&claimed), claimed[0].number), (vec![r#"{"n":1}"#], 1));
}

pub async fn a_round_numbers_at_most_its_limit_the_oldest_first(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    let events: Vec<_> = (0..5).map(|n| event("order.created", &format!("k{n}"), n)).collect();
    publish(&storage, ALPHA, &events).await;
    assert_eq!(dispatch(&storage, 2).await, DispatchOutcome { events: 2, deliveries: 2 });
    assert_eq!(payloads(&claim(&storage, 10).await), [r#"{"n":0}"#, r#"{"n":1}"#]);
    assert_eq!(dispatch(&storage, 10).await, DispatchOutcome { events: 3, deliveries: 3 });
    assert_eq!(dispatch(&storage, 10).await, DispatchOutcome::default());
}

pub async fn subscriptions_count_as_they_stand_when_the_event_is_numbered(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "before", &["*"]).await;
    subscribe(&storage, ALPHA, "changed", &["invoice.*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    subscribe(&storage, ALPHA, "changed", &["order.*"]).await;
    set_enabled(&storage, ALPHA, "before", false).await;
    let claimed = work(&storage).await;
    assert_eq!(claimed.iter().map(|delivery| delivery.plugin.as_str()).collect::<Vec<_>>(), ["changed"]);
}

pub async fn a_claim_takes_what_waits_in_a_stream_up_to_a_batch(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2, 3].map(|n| event("order.created", "k", n))).await;
    publish(&storage, ALPHA, &[event("order.created", "l", 4)]).await;
    dispatch(&storage, 10).await;
    let claimed = claim_as(&storage, worker(), 10, 3).await;
    let found: Vec<_> = claimed.iter().map(|stream| payloads(stream)).collect();
    assert_eq!(found, [vec![r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#], vec![r#"{"n":4}"#]]);
    assert!(claimed[0].iter().map(|delivery| delivery.number).eq(1..=3));
    assert!(claimed.iter().flatten().all(|delivery| (delivery.attempt, delivery.token.0) == (1, 1)));
    for delivery in &claimed[0] {
        done(&storage, delivery).await;
    }
    // The head alone, where no more is asked for.
    assert_eq!(payloads(&claim(&storage, 1).await), [r#"{"n":3}"#]);
}

pub async fn what_was_attempted_before_is_claimed_alone(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2, 3].map(|n| event("order.created", "k", n))).await;
    dispatch(&storage, 10).await;
    assert_eq!(claim_as(&storage, worker(), 10, 3).await[0].len(), 3);
    // The process died with three in hand, the first of which killed it.
    retire_all(&storage).await;
    let alone = claim_as(&storage, worker(), 10, 3).await.remove(0);
    assert_eq!(alone.iter().map(|own| (own.number, own.attempt)).collect::<Vec<_>>(), [(1, 2)]);
    done(&storage, &alone[0]).await;
    retire_all(&storage).await;
    let others = claim_as(&storage, worker(), 10, 3).await.remove(0);
    assert_eq!(
        others.iter().map(|own| (own.number, own.attempt)).collect::<Vec<_>>(),
        [(2, 1), (3, 1), (4, 1)]
    );
}

pub async fn a_stream_is_in_one_workers_hands(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2].map(|n| event("order.created", "k", n))).await;
    publish(&storage, ALPHA, &[event("order.created", "l", 3)]).await;
    dispatch(&storage, 10).await;
    let (one, other) = (worker(), worker());
    let first = claim_as(&storage, one, 1, 2).await.remove(0);
    assert_eq!(payloads(&first), [r#"{"n":0}"#, r#"{"n":1}"#]);
    assert_eq!(payloads(&claim_as(&storage, other, 10, 2).await.concat()), [r#"{"n":3}"#]);
    for delivery in &first {
        done(&storage, delivery).await;
        assert!(claim_as(&storage, one, 10, 1).await.is_empty(), "it has the stream");
    }
    // Not somebody else's to end.
    end_claims(&storage, other, &[&first[1]]).await;
    assert!(claim_as(&storage, other, 10, 1).await.is_empty());
    // What comes meanwhile waits too.
    publish(&storage, ALPHA, &[event("order.created", "k", 4)]).await;
    dispatch(&storage, 10).await;
    end_claims(&storage, one, &[&first[1]]).await;
    let rest = claim_as(&storage, other, 10, 2).await;
    assert_eq!(payloads(&rest.concat()), [r#"{"n":2}"#, r#"{"n":4}"#]);
}

pub async fn an_ended_claim_is_nobodys_to_end(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1].map(|n| event("order.created", "k", n))).await;
    dispatch(&storage, 10).await;
    let one = worker();
    let first = claim_as(&storage, one, 10, 1).await.concat();
    done(&storage, &first[0]).await;
    end_claims(&storage, one, &[&first[0]]).await;
    let second = claim_as(&storage, one, 10, 1).await.concat();
    assert_eq!(second[0].number, 2);
    // The end of the first claim, once more, is not that of the second.
    end_claims(&storage, one, &[&first[0]]).await;
    assert!(claim_as(&storage, worker(), 10, 1).await.is_empty());
}

pub async fn a_failure_gives_the_rest_of_its_claim_back(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2, 3].map(|n| event("order.created", "k", n))).await;
    dispatch(&storage, 10).await;
    let claimed = claim_as(&storage, worker(), 10, 4).await.remove(0);
    done(&storage, &claimed[0]).await;
    assert!(fail(&storage, &claimed[1], "it broke", None).await);
    // What was not attempted does not count as that: it comes in one go again.
    let rest = claim_as(&storage, worker(), 10, 4).await.concat();
    assert_eq!(payloads(&rest), [r#"{"n":2}"#, r#"{"n":3}"#]);
    assert!(rest.iter().all(|delivery| delivery.attempt == 1));
    assert!(!fail(&storage, &claimed[2], "late", SOON).await, "another claim's by now");
}

pub async fn a_failed_delivery_waits_for_its_time(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0), event("order.created", "l", 1)]).await;
    dispatch(&storage, 10).await;
    let at = async |at: i64| {
        let request = ClaimRequest { at: time(at), batch: 2, ..request() };
        claim_with(&storage, &request).await.concat()
    };
    let claimed = at(1).await;
    assert_eq!(claimed.len(), 2);
    // It failed at nine o'clock.
    assert!(fail(&storage, &claimed[0], "it broke", Some(time(20))).await);
    assert!(at(9).await.is_empty() && at(19).await.is_empty());
    let again = at(20).await;
    assert_eq!((again.len(), again[0].event, again[0].attempt), (1, claimed[0].event, 2));
    // A clock that went back before the failure is no reason to wait for it to come again.
    assert!(fail(&storage, &again[0], "it broke", Some(time(20))).await);
    assert_eq!(at(8).await.len(), 1);
}

pub async fn a_subscription_finds_its_key_in_the_payload(storage: Arc<dyn Storage>) {
    let state = ActivationState {
        plugin: plugin("sales"),
        version: semver::Version::new(1, 0, 0),
        enabled: true,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let of = |text: &str, key: Option<&str>| Subscription {
        pattern: pattern(text),
        own_events: false,
        key: key.map(str::to_owned),
    };
    // The first that matches says which.
    let subscriptions = [of("order.paid", None), of("order.*", Some("customer")), of("*", Some("n"))];
    let mut transaction = write(&storage, ALPHA).await;
    transaction.set_activation(&state, &subscriptions).await.unwrap();
    transaction.commit(None).await.unwrap();
    let with = |event_type: &str, payload: &str, ordinal| NewEvent {
        payload: payload.to_owned(),
        ..event(event_type, "own", ordinal)
    };
    publish(
        &storage,
        ALPHA,
        &[
            with("order.created", r#"{"customer":"a"}"#, 0),
            with("order.created", r#"{"customer":"b","n":1}"#, 1),
            with("order.changed", r#"{"customer":"a"}"#, 2),
            with("order.paid", r#"{"customer":"a"}"#, 3),
            with("order.created", r#"{"customer":null}"#, 4),
            with("stock.low", r#"{"n":7}"#, 5),
        ],
    )
    .await;
    let streams = drain(&storage).await;
    let keys: Vec<_> = streams.iter().map(|((_, _, key), own)| (key.as_str(), own.len())).collect();
    assert_eq!(keys, [("7", 1), ("a", 2), ("b", 1), ("own", 2)]);
}

pub async fn a_round_takes_as_many_events_of_one_tenant_as_of_another(storage: Arc<dyn Storage>) {
    for tenant in ["a", "b", "c"] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
    }
    // One tenant has much more to do, and was first.
    let many: Vec<_> = (0..50).map(|n| event("order.created", "k", n)).collect();
    publish(&storage, "a", &many).await;
    for tenant in ["b", "c"] {
        publish(&storage, tenant, &[0, 1, 2].map(|n| event("order.created", "k", n))).await;
    }
    let numbered = async || {
        let mut platform = platform(&storage).await;
        let mut counts = Vec::new();
        for name in ["a", "b", "c"] {
            counts.push(platform.backlog(Some(&tenant(name))).await.unwrap().pending);
        }
        platform.rollback().await.unwrap();
        counts
    };
    assert_eq!(dispatch(&storage, 9).await.events, 9);
    assert_eq!(numbered().await, [3, 3, 3]);
    assert_eq!(dispatch(&storage, 9).await.events, 9);
    assert_eq!(numbered().await, [12, 3, 3]);
    // A round that is too short for all goes on where the last one ended.
    for tenant in ["b", "c"] {
        publish(&storage, tenant, &[event("order.created", "k", 3)]).await;
    }
    for _ in 0..3 {
        assert_eq!(dispatch(&storage, 1).await.events, 1);
    }
    assert_eq!(numbered().await, [13, 4, 4]);
}

pub async fn each_claim_raises_token_and_attempt(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0), event("order.created", "k", 1)]).await;
    let mut last = work(&storage).await.remove(0);
    assert_eq!(last.attempt, 1);
    for attempt in 2..5 {
        let next = claim(&storage, 10).await.remove(0);
        assert_eq!((next.attempt, next.number), (attempt, last.number));
        assert!(next.token > last.token);
        last = next;
    }
    // The token rises over the whole stream, the attempts are the delivery's.
    done(&storage, &last).await;
    let next = claim(&storage, 10).await.remove(0);
    assert!(next.token > last.token);
    assert_eq!((next.attempt, next.number), (1, 2));
}

pub async fn a_claim_that_is_rolled_back_was_none(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    dispatch(&storage, 10).await;
    let mut undone = platform(&storage).await;
    let request = ClaimRequest { at: time(9), batch: 1, ..request() };
    assert_eq!(undone.claim(&request).await.unwrap().len(), 1);
    undone.rollback().await.unwrap();
    assert_eq!(claim(&storage, 10).await[0].attempt, 1);
}

pub async fn claims_go_round_robin_by_tenant(storage: Arc<dyn Storage>) {
    for tenant in ["a", "b", "c"] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
    }
    // One tenant has much more to do, and was first.
    let busy: Vec<_> = (0..10).map(|n| event("order.created", &format!("k{n}"), n)).collect();
    publish(&storage, "a", &busy).await;
    for tenant in ["b", "c"] {
        publish(&storage, tenant, &[event("order.created", "k", 0), event("order.created", "l", 1)]).await;
    }
    dispatch(&storage, 100).await;
    let tenants =
        |claimed: &[Delivery]| claimed.iter().map(|delivery| delivery.tenant.to_string()).collect::<String>();
    assert_eq!(tenants(&claim(&storage, 100).await), "abcabcaaaaaaaa");
    // A round that is too short for all goes on where the last one ended.
    let mut turns = String::new();
    for _ in 0..6 {
        let claimed = claim(&storage, 1).await;
        turns.push_str(&tenants(&claimed));
    }
    assert_eq!(turns.matches('b').count(), 2, "{turns}");
    assert_eq!(turns.matches('c').count(), 2, "{turns}");
}

pub async fn a_claim_takes_at_most_its_limit(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    let events: Vec<_> = (0..5).map(|n| event("order.created", &format!("k{n}"), n)).collect();
    publish(&storage, ALPHA, &events).await;
    dispatch(&storage, 100).await;
    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (100, 5)] {
        assert_eq!(claim(&storage, limit).await.len(), expected);
    }
}

pub async fn a_claim_leaves_room_for_other_tenants(storage: Arc<dyn Storage>) {
    for tenant in ["a", "b", "c"] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
        let events: Vec<_> = (0..5).map(|n| event("order.created", &format!("k{n}"), n)).collect();
        publish(&storage, tenant, &events).await;
    }
    dispatch(&storage, 100).await;
    let full = [tenant("b")];
    let request = ClaimRequest { per_tenant: 2, full: &full, ..request() };
    let claimed = claim_with(&storage, &request).await;
    let tenants: String = claimed.iter().flatten().map(|own| own.tenant.to_string()).collect();
    assert_eq!(tenants, "acac");
    let request = ClaimRequest { streams: 100, per_tenant: 4, ..request };
    assert_eq!(claim_with(&storage, &request).await.len(), 6, "what is left of both");
}

pub async fn streams_that_were_worked_off_take_nobodys_place(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    let events: Vec<_> = (0..3).map(|n| event("order.created", &format!("k{n}"), n)).collect();
    publish(&storage, ALPHA, &events).await;
    dispatch(&storage, 100).await;
    let first = claim(&storage, 2).await;
    assert_eq!(payloads(&first), [r#"{"n":0}"#, r#"{"n":1}"#]);
    for delivery in &first {
        done(&storage, delivery).await;
    }
    assert_eq!(payloads(&claim(&storage, 1).await), [r#"{"n":2}"#]);
}

pub async fn a_disabled_plugins_deliveries_wait_until_it_is_enabled_again(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "paused", &["*"]).await;
    subscribe(&storage, ALPHA, "running", &["*"]).await;
    subscribe(&storage, BETA, "paused", &["*"]).await;
    for tenant in [ALPHA, BETA] {
        publish(&storage, tenant, &[0, 1].map(|n| event("order.created", "k", n))).await;
    }
    dispatch(&storage, 10).await;
    set_enabled(&storage, ALPHA, "paused", false).await;
    let who = |claimed: &[Delivery]| {
        claimed.iter().map(|delivery| format!("{} {}", delivery.tenant, delivery.plugin)).collect::<Vec<_>>()
    };
    // Whatever the limit: what waits takes nobody's place.
    for limit in [10, 2] {
        let mut claimed = who(&claim(&storage, limit).await);
        claimed.sort();
        assert_eq!(claimed, ["alpha running", "beta paused"]);
    }
    set_enabled(&storage, BETA, "paused", false).await;
    let streams = drain(&storage).await;
    assert_eq!(streams.keys().map(|(_, plugin, _)| plugin.as_str()).collect::<Vec<_>>(), ["running"]);
    // What is published meanwhile is not for it.
    publish(&storage, ALPHA, &[event("order.created", "k", 2)]).await;
    assert_eq!(who(&work(&storage).await), ["alpha running"]);
    set_enabled(&storage, ALPHA, "paused", true).await;
    let streams = drain(&storage).await;
    let paused = &streams[&(ALPHA.to_owned(), "paused".to_owned(), "k".to_owned())];
    assert_eq!(payloads(paused), [r#"{"n":0}"#, r#"{"n":1}"#]);
    assert_eq!(paused[0].attempt, 1);
    set_enabled(&storage, BETA, "paused", true).await;
    assert_eq!(drain(&storage).await.into_values().flatten().count(), 2);
}

pub async fn a_suspended_tenants_deliveries_wait_until_it_is_resumed(storage: Arc<dyn Storage>) {
    let set_state = async |state| {
        let mut own = platform(&storage).await;
        assert!(own.set_tenant_state(&tenant(ALPHA), state).await.unwrap());
        own.commit().await.unwrap();
    };
    let mut own = platform(&storage).await;
    own.create_tenant(&tenant(ALPHA), time(0)).await.unwrap();
    own.commit().await.unwrap();
    for name in [ALPHA, BETA] {
        subscribe(&storage, name, "sales", &["*"]).await;
        publish(&storage, name, &[event("order.created", "k", 0), event("order.created", "l", 1)]).await;
    }
    dispatch(&storage, 10).await;
    set_state(TenantState::Suspended).await;
    // Whatever the limit: what waits takes nobody's place.
    for limit in [10, 2] {
        let claimed = claim(&storage, limit).await;
        assert_eq!(claimed.iter().map(|own| own.tenant.as_str()).collect::<Vec<_>>(), [BETA, BETA]);
    }
    // What was published before is numbered, and waits too.
    publish(&storage, ALPHA, &[event("order.created", "k", 2)]).await;
    assert!(drain(&storage).await.keys().all(|(tenant, _, _)| tenant == BETA));
    set_state(TenantState::Active).await;
    let streams = drain(&storage).await;
    let waited = &streams[&(ALPHA.to_owned(), "sales".to_owned(), "k".to_owned())];
    assert_eq!(payloads(waited), [r#"{"n":0}"#, r#"{"n":2}"#]);
    assert!(streams.values().flatten().all(|delivery| delivery.attempt == 1));
}

pub async fn a_failure_leaves_the_delivery_at_the_head(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0), event("order.created", "k", 1)]).await;
    let first = work(&storage).await.remove(0);
    assert!(fail(&storage, &first, "it broke", SOON).await);
    let again = claim(&storage, 10).await.remove(0);
    assert_eq!((again.event, again.attempt), (first.event, 2));
    assert!(!fail(&storage, &first, "late", SOON).await, "another claim's by now");
    assert!(!fail(&storage, &first, "late", None).await, "another claim's by now");
    done(&storage, &again).await;
    assert!(!fail(&storage, &again, "late", None).await, "done by now");
    assert!(dead_letters(&storage).await.is_empty());
}

pub async fn a_claim_that_is_given_back_was_no_attempt(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    let release = async |delivery: &Delivery| {
        let mut platform = platform(&storage).await;
        let was_ours = platform.release(delivery).await.unwrap();
        platform.commit().await.unwrap();
        was_ours
    };
    let first = work(&storage).await.remove(0);
    assert!(release(&first).await);
    assert!(!release(&first).await, "given back already");
    let second = claim(&storage, 10).await.remove(0);
    assert_eq!((second.event, second.attempt), (first.event, 1));
    assert!(!release(&first).await, "another claim's by now");
    done(&storage, &second).await;
    assert!(!release(&second).await, "done by now");
}

pub async fn a_dead_letter_lets_its_stream_go_on(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2].map(|n| event("order.created", "k", n))).await;
    work(&storage).await;
    let poison = claim(&storage, 10).await.remove(0);
    assert!(fail(&storage, &poison, "it \"broke\"\nbadly", None).await);
    let next = claim(&storage, 10).await.remove(0);
    assert_eq!((next.number, next.attempt), (2, 1));
    // Not the one that failed for good, not by its old claim.
    assert!(!write(&storage, ALPHA).await.mark_done(&poison).await.unwrap());
    done(&storage, &next).await;
    assert_eq!(drain(&storage).await.into_values().flatten().count(), 1);
    let dead = dead_letters(&storage).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].delivery, poison);
    assert_eq!(dead[0].delivery.attempt, 2);
    assert_eq!((dead[0].error.as_str(), dead[0].failed_at), ("it \"broke\"\nbadly", time(9)));
}

pub async fn a_stream_that_was_idle_wakes_up(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    for number in 0..3 {
        publish(&storage, ALPHA, &[event("order.created", "k", number)]).await;
        let claimed = work(&storage).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].number, i64::from(number) + 1);
        done(&storage, &claimed[0]).await;
        assert!(work(&storage).await.is_empty());
    }
}

pub async fn what_is_in_quarantine_waits_until_it_may_be_tried(storage: Arc<dyn Storage>) {
    for tenant in [ALPHA, BETA] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
        subscribe(&storage, tenant, "stock", &["*"]).await;
        publish(&storage, tenant, &[event("order.created", "k", 0)]).await;
    }
    let mut numbering = platform(&storage).await;
    numbering.dispatch(10).await.unwrap();
    numbering.commit().await.unwrap();
    let quarantine = Quarantine { since: time(1), until: time(20), times: 1, error: "trapped".to_owned() };
    let mut own = write(&storage, ALPHA).await;
    assert!(own.set_quarantine(&plugin("sales"), None, Some(&quarantine)).await.unwrap());
    own.commit(None).await.unwrap();
    let claimed = async |now| {
        let claims = claim_with(&storage, &ClaimRequest { now: time(now), ..request() }).await;
        let mut whose: Vec<(String, String)> =
            claims.iter().map(|claim| (claim[0].tenant.to_string(), claim[0].plugin.to_string())).collect();
        whose.sort();
        whose
    };
    let pair = |tenant: &str, plugin: &str| (tenant.to_owned(), plugin.to_owned());
    // Also for whoever wants everything that is to be tried again, however late.
    assert_eq!(claimed(19).await, [pair(ALPHA, "stock"), pair(BETA, "sales"), pair(BETA, "stock")]);
    assert_eq!(claimed(20).await, [pair(ALPHA, "sales")]);
}
