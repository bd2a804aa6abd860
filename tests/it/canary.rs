//! Versions that run in some tenants only: tried there first, or held there because `init` of the next one failed.

use erp_plugin::{ErrorCode, HostFailure, InstallOptions, RollbackOptions, TenantId};
use erp_plugin_tests::{Database, Platform, TENANT, guests, sample, system_of, together};
use serde_json::{Value as Json, json};

const OTHER: &str = "globex";

/// The sample as another version of itself, with a field that is new.
fn with_field(version: &str, options: &Json) -> Vec<u8> {
    guests::changed(sample::NAME, version, |manifest| {
        manifest["entities"]["note"]["fields"]["colour"] = options.clone();
    })
}

fn newer() -> Vec<u8> {
    with_field("0.2.0", &json!({ "type": "string" }))
}

fn only_in(tenant: &str) -> InstallOptions {
    InstallOptions { tenants: vec![TenantId::parse(tenant).unwrap()], ..InstallOptions::default() }
}

fn back_in(tenant: &str) -> RollbackOptions {
    RollbackOptions { tenants: vec![TenantId::parse(tenant).unwrap()], ..RollbackOptions::default() }
}

/// A platform with the sample in two tenants.
async fn two_tenants() -> Platform {
    in_two_tenants(Platform::new().await).await
}

async fn in_two_tenants(platform: Platform) -> Platform {
    platform.enable("", guests::plugin(sample::NAME)).await;
    platform.host.create_tenant(OTHER).await.unwrap();
    platform.host.enable(OTHER, sample::NAME).await.unwrap();
    platform
}

/// Two hosts on one database; the second hears of nothing that the first does but by asking.
async fn two_hosts() -> (Database, Platform, Platform) {
    let database = Database::lasting().await;
    let here = in_two_tenants(Platform::on(database.url(), |builder| builder).await).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    assert_eq!(version_in(&there, TENANT).await, "0.1.0");
    (database, here, there)
}

/// The version that runs a call in a tenant.
async fn version_in(platform: &Platform, tenant: &str) -> String {
    let note = json!({ "data": { "title": "t" } });
    let called = platform.host.call(system_of(tenant), sample::NAME, "sample.insert", &note).await.unwrap();
    assert_eq!(called.outcome, Ok(()));
    last_writer(platform, tenant).await
}

