//! Who did what about plugins and tenants.

use std::sync::Arc;

use erp_plugin_storage::{AuditEntry, AuditQuery, AuditScope, Storage};

use crate::fixture::{ALPHA, BETA, new_uuid, platform, plugin, tenant, time, user, write};

fn entry(at: i64, action: &str) -> AuditEntry {
    AuditEntry {
        id: new_uuid(),
        at: time(at),
        by: user("anna"),
        action: action.to_owned(),
        tenant: None,
        plugin: Some(plugin("sales")),
        from: Some("1.0.0".to_owned()),
        to: Some("1.1.0".to_owned()),
        detail: Some("why ' 名".to_owned()),
    }
}

async fn entries(storage: &Arc<dyn Storage>, scope: AuditScope<'_>) -> Vec<AuditEntry> {
    let query = AuditQuery { scope, plugin: None, before: None, limit: 100 };
    platform(storage).await.audit(query).await.unwrap()
}

pub async fn what_was_done_is_noted_with_it_or_not_at_all(storage: Arc<dyn Storage>) {
    let (kept, undone, of_platform) = (entry(1, "kept"), entry(2, "undone"), entry(3, "platform"));
    let mut own = write(&storage, ALPHA).await;
    own.note_audit(&kept).await.unwrap();
    own.commit(None).await.unwrap();
    let mut own = write(&storage, ALPHA).await;
    own.note_audit(&undone).await.unwrap();
    own.rollback(None).await.unwrap();
    let mut own = platform(&storage).await;
    own.note_platform_audit(&of_platform).await.unwrap();
    own.commit().await.unwrap();
    let mut own = platform(&storage).await;
    own.note_platform_audit(&entry(4, "undone")).await.unwrap();
    own.rollback().await.unwrap();
    // The transaction's tenant is noted, whatever else was said.
    let kept = AuditEntry { tenant: Some(tenant(ALPHA)), ..kept };
    let elsewhere = AuditEntry { tenant: Some(tenant(ALPHA)), ..entry(5, "elsewhere") };
    let mut own = write(&storage, BETA).await;
    own.note_audit(&elsewhere).await.unwrap();
    own.commit(None).await.unwrap();
    let elsewhere = AuditEntry { tenant: Some(tenant(BETA)), ..elsewhere };
    assert_eq!(entries(&storage, AuditScope::All).await, [elsewhere, of_platform, kept]);
}

pub async fn entries_are_found_by_tenant_and_plugin_the_newest_first(storage: Arc<dyn Storage>) {
    let bare = AuditEntry { plugin: None, from: None, to: None, detail: None, ..entry(3, "suspended") };
    let [first, second, third] = [entry(1, "a"), entry(2, "b"), entry(2, "c")];
    let mut own = write(&storage, ALPHA).await;
    for noted in [&first, &second, &third, &bare] {
        own.note_audit(noted).await.unwrap();
    }
    own.commit(None).await.unwrap();
    let of_platform = entry(4, "installed");
    let theirs = AuditEntry { tenant: Some(tenant(BETA)), plugin: Some(plugin("stock")), ..entry(0, "d") };
    let mut own = platform(&storage).await;
    own.note_platform_audit(&of_platform).await.unwrap();
    own.note_platform_audit(&theirs).await.unwrap();
    own.commit().await.unwrap();

    let in_alpha = |own: &AuditEntry| AuditEntry { tenant: Some(tenant(ALPHA)), ..own.clone() };
    let mut expected = vec![in_alpha(&second), in_alpha(&third)];
    expected.sort_by_key(|own| std::cmp::Reverse(own.id));
    expected.insert(0, in_alpha(&bare));
    expected.push(in_alpha(&first));
    let alpha = tenant(ALPHA);
    assert_eq!(entries(&storage, AuditScope::Tenant(&alpha)).await, expected);
    assert_eq!(entries(&storage, AuditScope::Platform).await, std::slice::from_ref(&of_platform));
    assert_eq!(entries(&storage, AuditScope::Tenant(&tenant(BETA))).await, std::slice::from_ref(&theirs));

    // A page at a time, of one plugin.
    let mut found = Vec::new();
    let mut before = None;
    let sales = plugin("sales");
    loop {
        let query = AuditQuery { scope: AuditScope::All, plugin: Some(&sales), before, limit: 2 };
        let page = platform(&storage).await.audit(query).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id));
        found.extend(page);
    }
    expected.remove(0);
    expected.insert(0, of_platform);
    assert_eq!(found, expected);
}
