//! A plugin's life: installed once, enabled in a tenant once, found again after a restart.

use std::sync::Arc;

use erp_plugin::{ErrorCode, HostFailure, InstallOptions};
use erp_plugin_tests::{Database, Platform, TENANT, Veto, guests, sample, together};
use serde_json::{Value as Json, json};

const GREETING: &str = "test-sample.greeting";

/// How often the plugin logged this line.
async fn said(platform: &Platform, line: &str) -> usize {
    platform.log().await.iter().filter(|said| *said == line).count()
}

#[tokio::test]
async fn init_is_called_once_for_each_version_and_tenant() {
    let platform = sample::platform().await;
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(said(&platform, "info init").await, 1);
    assert_eq!(said(&platform, "info on-tenant-created acme").await, 1);
    assert_eq!(platform.records(GREETING).await.len(), 1);

    platform.host.create_tenant("later").await.unwrap();
    platform.host.enable("later", sample::NAME).await.unwrap();
    assert_eq!(platform.records_of("later", GREETING).await[0]["tenant"], "later");
    assert_eq!(said(&platform, "info init").await, 1, "it was the other tenant's");
}

#[tokio::test]
async fn enabling_at_the_same_time_calls_init_once() {
    let platform = Platform::new().await;
    platform.try_install(sample::NAME, guests::plugin(sample::NAME)).await.unwrap();
    let platform = Arc::new(platform);
    let calls = (0..6).map(|_| {
        let platform = Arc::clone(&platform);
        async move { platform.host.enable(TENANT, sample::NAME).await.unwrap() }
    });
    together(calls).await;
    assert_eq!(said(&platform, "info init").await, 1);
    assert_eq!(platform.records(GREETING).await.len(), 1);
}

#[tokio::test]
async fn disabling_and_enabling_again_calls_nothing() {
    let platform = sample::platform().await;
    platform.host.disable(TENANT, sample::NAME).await.unwrap();
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(said(&platform, "info init").await, 1);
    sample::answer(&platform, "sample.whoami", json!({})).await;
}

#[tokio::test]
async fn a_tenant_call_that_fails_is_made_again_and_init_is_not() {
    let veto = Veto::of(GREETING);
    let platform = Platform::with(|builder| builder.hooks(veto.clone())).await;
    platform.try_install(sample::NAME, guests::plugin(sample::NAME)).await.unwrap();
    veto.the_next(1);
    let failure = platform.host.enable(TENANT, sample::NAME).await.unwrap_err();
    assert_eq!(failure.to_string(), "test-sample: on-tenant-created failed: rejected: vetoed");
    assert_eq!(platform.records(GREETING).await, [Json::Null; 0]);

    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(said(&platform, "info init").await, 1);
    // The log of the call that failed is kept too.
    assert_eq!(said(&platform, "info on-tenant-created acme").await, 2);
    assert_eq!(platform.records(GREETING).await.len(), 1);
}

/// Not even its tables: the same name with another schema finds its place free.
#[tokio::test]
async fn a_failing_init_refuses_the_installation_and_leaves_nothing() {
    let platform = Platform::new().await;
    let one = "[entities.thing.fields.a]\ntype = \"integer\"\n";
    let fails = guests::with_manifest(&guests::hostile("01-endless-init"), "candidate", one);
    let failure = platform.try_install("", fails).await.unwrap_err();
    assert!(failure.to_string().starts_with("candidate: init failed: limit-exceeded: fuel"), "{failure}");
    assert!(platform.host.plugins().is_empty());

    let other = "[entities.thing.fields.a]\ntype = \"date\"\n";
    let works = guests::with_manifest(&guests::hostile("12-compute"), "candidate", other);
    platform.enable("", works).await;
    assert_eq!(platform.records("candidate.thing").await, [Json::Null; 0]);
}

#[tokio::test]
async fn installing_the_same_bytes_again_changes_nothing() {
    let platform = sample::platform().await;
    platform.try_install(sample::NAME, guests::plugin(sample::NAME)).await.unwrap();
    assert_eq!(platform.host.plugins().len(), 1);
    sample::answer(&platform, "sample.whoami", json!({})).await;
}

