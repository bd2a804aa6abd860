//! The platform's own faults while events are worked off: nobody's attempts are used up, nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use erp_plugin::{Authorizer, ErrorCode, HostError, Identity, PermissionSet};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of};
use serde_json::{Value as Json, json};

fn insert(title: &str) -> Json {
    json!({ "data": { "title": title } })
}

async fn titles(platform: &Platform) -> Vec<Json> {
    platform.records("test-sample.note").await.into_iter().map(|note| note["title"].clone()).collect()
}

/// Knows nobody while it is out of order.
#[derive(Clone, Default)]
struct Directory {
    out_of_order: Arc<AtomicBool>,
}

#[async_trait]
impl Authorizer for Directory {
    async fn permissions(&self, _: &Identity) -> Result<PermissionSet, HostError> {
        if self.out_of_order.load(Ordering::SeqCst) {
            return Err(HostError::new(ErrorCode::Unavailable, "the directory does not answer"));
        }
        Ok(PermissionSet::all())
    }
}

#[tokio::test]
async fn an_authorizer_that_does_not_answer_uses_up_no_attempt() {
    let directory = Directory::default();
    let platform = Platform::with(|builder| builder.authorizer(directory.clone())).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    for title in ["first", "second"] {
        platform.publish("sample.insert", &insert(title)).await;
    }
    directory.out_of_order.store(true, Ordering::SeqCst);
    for _ in 0..6 {
        let fault = platform.host.drain().await.unwrap_err();
        assert_eq!(fault.to_string(), "unavailable: the directory does not answer");
    }
    directory.out_of_order.store(false, Ordering::SeqCst);
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, report.dead.len()), (2, 0, 0));
    assert_eq!(titles(&platform).await, ["first", "second"]);
}

#[tokio::test]
async fn a_storage_that_loses_every_transaction_uses_up_no_attempt() {
    let (platform, losses) = Platform::that_loses(|builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.publish("sample.insert", &insert("kept")).await;
    losses.of_the_next(100);
    for _ in 0..6 {
        assert_eq!(platform.host.drain().await.unwrap_err().code(), ErrorCode::Unavailable);
    }
    losses.of_the_next(0);
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, report.dead.len()), (1, 0, 0));
    assert_eq!(titles(&platform).await, ["kept"]);
}

#[tokio::test]
async fn dead_letters_can_be_listed_after_a_restart() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.publish("sample.fail", &json!({ "message": "rejected: no" })).await;
    let drained = platform.host.drain().await.unwrap();
    drop(platform);

    let host = erp_plugin::host(database.url()).await.unwrap().build().await.unwrap();
    let dead = host.events().dead_letters(Default::default(), None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].delivery.event, dead[0].delivery.attempt), (drained.dead[0].event, 4));
    assert_eq!(dead[0].error, "rejected: no");
}

#[tokio::test]
async fn a_disabled_plugins_deliveries_wait_for_it() {
    let directory = Directory::default();
    let platform = Platform::with(|builder| builder.authorizer(directory.clone())).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.publish("sample.insert", &insert("before")).await;
    // It is assigned, and not delivered.
    directory.out_of_order.store(true, Ordering::SeqCst);
    platform.host.drain().await.unwrap_err();
    directory.out_of_order.store(false, Ordering::SeqCst);

    platform.host.disable(TENANT, sample::NAME).await.unwrap();
    let report = platform.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed), (0, 0));
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);
    assert_eq!(titles(&platform).await, ["before"]);
}

#[tokio::test]
async fn what_another_process_installs_and_enables_is_served_here() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    let unknown = here.host.call(system_of(TENANT), sample::NAME, "sample.whoami", &json!({})).await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "not-found: no plugin test-sample is installed; install it first"
    );

    there.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    there.publish("sample.insert", &insert("from there")).await;
    let report = here.host.drain().await.unwrap();
    assert_eq!((report.delivered, report.failed, report.dead.len()), (1, 0, 0));
    // And what both install is installed.
    here.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    assert_eq!(titles(&there).await, ["from there"]);
}

#[tokio::test]
async fn rights_are_granted_anew_by_installing_again_with_others() {
    let platform = sample::platform().await;
    let publishes = async || {
        platform.publish("sample.publish", &json!({ "type": "test-sample.said", "payload": {} })).await;
        platform.host.drain().await.unwrap().failed == 0
    };
    assert!(publishes().await);
    let options = erp_plugin::InstallOptions { granted: Some(Default::default()), ..Default::default() };
    platform.host.install(guests::plugin(sample::NAME), options).await.unwrap();
    assert!(!publishes().await, "what is not granted any more is refused at once");
    // Without a word about rights the same bytes change nothing.
    platform.host.install(guests::plugin(sample::NAME), Default::default()).await.unwrap();
    assert!(!publishes().await);
}
