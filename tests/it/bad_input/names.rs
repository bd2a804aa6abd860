//! Names and keys that the host's own calls are given.

use erp_plugin::{HostResult, Identity, LogQuery, TenantId, UserId, usage::LogLevel};
use erp_plugin_tests::{TENANT, sample, system_of};
use serde_json::json;

use super::Standing;

const TENANT_RULE: &str = "1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or digit";
const PLUGIN_RULE: &str = "2 to 24 of a-z 0-9 -, beginning with a letter, without a double or trailing hyphen; \
    sqlite, pg and what begins with sqlite- or pg- belong to the databases";
const EVENT_RULE: &str = "2 to 8 segments of a-z 0-9 _ - joined by dots, at most 128 bytes";

fn text<T>(result: HostResult<T>) -> String {
    result.err().expect("it is bad input").to_string()
}

fn everything() -> LogQuery {
    LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 10 }
}

#[tokio::test]
async fn names_that_are_none() {
    let standing = Standing::new().await;
    let host = &standing.platform.host;
    for bad in ["", "a/b", "-acme", "a b", "名", &"x".repeat(65)] {
        let expected = format!("invalid tenant id {bad:?}: {TENANT_RULE}");
        assert_eq!(text(host.create_tenant(bad).await), expected);
        assert_eq!(text(host.enable(bad, sample::NAME).await), expected);
        assert_eq!(text(host.disable(bad, sample::NAME).await), expected);
        assert_eq!(text(host.set_config(bad, sample::NAME, "greeting", None).await), expected);
        assert_eq!(text(host.log(bad, everything()).await), expected);
        assert_eq!(text(host.usage(bad).await), expected);
        assert_eq!(text(host.event_count(bad).await), expected);
        assert_eq!(UserId::parse(bad).unwrap_err().to_string(), expected.replace("tenant", "user"));
    }
    for bad in ["", "x", "CRM", "7up", "a_b", "a.b", &"x".repeat(25)] {
        let expected = format!("invalid plugin name {bad:?}: {PLUGIN_RULE}");
        assert_eq!(text(host.enable(TENANT, bad).await), expected);
        assert_eq!(text(host.disable(TENANT, bad).await), expected);
        assert_eq!(text(host.set_config(TENANT, bad, "greeting", None).await), expected);
        assert_eq!(text(host.call(system_of(TENANT), bad, "a.b", &json!({})).await), expected);
    }
    for bad in ["", "order", "Order.created", "order..created", "order.*", &"a.".repeat(70)] {
        let shown: String = bad.chars().take(80).collect();
        let expected = format!("invalid event type {shown:?}: {EVENT_RULE}");
        assert_eq!(text(host.call(system_of(TENANT), sample::NAME, bad, &json!({})).await), expected);
        let published = host.publish(system_of(TENANT), bad, &json!({})).await;
        assert_eq!(text(published), format!("invalid-input: {expected}"));
    }
    standing.serves_on().await;
}

#[tokio::test]
async fn configuration_that_is_none() {
    let standing = Standing::new().await;
    let host = &standing.platform.host;
    let set = async |key: &str, value| text(host.set_config(TENANT, sample::NAME, key, value).await);
    let key_rule = "must be 1 to 100 of A-Z a-z 0-9 . _ -";
    for bad in ["", "a key", "../key"] {
        assert_eq!(set(bad, None).await, format!("invalid-input: configuration key {bad:?} {key_rule}"));
        let system = text(host.set_system_config(bad, None).await);
        assert_eq!(system, format!("invalid-input: configuration key {bad:?} {key_rule}"));
    }
    assert_eq!(
        set("greting", Some(json!("hi"))).await,
        "invalid-input: test-sample has no configuration \"greting\"; it has: fail_init, fail_upgraded, greeting, note_init"
    );
    assert_eq!(
        set("greeting", Some(json!(7))).await,
        "invalid-input: configuration greeting of test-sample must be a string"
    );
    assert_eq!(
        text(host.set_system_config("currency", Some(json!("CNY"))).await),
        "invalid-input: platform key \"currency\" must begin with `system.`"
    );
    let asked = json!({ "key": "greeting" });
    assert_eq!(sample::answer(&standing.platform, "sample.config", asked).await, "hello");
}

#[tokio::test]
async fn a_call_in_a_tenant_that_is_not_there_says_so() {
    let standing = Standing::new().await;
    let host = &standing.platform.host;
    let nobody = Identity::user(TenantId::parse("nowhere").unwrap(), UserId::parse("ada").unwrap());
    assert_eq!(
        text(host.records(nobody.clone()).insert(super::NOTE, &json!({ "title": "lost" })).await),
        "not-found: no tenant nowhere; create it first"
    );
    assert_eq!(
        text(host.call(nobody, sample::NAME, "sample.whoami", &json!({})).await),
        "not-found: no tenant nowhere; create it first"
    );
    standing.serves_on().await;
}
