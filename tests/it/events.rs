//! Events: in order, once, and never for ever.

use std::sync::Arc;

use erp_plugin::Identity;
use erp_plugin_tests::{Database, Platform, TENANT, Veto, guests, sample, system_of, together, user};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

async fn titles(platform: &Platform) -> Vec<Json> {
    platform.records(NOTE).await.into_iter().map(|note| note["title"].clone()).collect()
}

fn insert(title: &str) -> Json {
    json!({ "data": { "title": title } })
}

#[tokio::test]
async fn a_stream_arrives_in_the_order_in_which_it_was_published() {
    let platform = sample::platform().await;
    let before = platform.log().await.len();
    for number in 0..40 {
        platform.publish("sample.log", &json!({ "message": format!("{number}") })).await;
    }
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.failed), (40, 40, 0));
    let expected: Vec<String> = (0..40).map(|number| format!("info {number}")).collect();
    assert_eq!(platform.log().await[before..], expected);
}

#[tokio::test]
async fn a_failing_delivery_is_tried_four_times_then_dead_and_the_rest_goes_on() {
    let platform = sample::platform().await;
    platform.publish("sample.insert", &insert("before")).await;
    platform.publish("sample.fail", &json!({ "message": "rejected: never" })).await;
    platform.publish("sample.insert", &insert("after")).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.failed), (3, 2, 4));
    let dead = &report.dead[0];
    assert_eq!(report.dead.len(), 1);
    assert_eq!((dead.plugin.as_str(), dead.event_type.as_str()), (sample::NAME, "sample.fail"));
    assert_eq!((dead.error.as_str(), dead.attempts), ("rejected: never", 4));
    // What each attempt wrote and published is undone.
    assert_eq!(titles(&platform).await, ["before", "after"]);
    assert_eq!(platform.event_count().await, 3);
    // Dead is dead.
    let again = platform.host.drain().await.unwrap();
    assert_eq!((again.delivered, again.failed, again.dead.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_delivery_that_succeeds_at_its_last_attempt_leaves_its_effect_once() {
    let veto = Veto::of(NOTE);
    let platform = Platform::with(|builder| builder.hooks(veto.clone())).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    veto.the_next(3);
    platform.publish("sample.insert", &insert("once")).await;
    platform.publish("sample.insert", &insert("next")).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, report.dead.len()), (2, 3, 0));
    assert_eq!(titles(&platform).await, ["once", "next"]);
}

#[tokio::test]
async fn draining_twice_at_once_handles_each_event_once() {
    let platform = Arc::new(sample::platform().await);
    for number in 0..20 {
        platform.publish("sample.insert", &insert(&format!("{number}"))).await;
    }
    let drains = (0..4).map(|_| {
        let platform = Arc::clone(&platform);
        async move { platform.host.drain().await.unwrap().delivered }
    });
    assert_eq!(together(drains).await.iter().sum::<u64>(), 20);
    assert_eq!(titles(&platform).await.len(), 20);
}

#[tokio::test]
async fn an_event_reaches_its_own_tenant_only() {
    let platform = sample::platform().await;
    platform.host.create_tenant("other").await.unwrap();
    platform.host.enable("other", sample::NAME).await.unwrap();
    platform.host.publish(system_of("other"), "sample.insert", &insert("theirs")).await.unwrap();
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
    assert_eq!(titles(&platform).await, [Json::Null; 0]);
    assert_eq!(platform.records_of("other", NOTE).await.len(), 1);
}

#[tokio::test]
async fn an_event_that_nobody_subscribes_to_is_kept_and_delivered_to_nobody() {
    let platform = sample::platform().await;
    platform.publish("order.created", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered), (1, 0));
    assert_eq!(platform.event_count().await, 1);
}

