//! Subscribers of the platform's own, in its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use erp_plugin::{CallError, DeadLetterFilter, ErrorCode, HostError};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of};
use serde_json::json;

const NOTE: &str = "test-sample.note";

#[tokio::test]
async fn a_handlers_writes_and_the_events_mark_commit_together() {
    let platform = sample::platform().await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    platform
        .host
        .subscribe("order.*", move |work, event| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let note = json!({ "title": event.event_type.as_str(), "extra": { "order": event.payload } });
                work.insert(NOTE, note.to_string().as_bytes()).await?;
                if attempt == 0 {
                    return Err(CallError::Answer(HostError::new(ErrorCode::Unavailable, "not yet")));
                }
                Ok(())
            })
        })
        .await
        .unwrap();
    platform.publish("order.created", &json!({ "no": 1 })).await;
    platform.publish("invoice.sent", &json!({ "no": 2 })).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.failed), (2, 1, 1));
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    let notes = platform.records(NOTE).await;
    assert_eq!(notes.len(), 1, "what the first attempt wrote is undone");
    assert_eq!((&notes[0]["title"], &notes[0]["created_by"]), (&json!("order.created"), &json!("system")));
}

#[tokio::test]
async fn a_handler_that_panics_ends_as_a_dead_letter_and_others_go_on() {
    let platform = sample::platform().await;
    platform
        .host
        .subscribe_as("core-broken", "order.*", |_, _| Box::pin(async { panic!("no") }))
        .await
        .unwrap();
    let seen = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&seen);
    platform
        .host
        .subscribe("order.created", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(()) })
        })
        .await
        .unwrap();
    platform.publish("order.created", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, seen.load(Ordering::SeqCst)), (1, 4, 1));
    let dead = &report.dead[0];
    assert_eq!(
        (dead.plugin.as_str(), dead.error.as_str()),
        ("core-broken", "internal: the handler panicked")
    );
}

#[tokio::test]
async fn what_is_published_while_nobody_listens_waits() {
    let database = Database::lasting().await;
    let before = Platform::on(database.url(), |builder| builder).await;
    before.host.subscribe("order.*", |_, _| Box::pin(async { Ok(()) })).await.unwrap();
    drop(before);
    let without = Platform::on(database.url(), |builder| builder).await;
    without.publish("order.created", &json!({})).await;
    assert_eq!(without.host.drain().await.unwrap().delivered, 0);
    let after = Platform::on(database.url(), |builder| builder).await;
    after.host.subscribe("order.*", |_, _| Box::pin(async { Ok(()) })).await.unwrap();
    assert_eq!(after.host.drain().await.unwrap().delivered, 1);
    assert!(after.host.unsubscribe("core", "order.*").await.unwrap());
    without.publish("order.created", &json!({})).await;
    assert_eq!(after.host.drain().await.unwrap().delivered, 0);
}

/// Has a host count what it handles as `core`.
async fn counting(platform: &Platform, event: &str) -> Arc<AtomicU32> {
    let seen = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&seen);
    let subscribed = platform.host.subscribe(event, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    });
    subscribed.await.unwrap();
    seen
}

#[tokio::test]
async fn a_process_without_all_handlers_leaves_events_to_one_that_has_them() {
    let database = Database::lasting().await;
    let older = Platform::on(database.url(), |builder| builder).await;
    let newer = Platform::on(database.url(), |builder| builder).await;
    let orders = counting(&older, "order.*").await;
    older.publish("order.created", &json!({})).await;
    assert_eq!(older.host.drain().await.unwrap().delivered, 1);
    // A newer one comes, which handles more: what the older one would pass over waits for it, all else as well.
    let invoices = counting(&newer, "invoice.*").await;
    for event in ["invoice.sent", "order.created"] {
        older.publish(event, &json!({})).await;
    }
    for host in [&older, &newer] {
        assert_eq!(host.host.drain().await.unwrap().delivered, 0);
    }
    let more_orders = counting(&newer, "order.*").await;
    assert_eq!(older.host.drain().await.unwrap().delivered, 0);
    assert_eq!(newer.host.drain().await.unwrap().delivered, 2);
    let handled = [orders, more_orders, invoices].map(|seen| seen.load(Ordering::SeqCst));
    assert_eq!(handled, [1, 1, 1]);
}

#[tokio::test]
async fn what_was_published_before_a_subscription_was_taken_back_ends_as_a_dead_letter() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder).await;
    let without = Platform::on(database.url(), |builder| builder).await;
    let (orders, invoices) = (counting(&platform, "order.*").await, counting(&platform, "invoice.*").await);
    for (event, key) in [("invoice.sent", "a"), ("order.created", "b")] {
        platform.host.publish_in_order(system_of(TENANT), event, key, &json!({})).await.unwrap();
    }
    // Numbered, and not handled yet.
    assert_eq!(without.host.drain().await.unwrap().events, 2);
    assert!(platform.host.unsubscribe("core", "invoice.*").await.unwrap());
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.dead.len()), (1, 1));
    assert!(report.dead[0].error.contains("core handles no invoice.sent any more"), "{:?}", report.dead);
    let more = counting(&platform, "invoice.*").await;
    assert_eq!(platform.host.events().resend(DeadLetterFilter::default()).await.unwrap(), 1);
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
    assert_eq!([orders, invoices, more].map(|seen| seen.load(Ordering::SeqCst)), [1, 0, 1]);
}

#[tokio::test]
async fn names_and_patterns_are_checked() {
    let platform = Platform::new().await;
    let subscribe = async |name: &str, event: &str| {
        let done = platform.host.subscribe_as(name, event, |_, _| Box::pin(async { Ok(()) })).await;
        done.map_err(|error| error.to_string())
    };
    subscribe("core", "order.*").await.unwrap();
    for (name, event, expected) in [
        (
            "core",
            "order.*",
            "already-exists: core has a handler for order.*; give this one a name of its own",
        ),
        (
            "inventory",
            "order.*",
            "invalid-input: subscriber \"inventory\" must be `core` or begin with `core-`",
        ),
        ("core", "order", "invalid-input: event \"order\" must be an event type such as order.created"),
        ("core-Mail", "order.*", "core-Mail"),
    ] {
        let error = subscribe(name, event).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let named =
        guests::changed(sample::NAME, "0.1.0", |manifest| manifest["plugin"]["name"] = json!("core-mail"));
    let error = platform.try_install("", named).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid-input: the name core-mail is the platform's own; choose another");
}

#[tokio::test]
async fn an_events_key_has_a_longest_length() {
    let platform = sample::platform().await;
    let publish = async |key: &str| {
        let payload = json!({ "data": { "title": "a" } });
        platform.host.publish_in_order(system_of(TENANT), "sample.insert", key, &payload).await
    };
    publish("SO-1").await.unwrap();
    let refused = publish(&"k".repeat(201)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "invalid-input: publish: the key has 201 bytes, 200 are allowed, none of them zero"
    );
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
}
