//! Deliveries as they are worked off by those who run for long: in order, with delays, whoever dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin::event::RetryCaps;
use erp_plugin::{
    DeadLetterFilter, DeliveryState, EventFilter, PlatformScope, PluginHostBuilder, Retention,
    TransactionOptions, WorkerOptions,
};
use erp_plugin_model::WorkerId;
use erp_plugin_model::event::Delivery;
use erp_plugin_storage::{ClaimRequest, Mode};
use erp_plugin_tests::{Database, Platform, TENANT, TestClock, Veto, guests, sample, system_of};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

fn insert(title: &str) -> Json {
    json!({ "data": { "title": title } })
}

/// The sample whose subscription says something else.
fn subscribing(change: impl FnOnce(&mut Json)) -> Vec<u8> {
    guests::changed(sample::NAME, "0.1.1", |manifest| change(&mut manifest["subscriptions"][0]))
}

fn impatient(builder: PluginHostBuilder) -> PluginHostBuilder {
    builder.worker(WorkerOptions { lease: Duration::from_secs(1), ..WorkerOptions::default() })
}

/// Waits until it is so, and for half a minute at most.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: it never was so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn titles(platform: &Platform) -> Vec<String> {
    let mut titles: Vec<String> =
        platform.records(NOTE).await.iter().map(|note| note["title"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    titles
}

#[tokio::test]
async fn a_worker_delivers_what_is_published_until_it_is_stopped() {
    let platform = sample::platform().await;
    let worker = platform.host.start_worker();
    for number in 0..20 {
        platform.publish("sample.insert", &insert(&format!("{number:02}"))).await;
    }
    until("all are handled", async || platform.records(NOTE).await.len() == 20).await;
    let report = worker.stop().await.unwrap();
    assert_eq!((report.events, report.delivered, report.failed), (20, 20, 0));
    platform.publish("sample.insert", &insert("later")).await;
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
}

#[tokio::test]
async fn a_failed_delivery_waits_as_long_as_its_subscription_says() {
    let (clock, database) = (TestClock::at("2026-01-31T09:00:00Z"), Database::lasting().await);
    let (veto, poll) = (Veto::of(NOTE), Duration::from_millis(20));
    let platform = Platform::by(&clock, database.url(), |builder| {
        builder.hooks(veto.clone()).worker(WorkerOptions { poll, ..WorkerOptions::default() })
    })
    .await;
    let retry = json!({ "retries": 2, "first-delay": "8s", "max-delay": "20s" });
    platform.enable(sample::NAME, subscribing(|own| own["retry"] = retry)).await;
    for (minute, vetoes) in [(10, 2), (20, 3)] {
        let set = |second: u32| clock.set(&format!("2026-01-31T09:{minute}:{second:02}Z"));
        veto.the_next(vetoes);
        platform.publish("sample.insert", &insert("a title")).await;
        // The second attempt comes after three to five quarters of 8 seconds, and the last one of 20, which is less than
        // four times as long.
        for (attempt, too_early, due) in [(1, None, 0), (2, Some(5), 10), (3, Some(24), 35)] {
            if let Some(too_early) = too_early {
                set(too_early);
                let worker = platform.host.start_worker();
                tokio::time::sleep(poll * 10).await;
                let report = worker.stop().await.unwrap();
                assert_eq!((report.delivered, report.failed), (0, 0), "{attempt}");
            }
            set(due);
            let worker = platform.host.start_worker();
            until("it is attempted", async || attempts(&platform).await == attempt).await;
            let report = worker.stop().await.unwrap();
            let delivered = u64::from(attempt > vetoes);
            assert_eq!((report.delivered, report.failed), (delivered, 1 - delivered), "{attempt}");
            let dead: Vec<_> = report.dead.iter().map(|dead| (dead.attempts, dead.error.as_str())).collect();
            let last = (attempt, vetoes) == (3, 3);
            assert_eq!(dead, if last { vec![(3, "rejected: vetoed")] } else { Vec::new() });
        }
    }
    assert_eq!(titles(&platform).await, ["a title"]);
}

/// How often the newest event was attempted; an attempt counts when it begins.
async fn attempts(platform: &Platform) -> u32 {
    let events = platform.host.events();
    let newest = events.list(EventFilter::default(), true, 1).await.unwrap();
    let Some(newest) = newest.first() else { return 0 };
    let found = events.get(TENANT, newest.event.id).await.unwrap().unwrap();
    found.deliveries.first().map_or(0, |delivery| delivery.attempts)
}

#[tokio::test]
async fn the_operator_caps_what_a_subscription_asks_for() {
    let caps = RetryCaps { retries: 1, max_delay: Duration::from_millis(10) };
    let platform = Platform::with(|builder| builder.retry_caps(caps)).await;
    let retry = json!({ "retries": 50, "first-delay": "1h", "max-delay": "2h" });
    platform.enable(sample::NAME, subscribing(|own| own["retry"] = retry)).await;
    let worker = platform.host.start_worker();
    platform.publish("sample.fail", &json!({ "message": "rejected: never" })).await;
    let events = platform.host.events();
    until("it is dead", async || events.backlog(None).await.unwrap().dead == 1).await;
    assert_eq!(worker.stop().await.unwrap().failed, 2);
}

#[tokio::test]
async fn a_poison_event_holds_up_its_own_key_alone() {
    let platform = Platform::new().await;
    let own = subscribing(|own| {
        own["key"] = json!("customer");
        own["retry"] = json!({ "retries": 3, "first-delay": "1h" });
    });
    platform.enable(sample::NAME, own).await;
    let of = |customer: &str, title: &str| json!({ "customer": customer, "data": { "title": title } });
    platform.publish("sample.fail", &json!({ "customer": "a", "message": "rejected: never" })).await;
    platform.publish("sample.insert", &of("a", "behind it")).await;
    platform.publish("sample.insert", &of("b", "beside it")).await;
    let worker = platform.host.start_worker();
    until("the others go on", async || titles(&platform).await == ["beside it"]).await;
    worker.stop().await.unwrap();
    let backlog = platform.host.events().backlog(Some(TENANT)).await.unwrap();
    assert_eq!((backlog.unnumbered, backlog.pending, backlog.dead), (0, 2, 0));
}

#[tokio::test]
async fn dead_letters_are_shown_with_what_led_to_them_and_sent_again() {
    let veto = Veto::of(NOTE);
    let platform = Platform::with(|builder| builder.hooks(veto.clone())).await;
    let own = guests::changed(sample::NAME, "0.1.1", |manifest| {
        manifest["capabilities"]["events-publish"] = json!(["sample.*"]);
    });
    platform.enable(sample::NAME, own).await;
    veto.the_next(4);
    let chained = json!({ "type": "sample.insert", "payload": insert("chained") });
    platform.publish("sample.publish", &chained).await;
    let drained = platform.host.drain().await.unwrap();
    assert_eq!((drained.delivered, drained.failed, drained.dead.len()), (1, 4, 1));
    let dead = &drained.dead[0];
    let events = platform.host.events();
    let found = events.get(TENANT, dead.event).await.unwrap().unwrap();
    assert_eq!((found.event.event.depth, found.event.event.event_type.as_str()), (1, "sample.insert"));
    assert_eq!(found.deliveries.len(), 1);
    assert_eq!((found.deliveries[0].state, found.deliveries[0].attempts), (DeliveryState::Dead, 4));
    assert_eq!(found.chain.len(), 1);
    assert_eq!(found.chain[0].event.event_type.as_str(), "sample.publish");
    let filter = DeadLetterFilter { event: Some(dead.event), ..DeadLetterFilter::default() };
    assert_eq!(events.resend(filter.clone()).await.unwrap(), 1);
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
    assert_eq!(titles(&platform).await, ["chained"]);
    assert_eq!(events.resend(filter).await.unwrap(), 0);
}

#[tokio::test]
async fn dropped_letters_are_gone_and_what_was_delivered_is_pruned() {
    let platform = sample::platform().await;
    platform.publish("sample.fail", &json!({ "message": "rejected: never" })).await;
    platform.publish("sample.log", &json!({ "message": "done" })).await;
    platform.publish("sample.log", &json!({ "message": "the last" })).await;
    platform.host.drain().await.unwrap();
    let events = platform.host.events();
    let at_once = Retention { events: Some(Duration::ZERO), log: Some(Duration::ZERO), runs: None };
    let pruned = events.prune(at_once.clone()).await.unwrap();
    assert!(pruned.events <= 2 && pruned.log_lines > 0, "{pruned:?}");
    assert_eq!(events.backlog(None).await.unwrap().dead, 1);
    assert_eq!(events.discard(DeadLetterFilter::default()).await.unwrap(), 1);
    events.prune(at_once).await.unwrap();
    // The newest one may stay: its number would be given again.
    assert!(events.list(EventFilter::default(), false, 10).await.unwrap().len() <= 1);
    assert_eq!(platform.host.drain().await.unwrap().delivered, 0);
}

#[tokio::test]
async fn what_a_dead_worker_had_in_hand_is_taken_over() {
    let database = Database::lasting().await;
    let dying = Platform::on(database.url(), impatient).await;
    dying.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    for number in 0..3 {
        dying.publish("sample.insert", &insert(&format!("{number}"))).await;
    }
    // Somebody claimed it all and was never heard of again.
    let mut claimed = claimed_by(database.url(), WorkerId(uuid::Uuid::from_u128(7))).await;
    assert_eq!(claimed.remove(0).len(), 3);
    // A drain waits until it is known that the other is dead; nobody attempted what is behind the first.
    let report = dying.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed), (3, 0));
    assert_eq!(titles(&dying).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_delivery_that_kills_every_process_ends_as_a_dead_letter_and_the_rest_goes_on() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), impatient).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    for title in ["kills", "next"] {
        platform.publish("sample.insert", &insert(title)).await;
    }
    // Each process claims it, and dies of it.
    for life in 0..4 {
        let claimed = claimed_by(database.url(), WorkerId(uuid::Uuid::from_u128(life))).await;
        assert_eq!(claimed[0][0].attempt, u32::try_from(life).unwrap() + 1);
    }
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, report.dead.len()), (1, 1, 1));
    assert_eq!(report.dead[0].error, "internal: 4 attempts ended with the process that made them");
    assert_eq!(titles(&platform).await, ["next"]);
}

