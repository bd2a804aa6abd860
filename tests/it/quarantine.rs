//! A plugin that keeps failing in a tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use erp_plugin::{
    AuditFilter, Clock, ErrorCode, HostFailure, InvocationReport, PluginHost, QuarantineOptions, SystemIds,
    TenantId, TenantLimits,
};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of};
use serde_json::json;

const OTHER: &str = "globex";

/// Stands still until it is moved.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(1_900_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// Out of use after three failures, for ten seconds.
fn strict() -> QuarantineOptions {
    QuarantineOptions { failures: 3, pause: Duration::from_secs(10), max_pause: Duration::from_secs(60) }
}

async fn host(url: &str, clock: &TestClock) -> PluginHost {
    limited_host(url, clock, TenantLimits::default()).await
}

async fn limited_host(url: &str, clock: &TestClock, limits: TenantLimits) -> PluginHost {
    let storage = erp_plugin::storage(url).await.unwrap();
    let builder = PluginHost::builder(storage, Arc::new(clock.clone()), Arc::new(SystemIds::default()));
    let host = builder.quarantine(strict()).tenant_limits(limits).build().await.unwrap();
    for tenant in [TENANT, OTHER] {
        host.create_tenant(tenant).await.unwrap();
    }
    host
}

/// The sample in two tenants, and the clock.
async fn set_up() -> (Database, PluginHost, TestClock) {
    let (database, clock) = (Database::lasting().await, TestClock::default());
    let host = host(database.url(), &clock).await;
    let sample = guests::changed(sample::NAME, "0.1.0", |manifest| {
        let more = json!({ "event": "plugin.*" });
        manifest["subscriptions"].as_array_mut().unwrap().push(more);
    });
    host.install(sample, erp_plugin::InstallOptions::default()).await.unwrap();
    for tenant in [TENANT, OTHER] {
        host.enable(tenant, sample::NAME).await.unwrap();
    }
    (database, host, clock)
}

async fn call(host: &PluginHost, tenant: &str, event: &str) -> Result<InvocationReport, HostFailure> {
    host.call(system_of(tenant), sample::NAME, event, &json!({ "message": "m", "key": "greeting" })).await
}

async fn trap_until_it_is_out_of_use(host: &PluginHost) {
    for _ in 0..3 {
        assert!(call(host, TENANT, "sample.trap").await.unwrap().outcome.is_err());
    }
    let refused = call(host, TENANT, "sample.config").await.unwrap_err();
    assert!(matches!(refused, HostFailure::Busy(_)), "{refused}");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    let text = refused.to_string();
    assert!(text.contains("out of use in acme until 2030-") && text.contains("enable it there"), "{text}");
}

async fn actions(host: &PluginHost) -> Vec<String> {
    let filter = AuditFilter { tenant: Some(TenantId::parse(TENANT).unwrap()), ..AuditFilter::default() };
    let trail = host.audit(filter).await.unwrap();
    trail.iter().rev().map(|entry| entry.action.clone()).collect()
}

#[tokio::test]
async fn a_plugin_that_keeps_trapping_is_taken_out_in_that_tenant_and_tried_again_later() {
    let (_database, host, clock) = set_up().await;
    // What it says itself is no failure, and a success begins the count anew.
    for event in ["sample.trap", "sample.trap", "sample.fail", "sample.trap", "sample.trap", "sample.config"]
    {
        assert!(call(&host, TENANT, event).await.is_ok());
    }
    trap_until_it_is_out_of_use(&host).await;
    call(&host, OTHER, "sample.config").await.unwrap().outcome.unwrap();

    // Its deliveries wait; the event that tells of it as well.
    host.publish(system_of(TENANT), "sample.log", &json!({ "message": "waiting" })).await.unwrap();
    assert_eq!(host.drain().await.unwrap().delivered, 0);
    let backlog = host.events().backlog(None).await.unwrap();
    assert_eq!((backlog.unnumbered, backlog.pending), (0, 2));

    // When the time is over one call tries, and the next pause is twice as long.
    clock.advance(10);
    assert!(call(&host, TENANT, "sample.trap").await.unwrap().outcome.is_err());
    clock.advance(19);
    assert!(call(&host, TENANT, "sample.config").await.is_err());
    clock.advance(1);
    call(&host, TENANT, "sample.config").await.unwrap().outcome.unwrap();
    assert_eq!(host.drain().await.unwrap().delivered, 3);
    assert_eq!(actions(&host).await[2..], ["plugin.quarantined", "plugin.released"]);
    // It begins anew.
    trap_until_it_is_out_of_use(&host).await;
}