/// The version that wrote a tenant's newest note.
async fn last_writer(platform: &Platform, tenant: &str) -> String {
    let history = platform.host.records(system_of(tenant));
    let newest = history.history("test-sample.note", None, &json!({ "limit": 1 })).await.unwrap();
    newest["items"][0]["plugin_version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_version_is_tried_in_one_tenant_while_the_other_goes_on() {
    let platform = two_tenants().await;
    platform.host.install(newer(), only_in(TENANT)).await.unwrap();
    assert_eq!(version_in(&platform, TENANT).await, "0.2.0");
    assert_eq!(version_in(&platform, OTHER).await, "0.1.0");
    assert_eq!(platform.host.plugins()[0].version.to_string(), "0.1.0");
    let state = &platform.host.plugin_states().await.unwrap()[0];
    let [(tenant, version)] = &state.elsewhere[..] else { panic!("{state:?}") };
    assert_eq!((tenant.as_str(), version.to_string().as_str()), (TENANT, "0.2.0"));

    // The edge has the fields of the version that runs in each.
    let red = json!({ "title": "t", "colour": "red" });
    let here = platform.host.records(system_of(TENANT)).insert("test-sample.note", &red).await.unwrap();
    assert_eq!(here["colour"], "red");
    let there = platform.host.records(system_of(OTHER)).insert("test-sample.note", &red).await.unwrap_err();
    assert_eq!(there.code(), ErrorCode::InvalidInput, "{there}");
    // A tenant that is new begins with what is active, and the one that tries stays where it is.
    platform.host.create_tenant("third").await.unwrap();
    platform.host.enable("third", sample::NAME).await.unwrap();
    assert_eq!(version_in(&platform, "third").await, "0.1.0");
    platform.host.disable(TENANT, sample::NAME).await.unwrap();
    platform.host.enable(TENANT, sample::NAME).await.unwrap();
    assert_eq!(version_in(&platform, TENANT).await, "0.2.0");

    // For all, and back in one.
    let installed = platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!(installed.not_in, []);
    assert_eq!(version_in(&platform, OTHER).await, "0.2.0");
    let records = platform.host.records(system_of(TENANT));
    let red = records.query("test-sample.note", &json!({ "colour": "red" }), &json!({})).await.unwrap();
    assert_eq!(red["items"].as_array().unwrap().len(), 1);
    assert!(platform.host.schema_status(sample::NAME).await.unwrap().is_current);
    assert_eq!(platform.host.plugin_states().await.unwrap()[0].elsewhere, []);
}

#[tokio::test]
async fn a_trial_ends_where_it_began() {
    let platform = two_tenants().await;
    platform.host.install(newer(), only_in(TENANT)).await.unwrap();
    platform.host.rollback(sample::NAME, None, back_in(TENANT)).await.unwrap();
    assert_eq!(version_in(&platform, TENANT).await, "0.1.0");
    assert_eq!(platform.host.plugin_states().await.unwrap()[0].elsewhere, []);
    // What it added to the table is in nobody's way, and goes with consent.
    let status = platform.host.schema_status(sample::NAME).await.unwrap();
    assert!(!status.is_current);
}

#[tokio::test]
async fn a_version_that_others_cannot_live_with_is_not_tried() {
    let platform = two_tenants().await;
    let required = with_field("0.2.0", &json!({ "type": "string", "required": true, "default": "red" }));
    let failure = platform.host.install(required, only_in(TENANT)).await.unwrap_err();
    let text = failure.to_string();
    assert!(
        text.contains("test-sample.note.colour") && text.contains("0.1.0 cannot work on such tables"),
        "{text}"
    );
    assert_eq!(version_in(&platform, TENANT).await, "0.1.0");
    assert!(platform.host.schema_status(sample::NAME).await.unwrap().is_current, "nothing was done");
    let nowhere = platform.host.install(newer(), only_in("nobody")).await.unwrap_err();
    assert_eq!(nowhere.code(), ErrorCode::NotFound, "{nowhere}");
    platform.host.disable(OTHER, sample::NAME).await.unwrap();
    let disabled = platform.host.install(newer(), only_in(OTHER)).await.unwrap_err();
    assert!(disabled.to_string().contains("enable it there first"), "{disabled}");
}

#[tokio::test]
async fn where_init_fails_the_version_before_goes_on() {
    let platform = two_tenants().await;
    let wont = json!("rejected: not today");
    platform.host.set_config(OTHER, sample::NAME, "fail_init", Some(wont)).await.unwrap();
    let installed = platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!(installed.not_in, [TenantId::parse(OTHER).unwrap()]);
    let note = &installed.notes[0];
    assert!(
        note.contains("in globex") && note.contains("not today") && note.contains("0.1.0 goes on there"),
        "{note}"
    );
    assert_eq!(version_in(&platform, TENANT).await, "0.2.0");
    assert_eq!(version_in(&platform, OTHER).await, "0.1.0");
    // Its events are handled by the version that runs there.
    platform.host.publish(system_of(OTHER), "sample.log", &json!({ "message": "still here" })).await.unwrap();
    assert_eq!(platform.host.drain().await.unwrap().delivered, 1);

    // It is tried again with the same command, or by enabling the plugin.
    let again = platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!(again.not_in, installed.not_in);
    let failure = platform.host.enable(OTHER, sample::NAME).await.unwrap_err();
    assert!(matches!(failure, HostFailure::Lifecycle { .. }), "{failure}");
    assert_eq!(version_in(&platform, OTHER).await, "0.1.0");
    platform.host.set_config(OTHER, sample::NAME, "fail_init", None).await.unwrap();
    let again = platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!((again.not_in, again.notes), (vec![], vec![]));
    assert_eq!(version_in(&platform, OTHER).await, "0.2.0");
}

#[tokio::test]
async fn a_suspended_tenant_is_passed_over_and_goes_on_with_what_it_had() {
    let platform = two_tenants().await;
    platform.host.suspend_tenant(OTHER).await.unwrap();
    let installed = platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!(installed.not_in, []);
    assert_eq!(installed.notes, ["in globex: it is suspended; upgrade again when it is resumed"]);
    platform.host.resume_tenant(OTHER).await.unwrap();
    assert_eq!(version_in(&platform, OTHER).await, "0.1.0");
    platform.host.install(newer(), InstallOptions::default()).await.unwrap();
    assert_eq!(version_in(&platform, OTHER).await, "0.2.0");

    // What does not fit the tables any more gives way with the next call.
    platform.host.suspend_tenant(OTHER).await.unwrap();
    let without = guests::changed(sample::NAME, "0.3.0", |manifest| {
        manifest["entities"]["note"]["fields"].as_object_mut().unwrap().remove("extra");
    });
    let consent = ["test-sample.note.extra", "test-sample.note.colour"].map(str::to_owned).to_vec();
    platform.host.install(without, InstallOptions { consent, ..InstallOptions::default() }).await.unwrap();
    platform.host.resume_tenant(OTHER).await.unwrap();
    assert_eq!(version_in(&platform, OTHER).await, "0.3.0");
}

#[tokio::test]
async fn where_init_fails_and_the_tables_are_others_the_plugin_is_disabled() {
    let platform = two_tenants().await;
    let wont = json!("rejected: not today");
    platform.host.set_config(OTHER, sample::NAME, "fail_init", Some(wont)).await.unwrap();
    let without = guests::changed(sample::NAME, "0.2.0", |manifest| {
        manifest["entities"]["note"]["fields"].as_object_mut().unwrap().remove("extra");
    });
    let consent = vec!["test-sample.note.extra".to_owned()];
    let options = InstallOptions { consent, ..InstallOptions::default() };
    let installed = platform.host.install(without, options).await.unwrap();
    assert_eq!(installed.not_in, [TenantId::parse(OTHER).unwrap()]);
    assert!(installed.notes[0].contains("it is disabled there"), "{:?}", installed.notes);
    assert_eq!(version_in(&platform, TENANT).await, "0.2.0");
    let called = platform.host.call(system_of(OTHER), sample::NAME, "sample.whoami", &json!({})).await;
    assert_eq!(called.unwrap_err().code(), ErrorCode::NotFound);
    platform.host.set_config(OTHER, sample::NAME, "fail_init", None).await.unwrap();
    platform.host.enable(OTHER, sample::NAME).await.unwrap();
    assert_eq!(version_in(&platform, OTHER).await, "0.2.0");
}

#[tokio::test]
async fn what_is_no_fault_of_the_plugins_does_not_disable_it() {
    let (platform, losses) = Platform::that_loses(|builder| builder).await;
    let platform = in_two_tenants(platform).await;
    let without = guests::changed(sample::NAME, "0.2.0", |manifest| {
        manifest["entities"]["note"]["fields"].as_object_mut().unwrap().remove("extra");
    });
    let consent = vec!["test-sample.note.extra".to_owned()];
    // All three attempts of one `init`, and the logs of the first two.
    losses.of_the_next_that_write(5);
    let options = InstallOptions { consent, ..InstallOptions::default() };
    let installed = platform.host.install(without, options).await.unwrap();
    assert_eq!(installed.not_in, [TenantId::parse(TENANT).unwrap()]);
    assert!(installed.notes[0].contains("its init is still due"), "{:?}", installed.notes);
    for tenant in [TENANT, OTHER] {
        assert_eq!(version_in(&platform, tenant).await, "0.2.0");
    }
}

#[tokio::test]
async fn of_two_hosts_that_enable_a_plugin_one_calls_it() {
    let database = Database::lasting().await;
    let here = Platform::on(database.url(), |builder| builder).await;
    let there = Platform::on(database.url(), |builder| builder).await;
    here.host.install(guests::plugin(sample::NAME), InstallOptions::default()).await.unwrap();
    let hosts = [std::sync::Arc::new(here), std::sync::Arc::new(there)];
    for number in 0..10 {
        let tenant = format!("tenant-{number}");
        hosts[0].host.create_tenant(&tenant).await.unwrap();
        let enabling = hosts.iter().map(|host| {
            let (host, tenant) = (std::sync::Arc::clone(host), tenant.clone());
            async move { host.host.enable(&tenant, sample::NAME).await }
        });
        for enabled in together(enabling).await {
            enabled.unwrap();
        }
        let greetings = hosts[0].records_of(&tenant, "test-sample.greeting").await;
        assert_eq!(greetings.len(), 1, "on-tenant-created was called twice in {tenant}");
    }
}

#[tokio::test]
async fn a_host_that_was_not_told_commits_nothing_of_the_version_before() {
    let (_database, here, there) = two_hosts().await;
    // The tables are as they were: nothing but the version tells the one from the other.
    for version in ["0.1.1", "0.1.2", "0.1.3"] {
        here.enable("", guests::changed(sample::NAME, version, |_| {})).await;
        assert_eq!(version_in(&there, TENANT).await, version);
    }
    here.host.rollback(sample::NAME, None, RollbackOptions::default()).await.unwrap();
    let note = json!({ "data": { "title": "t" } });
    here.publish("sample.insert", &note).await;
    assert_eq!(there.host.drain().await.unwrap().delivered, 1);
    assert_eq!(last_writer(&there, TENANT).await, "0.1.2");
    let before = here.records("test-sample.note").await.len();
    here.host.disable(TENANT, sample::NAME).await.unwrap();
    let refused = there.host.call(system_of(TENANT), sample::NAME, "sample.insert", &note).await.unwrap_err();
    assert!(refused.to_string().contains("disabled"), "{refused}");
    assert_eq!(here.records("test-sample.note").await.len(), before);
    assert_eq!(version_in(&there, OTHER).await, "0.1.2");
}

#[tokio::test]
async fn a_host_that_was_not_told_has_each_tenants_version_within_two_seconds() {
    let (_database, here, there) = two_hosts().await;
    let edge = there.host.records(system_of(TENANT));
    let red = json!({ "title": "t", "colour": "red" });
    assert!(edge.insert("test-sample.note", &red).await.is_err());
    here.host.install(newer(), only_in(TENANT)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(version_in(&there, TENANT).await, "0.2.0");
    assert_eq!(edge.insert("test-sample.note", &red).await.unwrap()["colour"], "red");
    assert_eq!(version_in(&there, OTHER).await, "0.1.0");
    here.host.install(newer(), InstallOptions::default()).await.unwrap();
    // An entity of a plugin that this host never saw.
    here.enable("", guests::plugin("inventory")).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(version_in(&there, OTHER).await, "0.2.0");
    let items = edge.query("inventory.item", &json!({}), &json!({})).await;
    assert_eq!(items.unwrap()["items"], json!([]));
}