#[tokio::test]
async fn another_component_under_an_installed_name_is_refused() {
    let platform = sample::platform().await;
    let refusal = async |version: &str| {
        let component = guests::hostile("12-compute");
        let component = guests::with_manifest(&component, sample::NAME, "").to_vec();
        let component = replace_version(component, version);
        platform.try_install("", component).await.unwrap_err().to_string()
    };
    assert_eq!(
        refusal("0.1.0").await,
        "already-exists: test-sample 0.1.0 is installed with other bytes, and a version never changes; give it \
         another version"
    );
    // A newer one that has not the entities would put them aside.
    let newer = refusal("0.2.0").await;
    assert!(newer.starts_with("the tables of test-sample cannot become those of 0.2.0: "), "{newer}");
    assert!(newer.contains("test-sample.greeting") && newer.contains("consent to it by name"), "{newer}");
    sample::answer(&platform, "sample.whoami", json!({})).await;
}

/// The versions in the manifests have the same length.
fn replace_version(component: Vec<u8>, version: &str) -> Vec<u8> {
    let from = b"\"version\":\"1.0.0\"";
    let at = component.windows(from.len()).position(|window| window == from).unwrap();
    let mut component = component;
    component[at..at + from.len()].copy_from_slice(format!("\"version\":\"{version}\"").as_bytes());
    component
}

#[tokio::test]
async fn a_database_file_that_is_opened_again_has_everything() {
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    platform.enable("bare", guests::hostile("atomic")).await;
    let note = sample::answer(&platform, "sample.insert", json!({ "data": { "title": "kept" } })).await;
    assert_eq!(platform.call("bare", "any.event", &json!({})).await.outcome, Ok(()));
    platform.host.set_config(TENANT, sample::NAME, "greeting", Some(json!("hi"))).await.unwrap();
    platform.host.set_system_config("system.currency", Some(json!("CNY"))).await.unwrap();
    let (log, usage) = (platform.log().await, platform.host.usage(TENANT).await.unwrap());
    drop(platform);

    let platform = Platform::on(database.url(), |builder| builder).await;
    assert!(!platform.host.create_tenant(TENANT).await.unwrap());
    assert_eq!(platform.host.plugins().len(), 2);
    assert_eq!(platform.records("test-sample.note").await, [note]);
    assert_eq!(platform.records("bare.thing").await.len(), 1, "a dynamic entity is known again");
    assert_eq!(platform.log().await, log);
    assert_eq!(platform.host.usage(TENANT).await.unwrap(), usage);
    assert_eq!(platform.event_count().await, 1);
    assert_eq!(sample::answer(&platform, "sample.config", json!({ "key": "greeting" })).await, "hi");
    assert_eq!(sample::answer(&platform, "sample.config", json!({ "key": "system.currency" })).await, "CNY");
    // Enabled is enabled, and what was installed needs no installing.
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    platform.try_install(sample::NAME, guests::plugin(sample::NAME)).await.unwrap();
    assert_eq!(said(&platform, "info init").await, 1);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_enabled_called_or_configured() {
    let platform = Platform::new().await;
    let missing = |failure: HostFailure| {
        assert_eq!(failure.code(), ErrorCode::NotFound);
        failure.to_string()
    };
    let failure = platform.host.enable(TENANT, "ghost").await.unwrap_err();
    assert_eq!(missing(failure), "not-found: no plugin ghost is installed; install it first");
    platform.enable("worker", guests::hostile("12-compute")).await;
    let failure = platform.host.enable("nowhere", "worker").await.unwrap_err();
    assert_eq!(missing(failure), "not-found: no tenant nowhere; create it first");
    let failure = platform.host.set_config(TENANT, "ghost", "key", None).await.unwrap_err();
    missing(failure);
}

#[tokio::test]
async fn a_host_can_refuse_components_without_a_manifest() {
    let platform = Platform::with(|builder| builder.bare_components(false)).await;
    let failure = platform.try_install("bare", guests::hostile("atomic")).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "permission-denied: this component has no manifest, and this host takes none without; add a plugin.toml and \
         build it again"
    );
    platform
        .try_install("", guests::with_manifest(&guests::hostile("atomic"), "declared", ""))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_bare_plugin_is_told_what_it_may_do() {
    let platform = Platform::new().await;
    let options = InstallOptions { name: Some("bare".parse().unwrap()), ..InstallOptions::default() };
    let summary = platform.host.install(guests::hostile("atomic"), options).await.unwrap();
    assert_eq!(summary.version.to_string(), "0.0.0");
    assert_eq!(
        summary.notes,
        [
            "bare has no manifest: it receives every event of its tenants but its own, may publish any that do not begin \
          with another plugin's name, owns dynamic entities only, and has the default limits"
        ]
    );
}