#[tokio::test]
async fn of_two_hosts_one_tries_and_whoever_enables_the_plugin_ends_the_wait() {
    let (database, here, clock) = set_up().await;
    let there = host(database.url(), &clock).await;
    call(&there, TENANT, "sample.config").await.unwrap().outcome.unwrap();
    trap_until_it_is_out_of_use(&here).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(call(&there, TENANT, "sample.config").await.is_err());
    clock.advance(10);
    assert!(call(&here, TENANT, "sample.trap").await.unwrap().outcome.is_err());
    // The other one thinks that it is time.
    assert!(matches!(call(&there, TENANT, "sample.config").await, Err(HostFailure::Busy(_))));
    here.enable(TENANT, sample::NAME).await.unwrap();
    call(&here, TENANT, "sample.config").await.unwrap().outcome.unwrap();
    assert_eq!(actions(&here).await[2..], ["plugin.quarantined", "plugin.released"]);
}

#[tokio::test]
async fn a_trial_that_did_not_take_place_was_none() {
    let (database, here, clock) = set_up().await;
    let limits = TenantLimits { fuel_per_minute: 1, ..TenantLimits::default() };
    let poor = limited_host(database.url(), &clock, limits).await;
    call(&poor, TENANT, "sample.config").await.unwrap().outcome.unwrap();
    trap_until_it_is_out_of_use(&here).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    clock.advance(10);
    // This one's tenant has used up its minute.
    let refused = call(&poor, TENANT, "sample.config").await.unwrap_err();
    assert!(
        matches!(refused, HostFailure::Busy(_)) && !refused.to_string().contains("out of use"),
        "{refused}"
    );
    call(&here, TENANT, "sample.config").await.unwrap().outcome.unwrap();
    assert_eq!(actions(&here).await[2..], ["plugin.quarantined", "plugin.released"]);
}

#[tokio::test]
async fn an_event_that_fails_again_and_again_ends_as_a_dead_letter_and_the_plugin_goes_on() {
    let (_database, host, _clock) = set_up().await;
    host.publish(system_of(TENANT), "sample.trap", &json!({})).await.unwrap();
    host.publish(system_of(TENANT), "sample.config", &json!({ "key": "greeting" })).await.unwrap();
    let report = host.drain().await.unwrap();
    assert!(report.failed > 3, "{report:?}");
    assert_eq!((report.dead.len(), report.delivered), (1, 1));
    // Three of them in a row are too many, and the third waits for its next attempt.
    for _ in 0..3 {
        host.publish(system_of(TENANT), "sample.trap", &json!({})).await.unwrap();
    }
    let report = host.drain().await.unwrap();
    assert_eq!(report.dead.len(), 2, "{report:?}");
    assert!(call(&host, TENANT, "sample.config").await.is_err());
}

#[tokio::test]
async fn nobody_is_taken_out_where_nobody_is_to_be() {
    let never = QuarantineOptions { failures: 0, ..QuarantineOptions::default() };
    let platform = Platform::with(|builder| builder.quarantine(never)).await;
    platform.enable("", guests::plugin(sample::NAME)).await;
    for _ in 0..12 {
        assert!(platform.call(sample::NAME, "sample.trap", &json!({})).await.outcome.is_err());
    }
    platform.call(sample::NAME, "sample.config", &json!({ "key": "greeting" })).await.outcome.unwrap();
}
