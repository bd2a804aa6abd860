//! From the outbox to the subscribers: numbers, claims, failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use erp_plugin_model::event::{Delivery, EventPattern, NewEvent, Publisher};
use erp_plugin_storage::{ActivationState, DispatchOutcome, Failure, Storage, Subscription, TenantState};

use crate::fixture::{
    ALPHA, BETA, claim, done, event, platform, plugin, publish, subscribe, tenant, time, work, write,
};

async fn dispatch(storage: &Arc<dyn Storage>, limit: u32) -> DispatchOutcome {
    let mut platform = platform(storage).await;
    let outcome = platform.dispatch(limit).await.unwrap();
    platform.commit().await.unwrap();
    outcome
}

async fn fail(storage: &Arc<dyn Storage>, delivery: &Delivery, error: &str, park: bool) -> bool {
    let mut platform = platform(storage).await;
    let was_ours = platform.record_failure(Failure { delivery, error, park, at: time(9) }).await.unwrap();
    platform.commit().await.unwrap();
    was_ours
}

/// Enables or disables a plugin that subscribes to everything.
async fn set_enabled(storage: &Arc<dyn Storage>, tenant: &str, name: &str, enabled: bool) {
    let state = ActivationState {
        plugin: plugin(name),
        version: semver::Version::new(1, 0, 0),
        enabled,
        tenant_told: true,
    };
    let everything = Subscription { pattern: EventPattern::everything(), own_events: false };
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
        };
        let subscription = Subscription { pattern: EventPattern::everything(), own_events };
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

pub async fn a_claim_takes_the_head_of_each_stream_only(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2].map(|n| event("order.created", "k", n))).await;
    let claimed = work(&storage).await;
    assert_eq!(payloads(&claimed), [r#"{"n":0}"#]);
    done(&storage, &claimed[0]).await;
    assert_eq!(payloads(&claim(&storage, 10).await), [r#"{"n":1}"#]);
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
    assert_eq!(undone.claim(10).await.unwrap().len(), 1);
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
    assert!(fail(&storage, &first, "it broke", false).await);
    let again = claim(&storage, 10).await.remove(0);
    assert_eq!((again.event, again.attempt), (first.event, 2));
    assert!(!fail(&storage, &first, "late", false).await, "another claim's by now");
    assert!(!fail(&storage, &first, "late", true).await, "another claim's by now");
    done(&storage, &again).await;
    assert!(!fail(&storage, &again, "late", true).await, "done by now");
    assert!(platform(&storage).await.parked(10).await.unwrap().is_empty());
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

pub async fn a_delivery_that_is_set_aside_lets_its_stream_go_on(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[0, 1, 2].map(|n| event("order.created", "k", n))).await;
    work(&storage).await;
    let poison = claim(&storage, 10).await.remove(0);
    assert!(fail(&storage, &poison, "it \"broke\"\nbadly", true).await);
    let next = claim(&storage, 10).await.remove(0);
    assert_eq!((next.number, next.attempt), (2, 1));
    // Not the one that was set aside, not by its old claim.
    assert!(!write(&storage, ALPHA).await.mark_done(&poison).await.unwrap());
    done(&storage, &next).await;
    assert_eq!(drain(&storage).await.into_values().flatten().count(), 1);
    let parked = platform(&storage).await.parked(10).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].delivery, poison);
    assert_eq!(parked[0].delivery.attempt, 2);
    assert_eq!(parked[0].error, "it \"broke\"\nbadly");
}

pub async fn deliveries_set_aside_are_listed_the_oldest_first(storage: Arc<dyn Storage>) {
    for tenant in [BETA, ALPHA] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
        publish(&storage, tenant, &[event("order.created", "k", 0), event("order.created", "k", 1)]).await;
    }
    for _ in 0..2 {
        // The younger tenant's events fail first.
        for delivery in work(&storage).await {
            assert!(fail(&storage, &delivery, delivery.tenant.as_str(), true).await);
        }
    }
    let mut platform = platform(&storage).await;
    let parked = platform.parked(10).await.unwrap();
    let order: Vec<_> = parked.iter().map(|parked| (parked.error.as_str(), parked.delivery.number)).collect();
    assert_eq!(order, [(BETA, 1), (BETA, 2), (ALPHA, 1), (ALPHA, 2)]);
    assert_eq!(platform.parked(3).await.unwrap(), parked[..3]);
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
