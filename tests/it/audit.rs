//! Who did what: everything that changes plugins, tenants, configuration and roles.

use erp_plugin::{AuditEntry, AuditFilter, InstallOptions, PluginName, RollbackOptions, TenantId, UserId};
use erp_plugin_tests::{Platform, TENANT, guests, sample};
use serde_json::json;

/// What the sample asks for, as the trail tells that it was granted.
const GRANTED: &str = "granted events-publish \"test-sample.*\", system-config \"system.currency\"";

/// Who, what, where, from what to what, what else.
fn line(entry: &AuditEntry) -> String {
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let place = entry.tenant.as_ref().map_or("-", TenantId::as_str);
    let plugin = entry.plugin.as_ref().map_or("-", PluginName::as_str);
    let AuditEntry { by, action, from, to, detail, .. } = entry;
    format!("{by} {action} {place} {plugin} {} {} {}", or(from), or(to), or(detail))
        .replace(GRANTED, "its rights")
}

async fn trail(platform: &Platform, filter: AuditFilter) -> Vec<String> {
    platform.host.audit(filter).await.unwrap().iter().rev().map(line).collect()
}

#[tokio::test]
async fn everything_that_is_changed_is_in_the_trail_with_who_did_it() {
    let platform = Platform::new().await;
    let ada = platform.host.acting_as(UserId::parse("ada").unwrap());
    let newer = || guests::changed(sample::NAME, "0.2.0", |_| {});
    ada.install(guests::plugin(sample::NAME), InstallOptions::default()).await.unwrap();
    ada.enable(TENANT, sample::NAME).await.unwrap();
    ada.enable(TENANT, sample::NAME).await.unwrap();
    ada.set_config(TENANT, sample::NAME, "greeting", Some(json!("a secret"))).await.unwrap();
    ada.set_system_config("system.currency", Some(json!("EUR"))).await.unwrap();
    ada.set_role(TENANT, "clerk", ["test-sample.note.read"]).await.unwrap();
    ada.assign_role(TENANT, "ben", "clerk").await.unwrap();
    ada.unassign_role(TENANT, "ben", "clerk").await.unwrap();
    ada.remove_role(TENANT, "clerk").await.unwrap();
    ada.install(newer(), InstallOptions::default()).await.unwrap();
    ada.rollback(sample::NAME, None, RollbackOptions::default()).await.unwrap();
    ada.suspend_tenant(TENANT).await.unwrap();
    ada.suspend_tenant(TENANT).await.unwrap();
    ada.resume_tenant(TENANT).await.unwrap();
    ada.disable(TENANT, sample::NAME).await.unwrap();
    ada.archive(sample::NAME).await.unwrap();
    ada.purge(sample::NAME).await.unwrap();
    let all = trail(&platform, AuditFilter::default()).await;
    let expected = [
        "system tenant.created acme - - - -",
        "ada plugin.installed - test-sample - 0.1.0 its rights",
        "ada plugin.enabled acme test-sample - 0.1.0 -",
        "ada plugin.configured acme test-sample - - greeting set",
        "ada system.configured - - - - system.currency set",
        "ada role.set acme - - test-sample.note.read clerk",
        "ada role.assigned acme - - - clerk ben",
        "ada role.unassigned acme - - - clerk ben",
        "ada role.removed acme - - - clerk",
        "ada plugin.upgraded acme test-sample 0.1.0 0.2.0 -",
        "ada plugin.upgraded - test-sample 0.1.0 0.2.0 its rights",
        "ada plugin.rolled-back acme test-sample 0.2.0 0.1.0 -",
        "ada plugin.rolled-back - test-sample 0.2.0 0.1.0 its rights",
        "ada tenant.suspended acme - - - -",
        "ada tenant.resumed acme - - - -",
        "ada plugin.disabled acme test-sample 0.1.0 - -",
        "ada plugin.archived - test-sample 0.1.0 - -",
    ];
    assert_eq!(all[..expected.len()], expected);
    let [dropped, purged] = &all[expected.len()..] else { panic!("{all:?}") };
    assert!(dropped.starts_with("ada schema.purged - test-sample - - test_sample__"), "{dropped}");
    assert!(purged.starts_with("ada plugin.purged - test-sample - - 2 versions, "), "{purged}");

    let filter = AuditFilter {
        tenant: Some(TenantId::parse(TENANT).unwrap()),
        plugin: Some(PluginName::parse(sample::NAME).unwrap()),
        ..AuditFilter::default()
    };
    let expected: Vec<_> = expected.into_iter().filter(|line| line.contains(" acme test-sample ")).collect();
    assert_eq!(trail(&platform, filter.clone()).await, expected);
    // The newest first, a page at a time.
    let newest = platform.host.audit(AuditFilter { limit: 1, ..filter.clone() }).await.unwrap();
    let before = Some((newest[0].at, newest[0].id));
    let rest = trail(&platform, AuditFilter { before, ..filter }).await;
    assert_eq!(rest, expected[..expected.len() - 1]);

    // What was done in a tenant goes with it.
    ada.delete_tenant(TENANT, |_| {}).await.unwrap();
    let all = trail(&platform, AuditFilter::default()).await;
    assert!(!all.iter().any(|line| line.contains(TENANT)), "{all:?}");
    assert_eq!(all.last().unwrap(), "ada tenant.deleted - - - - -");
}

#[tokio::test]
async fn what_was_not_done_is_not_in_the_trail() {
    let platform = Platform::new().await;
    platform.enable("", guests::plugin(sample::NAME)).await;
    let before = trail(&platform, AuditFilter::default()).await;
    let wont = json!("rejected: not today");
    platform.host.set_config(TENANT, sample::NAME, "fail_init", Some(wont)).await.unwrap();
    let newer = guests::changed(sample::NAME, "0.2.0", |_| {});
    platform.host.install(newer, InstallOptions::default()).await.unwrap();
    let trail = trail(&platform, AuditFilter::default()).await;
    assert_eq!(
        trail[before.len()..],
        [
            "system plugin.configured acme test-sample - - fail_init set",
            "system plugin.upgraded - test-sample 0.1.0 0.2.0 its rights",
        ]
    );
}
