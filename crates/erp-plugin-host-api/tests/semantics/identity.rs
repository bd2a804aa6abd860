//! Who acts, and what they may do, as a plugin sees it.

use std::sync::Arc;

use erp_plugin_host_api::InvocationContext;
use erp_plugin_model::{Identity, PermissionSet};

use crate::fixture::{ALPHA, Fixture, anna, json, service, system};

fn who(fixture: &Fixture, identity: Identity) -> serde_json::Value {
    let mut call = fixture.begin(InvocationContext { identity: Arc::new(identity), ..fixture.context() });
    let first = call.current_user().unwrap();
    assert_eq!(call.current_user().unwrap(), first);
    json(&first)
}

#[tokio::test]
async fn a_user_comes_with_all_that_the_platform_said() {
    let fixture = Fixture::new().await;
    let user = Identity {
        name: "Anna \"库\" Ängström".to_owned(),
        roles: vec!["clerk".to_owned(), "manager".to_owned()],
        locale: Some("zh-CN".to_owned()),
        time_zone: Some("Asia/Shanghai".to_owned()),
        ..anna(ALPHA)
    };
    assert_eq!(
        who(&fixture, user),
        json(
            r#"{"kind":"user","id":"anna","name":"Anna \"库\" Ängström","tenant_id":"alpha","roles":["clerk","manager"],
            "locale":"zh-CN","time_zone":"Asia/Shanghai"}"#
        )
    );
}

#[tokio::test]
async fn what_the_platform_did_not_say_is_null() {
    let fixture = Fixture::new().await;
    assert_eq!(
        who(&fixture, anna(ALPHA)),
        json(
            r#"{"kind":"user","id":"anna","name":"anna","tenant_id":"alpha","roles":[],"locale":null,"time_zone":null}"#
        )
    );
}

#[tokio::test]
async fn services_and_the_system_say_what_they_are_and_who_caused_them() {
    let fixture = Fixture::new().await;
    assert_eq!(who(&fixture, service(ALPHA))["kind"], "service");
    let alone = who(&fixture, system(ALPHA, None));
    assert_eq!((&alone["kind"], alone.get("caused_by")), (&"system".into(), None));
    assert_eq!(
        who(&fixture, system(ALPHA, Some("ben"))),
        json(
            r#"{"kind":"system","id":"system","name":"system","tenant_id":"alpha","roles":[],"locale":null,
            "time_zone":null,"caused_by":"ben"}"#
        )
    );
}

#[tokio::test]
async fn a_permission_is_had_by_name_or_by_pattern_and_an_unknown_one_is_no_error() {
    let fixture = Fixture::new().await;
    let set: PermissionSet = ["inventory.item.update", "sales.*"].into_iter().collect();
    let mut call = fixture.begin(InvocationContext { permissions: Arc::new(set), ..fixture.context() });
    for (permission, has) in [
        ("inventory.item.update", true),
        ("sales.order.delete", true),
        ("inventory.item.delete", false),
        ("inventory.item", false),
        ("inventory.item.update.field:price", false),
        ("salesforce.a", false),
        ("nobody.knows.this", false),
        ("*", false),
        ("", false),
        ("a\u{1}b", false),
    ] {
        assert_eq!(call.check_permission(permission), Ok(has), "{permission}");
    }
}

#[tokio::test]
async fn neither_call_opens_a_transaction() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.current_user().unwrap();
    call.check_permission("a.b").unwrap();
    assert_eq!(call.writer_watch().until(), None);
    assert_eq!(call.budget().used().host_calls, 2);
}