#[tokio::test]
async fn a_bare_plugin_gets_every_event_but_its_own() {
    let platform = Platform::new().await;
    platform.enable("ping", guests::hostile("atomic")).await;
    platform.publish("order.created", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    // The second is what it published itself.
    assert_eq!((report.events, report.delivered), (2, 1));
    assert_eq!(platform.records("ping.thing").await.len(), 1);
}

/// Each handles an event by publishing one, which the other gets. Depth 16 is the last that is allowed; at it the
/// guest is told, and goes on without.
#[tokio::test]
async fn two_plugins_that_answer_each_other_end_at_the_causal_depth() {
    let platform = Platform::new().await;
    platform.enable("ping", guests::hostile("atomic")).await;
    platform.enable("pong", guests::hostile("atomic")).await;
    platform.publish("order.created", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    // Both get the platform's event, so there are two chains, each of an event per depth.
    assert_eq!((report.events, report.delivered, report.dead.len()), (1 + 2 * 16, 2 * 17, 0));
    assert_eq!(platform.records("ping.thing").await.len(), 17);
}

#[tokio::test]
async fn a_plugin_that_subscribes_to_itself_ends_at_the_causal_depth() {
    let asks = "[capabilities]\nevents-publish = [\"hostile.*\"]\ndynamic-entities = true\n\
                [[subscriptions]]\nevent = \"hostile.*\"\n";
    let platform = Platform::new().await;
    platform.enable("echo", guests::with_manifest(&guests::hostile("atomic"), "echo", asks)).await;
    platform.publish("hostile.begins", &json!({})).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered, report.dead.len()), (17, 17, 0));
}

#[tokio::test]
async fn a_handler_acts_as_the_system_and_knows_who_began() {
    let platform = sample::platform().await;
    platform.host.publish(user("ada", "clerk"), "sample.whoami", &json!({})).await.unwrap();
    platform.host.publish(user("ada", "clerk"), "sample.insert", &insert("caused")).await.unwrap();
    platform.host.drain().await.unwrap();
    let log = platform.log().await;
    let said = log.iter().find_map(|line| line.strip_prefix("info sample.whoami ")).unwrap();
    let said: Json = serde_json::from_str(said).unwrap();
    assert_eq!(
        (&said["kind"], &said["id"], &said["caused_by"]),
        (&json!("system"), &json!("system"), &json!("ada"))
    );
    assert_eq!(platform.records(NOTE).await[0]["created_by"], "plugin:test-sample");
}

#[tokio::test]
async fn a_disabled_plugin_gets_nothing_that_is_published_meanwhile() {
    let platform = sample::platform().await;
    platform.publish("sample.insert", &insert("while enabled")).await;
    platform.host.drain().await.unwrap();
    platform.host.disable(TENANT, sample::NAME).await.unwrap();
    platform.publish("sample.insert", &insert("while disabled")).await;
    assert_eq!(platform.host.drain().await.unwrap().delivered, 0);
    let refused = platform.host.call(system_of(TENANT), sample::NAME, "sample.whoami", &json!({})).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "not-found: test-sample is not enabled in acme; enable it there first"
    );

    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    platform.publish("sample.insert", &insert("enabled again")).await;
    platform.host.drain().await.unwrap();
    assert_eq!(titles(&platform).await, ["while enabled", "enabled again"]);
}

#[tokio::test]
async fn published_events_outlive_the_host() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.publish("sample.insert", &insert("kept")).await;
    drop(platform);

    let platform = Platform::on(database.url(), |builder| builder).await;
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.events, report.delivered), (1, 1));
    assert_eq!(titles(&platform).await, ["kept"]);
}

#[tokio::test]
async fn a_publisher_needs_a_tenant_that_is_there_and_an_event_that_is_one() {
    let platform = sample::platform().await;
    let publish = async |identity: Identity, event: &str| {
        platform.host.publish(identity, event, &json!({})).await.unwrap_err().to_string()
    };
    let error = publish(system_of(TENANT), "Order created").await;
    assert!(
        error.starts_with("invalid-input: invalid event type \"Order created\": 2 to 8 segments"),
        "{error}"
    );
    let error = publish(system_of("nowhere"), "order.created").await;
    assert!(error.starts_with("not-found: no tenant nowhere"), "{error}");
}
