//! Tenants that are suspended, resumed, deleted: what is done in them meanwhile, and afterwards.

use std::time::{Duration, Instant};

use erp_plugin::{ErrorCode, HostFailure, HostResult, PluginHost, TenantState};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

async fn platform_on(database: &Database) -> Platform {
    let platform = Platform::on(database.url(), |builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform
}

fn assert_suspended<T>(answer: HostResult<T>) {
    match answer {
        Err(HostFailure::Refused(error)) if error.code == ErrorCode::Unavailable => {
            assert!(error.message.contains("tenant acme is suspended"), "{error}");
            assert!(error.message.contains("erp-plugin tenants resume acme"), "{error}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

async fn insert(host: &PluginHost, tenant: &str) -> HostResult<Json> {
    host.records(system_of(tenant)).insert(NOTE, &json!({ "title": "a" })).await
}

#[tokio::test]
async fn nothing_is_begun_in_a_suspended_tenant() {
    let platform = Platform::new().await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let host = &platform.host;
    host.create_tenant("globex").await.unwrap();
    host.enable("globex", sample::NAME).await.unwrap();
    insert(host, TENANT).await.unwrap();
    assert!(host.suspend_tenant(TENANT).await.unwrap());
    assert!(!host.suspend_tenant(TENANT).await.unwrap());

    assert_suspended(insert(host, TENANT).await);
    assert_suspended(host.records(system_of(TENANT)).count(NOTE, &json!({})).await);
    assert_suspended(host.call(system_of(TENANT), sample::NAME, "sample.log", &json!({})).await);
    assert_suspended(host.publish(system_of(TENANT), "sample.log", &json!({})).await);
    assert_suspended(host.enable(TENANT, sample::NAME).await);
    assert_suspended(host.set_role(TENANT, "clerk", ["*"]).await);
    assert!(!platform.log().await.is_empty(), "what was done can be looked at");
    insert(host, "globex").await.unwrap();
    let states = host.tenant_states().await.unwrap();
    let states: Vec<_> = states.iter().map(|(tenant, state)| (tenant.as_str(), *state)).collect();
    assert_eq!(states, [(TENANT, TenantState::Suspended), ("globex", TenantState::Active)]);

    assert!(host.resume_tenant(TENANT).await.unwrap());
    assert!(!host.resume_tenant(TENANT).await.unwrap());
    insert(host, TENANT).await.unwrap();
    host.enable(TENANT, sample::NAME).await.unwrap();
}

#[tokio::test]
async fn deliveries_of_a_suspended_tenant_wait_and_go_on() {
    let platform = Platform::new().await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    let host = &platform.host;
    platform.publish("sample.log", &json!({ "message": "waited" })).await;
    host.suspend_tenant(TENANT).await.unwrap();
    let drained = host.drain().await.unwrap();
    assert_eq!((drained.delivered, drained.failed, drained.dead.len()), (0, 0, 0));
    host.resume_tenant(TENANT).await.unwrap();
    assert_eq!(host.drain().await.unwrap().delivered, 1);
    assert!(platform.log().await.iter().any(|line| line.ends_with("waited")));
}

#[tokio::test]
async fn suspending_is_in_force_within_a_second_elsewhere() {
    let database = Database::lasting().await;
    let one = platform_on(&database).await;
    let other = Platform::on(database.url(), |builder| builder).await;
    insert(&other.host, TENANT).await.unwrap();
    one.host.suspend_tenant(TENANT).await.unwrap();
    let suspended = Instant::now();
    while insert(&other.host, TENANT).await.is_ok() {
        // What is asked for after that second must be refused; the rest is what a slow machine takes.
        assert!(suspended.elapsed() < Duration::from_secs(10));
        tokio::task::yield_now().await;
    }
    assert_suspended(insert(&other.host, TENANT).await);
}

#[tokio::test]
async fn a_deleted_tenant_is_unknown_and_its_receipt_says_what_it_had() {
    let database = Database::lasting().await;
    let platform = platform_on(&database).await;
    let host = &platform.host;
    host.create_tenant("globex").await.unwrap();
    host.enable("globex", sample::NAME).await.unwrap();
    for tenant in [TENANT, "globex"] {
        insert(host, tenant).await.unwrap();
    }
    let (before, usage) = (platform.records_of("globex", NOTE).await, host.usage("globex").await.unwrap());
    host.suspend_tenant(TENANT).await.unwrap();
    let receipt = host.delete_tenant(TENANT, |_| {}).await.unwrap();
    assert_eq!(receipt.tenant.as_str(), TENANT);
    assert!(receipt.erased.was_there && receipt.erased.total() > 3, "{receipt:?}");
    let error = insert(host, TENANT).await.unwrap_err();
    assert_eq!(error.to_string(), "not-found: no tenant acme; create it first");
    assert_eq!(host.delete_tenant(TENANT, |_| {}).await.unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(platform.records_of("globex", NOTE).await, before);
    assert_eq!(host.usage("globex").await.unwrap().len(), usage.len());

    // One of that name is another.
    assert!(host.create_tenant(TENANT).await.unwrap());
    assert!(platform.records(NOTE).await.is_empty() && platform.log().await.is_empty());
}
