//! The outbox, seen by whoever runs the platform.

use std::sync::Arc;

use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_model::usage::LogLevel;
use erp_plugin_storage::{Backlog, DeadLetterFilter, EventFilter, LogQuery, Storage, StoredEvent};

use crate::fixture::{
    ALPHA, BETA, claim, claim_as, done, event, fail, invocation, pattern, platform, plugin, publish, read,
    retire_all, subscribe, tenant, time, work, worker, write,
};

fn types(events: &[StoredEvent]) -> Vec<String> {
    events.iter().map(|own| format!("{} {}", own.tenant, own.event.payload)).collect()
}

pub async fn events_are_listed_from_either_end(storage: Arc<dyn Storage>) {
    publish(&storage, BETA, &[event("order.created", "k", 0), event("stock.low", "k", 1)]).await;
    work(&storage).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 2)]).await;
    work(&storage).await;
    publish(&storage, ALPHA, &[event("order.created", "unnumbered", 3)]).await;
    let mut platform = platform(&storage).await;
    let all = platform.events(&EventFilter::default(), false, 10).await.unwrap();
    assert_eq!(types(&all), [r#"beta {"n":0}"#, r#"beta {"n":1}"#, r#"alpha {"n":2}"#]);
    assert!(all.is_sorted_by_key(|own| own.number) && all.iter().all(|own| own.number.is_some()));
    let mut newest = platform.events(&EventFilter::default(), true, 2).await.unwrap();
    newest.reverse();
    assert_eq!(newest, all[1..]);
    let filter = EventFilter::default;
    for (filter, expected) in [
        (EventFilter { tenant: Some(tenant(ALPHA)), ..filter() }, &all[2..]),
        (EventFilter { pattern: Some(pattern("stock.*")), ..filter() }, &all[1..2]),
        (EventFilter { pattern: Some(pattern("stock.low")), ..filter() }, &all[1..2]),
        (EventFilter { after: all[0].number, ..filter() }, &all[1..]),
    ] {
        assert_eq!(platform.events(&filter, false, 10).await.unwrap(), expected, "{filter:?}");
    }
}

pub async fn an_event_is_found_with_its_deliveries_and_its_chain(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    subscribe(&storage, ALPHA, "mails", &["*"]).await;
    let first = event("order.created", "k", 0);
    let second = NewEvent {
        parent: Some(first.id),
        depth: 1,
        caused_by: Some(erp_plugin_model::UserId::parse("anna").unwrap()),
        ..event("order.paid", "l", 1)
    };
    publish(&storage, ALPHA, &[first.clone(), second.clone()]).await;
    let found = platform(&storage).await.event(&tenant(ALPHA), second.id).await.unwrap().unwrap();
    assert_eq!((found.event, found.number), (second.clone(), None));
    let claimed = work(&storage).await;
    let of = |plugin: &str, id| {
        let found = claimed.iter().find(|own| own.plugin.as_str() == plugin && own.event == id);
        found.unwrap()
    };
    done(&storage, of("sales", second.id)).await;
    assert!(fail(&storage, of("mails", second.id), "no address", None).await);
    let mut platform = platform(&storage).await;
    let found = platform.event(&tenant(ALPHA), second.id).await.unwrap().unwrap();
    assert!(found.number.is_some());
    let parent = platform.event(&tenant(ALPHA), found.event.parent.unwrap()).await.unwrap().unwrap();
    assert_eq!(parent.event, first);
    assert_eq!(platform.event(&tenant(BETA), second.id).await.unwrap(), None);
    let states = platform.deliveries(&tenant(ALPHA), second.id).await.unwrap();
    let states: Vec<_> = states
        .iter()
        .map(|own| (own.plugin.as_str(), own.state.as_str(), own.number, own.attempts, own.error.as_deref()))
        .collect();
    assert_eq!(states, [("mails", "dead", 1, 1, Some("no address")), ("sales", "done", 1, 1, None)]);
    let waiting = platform.deliveries(&tenant(ALPHA), first.id).await.unwrap();
    assert!(waiting.iter().all(|own| own.state.as_str() == "pending" && own.key == "k"));
    assert!(platform.deliveries(&tenant(BETA), first.id).await.unwrap().is_empty());
}

pub async fn the_backlog_is_what_is_still_to_be_done(storage: Arc<dyn Storage>) {
    let backlog = async |of: Option<&str>| {
        let of = of.map(tenant);
        platform(&storage).await.backlog(of.as_ref()).await.unwrap()
    };
    assert_eq!(backlog(None).await, Backlog::default());
    for name in [ALPHA, BETA] {
        subscribe(&storage, name, "sales", &["*"]).await;
    }
    publish(&storage, BETA, &[event("order.created", "k", 3), event("order.created", "k", 4)]).await;
    let oldest = Some(time(3));
    assert_eq!(backlog(None).await, Backlog { unnumbered: 2, pending: 0, dead: 0, oldest });
    let poison = work(&storage).await.remove(0);
    publish(&storage, ALPHA, &[event("order.created", "k", 9)]).await;
    assert_eq!(backlog(None).await, Backlog { unnumbered: 1, pending: 2, dead: 0, oldest });
    assert!(fail(&storage, &poison, "it broke", None).await);
    assert_eq!(backlog(None).await, Backlog { unnumbered: 1, pending: 1, dead: 1, oldest: Some(time(4)) });
    assert_eq!(
        backlog(Some(ALPHA)).await,
        Backlog { unnumbered: 1, oldest: Some(time(9)), ..Backlog::default() }
    );
    assert_eq!(
        backlog(Some(BETA)).await,
        Backlog { unnumbered: 0, pending: 1, dead: 1, oldest: Some(time(4)) }
    );
}

pub async fn only_what_was_delivered_is_pruned(storage: Arc<dyn Storage>) {
    let prune = async |before: i64, limit: u32| {
        let mut platform = platform(&storage).await;
        let pruned = platform.prune_events(time(before), limit).await.unwrap();
        platform.commit().await.unwrap();
        pruned
    };
    let count = async || read(&storage, ALPHA).await.event_count().await.unwrap();
    for name in ["sales", "mails"] {
        subscribe(&storage, ALPHA, name, &["*"]).await;
    }
    let keys = ["done", "half", "dead", "waits", "done", "young"];
    let events: Vec<_> = (0..).zip(keys).map(|(n, key)| event("order.created", key, n)).collect();
    publish(&storage, ALPHA, &events).await;
    assert_eq!(prune(100, 10).await, 0, "nothing has a number");
    let mut handled = Vec::new();
    for _ in 0..2 {
        for delivery in work(&storage).await {
            match delivery.key.as_str() {
                "dead" => drop(fail(&storage, &delivery, "it broke", None).await),
                "waits" => {}
                "half" if delivery.plugin.as_str() == "sales" => {}
                _ => {
                    done(&storage, &delivery).await;
                    handled.push(delivery);
                }
            }
        }
    }
    publish(&storage, ALPHA, &[event("order.created", "unnumbered", 0)]).await;
    retire_all(&storage).await;
    assert_eq!(prune(5, 1).await, 1);
    assert_eq!(count().await, 6);
    assert_eq!(prune(5, 10).await, 1);
    assert_eq!(prune(5, 10).await, 0);
    assert_eq!(count().await, 5, "half done, dead, waiting, young, and without a number");
    // A stream of which nothing is left begins anew, and nobody takes the new for the old.
    publish(&storage, ALPHA, &[event("order.created", "done", 9)]).await;
    let mut renewed = work(&storage).await;
    renewed.retain(|own| own.key == "done");
    assert_eq!(renewed.iter().map(|own| own.number).collect::<Vec<_>>(), [1, 1]);
    let of = |deliveries: &[Delivery]| {
        deliveries.iter().find(|own| own.key == "done" && own.plugin.as_str() == "sales").cloned().unwrap()
    };
    let (old, new) = (of(&handled), of(&renewed));
    assert_eq!((old.number, old.token), (new.number, new.token));
    assert!(!write(&storage, ALPHA).await.mark_done(&old).await.unwrap());
    done(&storage, &new).await;
    // What was dropped is undelivered by decision.
    let mut dropping = platform(&storage).await;
    assert_eq!(dropping.drop_dead_letters(&DeadLetterFilter::default(), 10).await.unwrap(), 2);
    dropping.commit().await.unwrap();
    assert_eq!(prune(5, 10).await, 1);
    assert!(!claim(&storage, 10).await.is_empty());
    // A stream in hand stays, whatever becomes of its events.
    publish(&storage, ALPHA, &[event("order.created", "held", 1), event("order.created", "last", 9)]).await;
    let mut numbering = platform(&storage).await;
    numbering.dispatch(10).await.unwrap();
    numbering.commit().await.unwrap();
    let held: Vec<_> = claim_as(&storage, worker(), 100, 1)
        .await
        .concat()
        .into_iter()
        .filter(|own| own.key == "held")
        .collect();
    for delivery in &held {
        done(&storage, delivery).await;
    }
    assert_eq!(prune(5, 10).await, 1);
}

pub async fn old_log_lines_are_pruned(storage: Arc<dyn Storage>) {
    for _ in 0..3 {
        write(&storage, ALPHA).await.commit(Some(&invocation("sales", None))).await.unwrap();
    }
    let prune = async |before: i64| {
        let mut platform = platform(&storage).await;
        let pruned = platform.prune_log(time(before), 2).await.unwrap();
        platform.commit().await.unwrap();
        pruned
    };
    assert_eq!(prune(1).await, 0, "they were written then");
    assert_eq!(prune(2).await, 2);
    let query = LogQuery { plugin: Some(plugin("sales")), min_level: LogLevel::Trace, limit: 10 };
    assert_eq!(read(&storage, ALPHA).await.log(&query).await.unwrap().len(), 1);
    assert_eq!(prune(2).await, 1);
}