/// What a process claims that is not heard of again; those before it are dead.
async fn claimed_by(url: &str, worker: WorkerId) -> Vec<Vec<Delivery>> {
    let storage = erp_plugin::storage(url).await.unwrap();
    let options = TransactionOptions {
        mode: Mode::Write,
        deadline: Instant::now() + Duration::from_secs(10),
        writer_hold: Duration::from_secs(10),
    };
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options).await.unwrap();
    for state in platform.workers().await.unwrap() {
        platform.retire(state).await.unwrap();
    }
    platform.dispatch(100).await.unwrap();
    let request = ClaimRequest {
        worker,
        at: chrono::DateTime::UNIX_EPOCH,
        now: chrono::DateTime::UNIX_EPOCH,
        streams: 10,
        batch: 10,
        per_tenant: 10,
        full: &[],
        subscribers: &[],
    };
    let claimed = platform.claim(&request).await.unwrap();
    platform.commit().await.unwrap();
    claimed
}

#[tokio::test]
async fn workers_of_one_database_share_the_work_and_handle_nothing_twice() {
    let database = Database::lasting().await;
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(Arc::new(Platform::on(database.url(), impatient).await));
    }
    let own = subscribing(|own| own["key"] = json!("customer"));
    hosts[0].enable(sample::NAME, own).await;
    let workers: Vec<_> = hosts.iter().map(|host| host.host.start_worker()).collect();
    for number in 0..60 {
        let payload = json!({ "customer": number % 7, "data": { "title": format!("{number:02}") } });
        hosts[number % 3].publish("sample.insert", &payload).await;
    }
    let events = hosts[0].host.events();
    until("all are handled", async || {
        let backlog = events.backlog(None).await.unwrap();
        backlog.unnumbered + backlog.pending == 0
    })
    .await;
    let mut delivered = 0;
    for worker in workers {
        let report = worker.stop().await.unwrap();
        assert_eq!((report.failed, report.dead.len()), (0, 0));
        delivered += report.delivered;
    }
    assert_eq!(delivered, 60);
    let expected: Vec<String> = (0..60).map(|number| format!("{number:02}")).collect();
    assert_eq!(titles(&hosts[0]).await, expected);
}

#[tokio::test]
async fn a_tenants_flood_does_not_delay_anothers_few_events() {
    let platform = sample::platform().await;
    platform.host.create_tenant("small").await.unwrap();
    platform.host.enable("small", sample::NAME).await.unwrap();
    for number in 0..600 {
        platform.publish("sample.log", &json!({ "message": format!("{number}") })).await;
    }
    for number in 0..10 {
        let payload = insert(&format!("{number}"));
        platform.host.publish(system_of("small"), "sample.insert", &payload).await.unwrap();
    }
    let worker = platform.host.start_worker();
    until("the few are handled", async || platform.records_of("small", NOTE).await.len() == 10).await;
    let backlog = platform.host.events().backlog(Some(TENANT)).await.unwrap();
    // One stream's turn is a tenth of a second.
    assert!(backlog.unnumbered + backlog.pending > 0, "the flood was worked off first");
    worker.stop().await.unwrap();
}
