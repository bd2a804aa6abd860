//! Who may do what: plugins with what belongs to others, users at the edge and through plugins, configuration.

use erp_plugin::manifest::{Capabilities, EntityAccess};
use erp_plugin::{ErrorCode, HostFailure, Identity, InstallOptions, RolePermissions};
use erp_plugin_model::EntityRef;
use erp_plugin_tests::{Platform, TENANT, guests, sample, system_of, user};
use serde_json::{Value as Json, json};

const NOTE: &str = "test-sample.note";

/// `test-sample` twice: as itself, and as `reader`, which asks for rights on the other's notes.
async fn two_plugins(asks: &str, granted: Option<Capabilities>) -> Platform {
    let roles = RolePermissions::new()
        .grant("clerk", ["test-sample.note.read"])
        .grant("manager", ["test-sample.note.*"]);
    let platform = Platform::with(|builder| builder.authorizer(roles)).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    sample::answer(&platform, "sample.insert", json!({ "data": { "title": "theirs" } })).await;
    // Its own lifecycle call writes a greeting.
    let manifest = format!("{asks}[entities.greeting.fields.tenant]\ntype = \"string\"\n");
    let reader = guests::with_manifest(&guests::plugin(sample::NAME), "reader", &manifest);
    platform.host.install(reader, InstallOptions { granted, ..InstallOptions::default() }).await.unwrap();
    platform.host.enable(TENANT, "reader").await.unwrap();
    platform
}

async fn as_reader(
    platform: &Platform,
    identity: Identity,
    event: &str,
    payload: Json,
) -> Result<(), String> {
    let report = platform.host.call(identity, "reader", event, &payload).await.unwrap();
    report.outcome.map_err(|error| error.to_string())
}

fn query() -> Json {
    json!({ "entity": NOTE })
}

fn insert() -> Json {
    json!({ "entity": NOTE, "data": { "title": "mine" } })
}

const READ: &str = "[capabilities]\nentities = [\"test-sample.note:read\"]\n";
const WRITE: &str = "[capabilities]\nentities = [\"test-sample.note:write\"]\n";

#[tokio::test]
async fn without_the_capability_anothers_entity_has_no_name() {
    let platform = two_plugins("", None).await;
    for (event, payload) in [("sample.query", query()), ("sample.insert", insert())] {
        let error = as_reader(&platform, system_of(TENANT), event, payload).await.unwrap_err();
        assert!(
            error.starts_with("invalid-input: unknown entity \"test-sample.note\"; known: greeting."),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_right_to_read_is_none_to_write() {
    let platform = two_plugins(READ, None).await;
    assert_eq!(as_reader(&platform, system_of(TENANT), "sample.query", query()).await, Ok(()));
    let error = as_reader(&platform, system_of(TENANT), "sample.insert", insert()).await.unwrap_err();
    assert_eq!(
        error,
        "permission-denied: insert of test-sample.note is not granted; ask for \"test-sample.note:write\" under \
         [capabilities] entities in plugin.toml"
    );
    assert_eq!(platform.records(NOTE).await.len(), 1);
}

#[tokio::test]
async fn the_right_to_write_is_one_to_read() {
    let platform = two_plugins(WRITE, None).await;
    assert_eq!(as_reader(&platform, system_of(TENANT), "sample.query", query()).await, Ok(()));
    assert_eq!(as_reader(&platform, system_of(TENANT), "sample.insert", insert()).await, Ok(()));
    assert_eq!(platform.records(NOTE).await[1]["created_by"], "plugin:reader");
}

#[tokio::test]
async fn what_the_operator_did_not_grant_is_not_there() {
    let platform = two_plugins(WRITE, Some(Capabilities::default())).await;
    for (event, payload) in [("sample.query", query()), ("sample.insert", insert())] {
        let error = as_reader(&platform, system_of(TENANT), event, payload).await.unwrap_err();
        assert!(error.starts_with("permission-denied: "), "{error}");
        assert!(error.contains("of test-sample.note is not granted"), "{error}");
    }
}

#[tokio::test]
async fn more_than_was_asked_for_cannot_be_granted() {
    let platform = Platform::new().await;
    let note = EntityRef::parse(NOTE).unwrap();
    let more = Capabilities { entities: vec![(note, EntityAccess::Read)], ..Capabilities::default() };
    let component = guests::with_manifest(&guests::hostile("atomic"), "modest", "");
    let options = InstallOptions { granted: Some(more), ..InstallOptions::default() };
    let failure = platform.host.install(component, options).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "invalid-input: more would be granted than the manifest asks for; grant a part of it"
    );
    assert!(platform.host.plugins().is_empty());
}

#[tokio::test]
async fn a_user_behind_a_plugin_needs_the_permission_on_anothers_entity() {
    let platform = two_plugins(WRITE, None).await;
    let error = as_reader(&platform, user("eve", "guest"), "sample.query", query()).await.unwrap_err();
    assert_eq!(
        error,
        "permission-denied: eve lacks the permission test-sample.note.read; a role can give it"
    );
    assert_eq!(as_reader(&platform, user("ada", "clerk"), "sample.query", query()).await, Ok(()));
    let error = as_reader(&platform, user("ada", "clerk"), "sample.insert", insert()).await.unwrap_err();
    assert_eq!(
        error,
        "permission-denied: ada lacks the permission test-sample.note.insert; a role can give it"
    );
    assert_eq!(as_reader(&platform, user("bob", "manager"), "sample.insert", insert()).await, Ok(()));
    assert_eq!(platform.records(NOTE).await[1]["created_by"], "bob");
}

#[tokio::test]
async fn a_plugin_acts_on_its_own_entities_whoever_the_user_is() {
    let platform = sample::platform().await;
    let payload = json!({ "data": { "title": "by eve" } });
    let report =
        platform.host.call(user("eve", "guest"), sample::NAME, "sample.insert", &payload).await.unwrap();
    assert_eq!(sample::answer_of(&report, "sample.insert")["created_by"], "eve");
    // In full its name is the same.
    let payload = json!({ "entity": NOTE, "data": { "title": "in full" } });
    sample::answer(&platform, "sample.insert", payload).await;
}

#[tokio::test]
async fn at_the_edge_each_verb_is_a_permission_of_its_own() {
    let platform = two_plugins("", None).await;
    let denied = |answer: Result<Json, HostFailure>, permission: &str| {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        assert!(error.to_string().contains(permission), "{error}");
    };
    let clerk = platform.host.records(user("ada", "clerk"));
    let page = clerk.query(NOTE, &json!({}), &json!({})).await.unwrap();
    let (id, version) =
        (page["items"][0]["id"].as_str().unwrap().parse().map(erp_plugin::RecordId).unwrap(), 1);
    let version = erp_plugin::Version::new(version).unwrap();
    denied(clerk.insert(NOTE, &json!({ "title": "x" })).await, "test-sample.note.insert");
    denied(clerk.update(NOTE, id, &json!({ "title": "x" }), version).await, "test-sample.note.update");
    denied(clerk.delete(NOTE, id).await.map(|()| Json::Null), "test-sample.note.delete");
    let guest = platform.host.records(user("eve", "guest"));
    denied(guest.query(NOTE, &json!({}), &json!({})).await, "test-sample.note.read");
    denied(guest.get(NOTE, id).await, "test-sample.note.read");

    let manager = platform.host.records(user("bob", "manager"));
    let updated = manager.update(NOTE, id, &json!({ "title": "x" }), version).await.unwrap();
    assert_eq!((&updated["version"], &updated["updated_by"]), (&json!(2), &json!("bob")));
    manager.delete(NOTE, id).await.unwrap();
    assert_eq!(manager.get(NOTE, id).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_role_of_the_user_decides_check_permission() {
    let platform = two_plugins("", None).await;
    for (role, allowed) in [("guest", false), ("clerk", false), ("manager", true)] {
        let asked = json!({ "permission": "test-sample.note.update" });
        let report =
            platform.host.call(user("bob", role), sample::NAME, "sample.permission", &asked).await.unwrap();
        assert_eq!(sample::answer_of(&report, "sample.permission"), json!(allowed), "{role}");
    }
    let asked = json!({ "permission": "no such permission" });
    let report =
        platform.host.call(user("bob", "manager"), sample::NAME, "sample.permission", &asked).await.unwrap();
    assert_eq!(sample::answer_of(&report, "sample.permission"), json!(false));
}

#[tokio::test]
async fn an_event_type_must_be_granted() {
    let platform = sample::platform().await;
    let payload = json!({ "type": "inventory.stock.low", "payload": {} });
    assert_eq!(
        sample::refusal(&platform, "sample.publish", payload).await,
        "permission-denied: event type inventory.stock.low is not granted; granted: test-sample.*; ask for it with \
         events-publish under [capabilities] in plugin.toml"
    );
    assert_eq!(platform.event_count().await, 0);
}

#[tokio::test]
async fn a_bare_plugin_cannot_speak_for_another() {
    let platform = sample::platform().await;
    platform.enable("bare", guests::hostile("24-relay")).await;
    let report = platform.call("bare", "hex.type", &guests::hex(b"test-sample.published")).await;
    let error = report.outcome.unwrap_err().to_string();
    assert!(error.starts_with("permission-denied: event type test-sample.published begins with"), "{error}");
    for allowed in ["bare.happened", "order.created"] {
        let report = platform.call("bare", "hex.type", &guests::hex(allowed.as_bytes())).await;
        assert_eq!(report.outcome, Ok(()), "{allowed}");
    }
}

#[tokio::test]
async fn a_tenants_configuration_comes_before_the_default_and_is_nobody_elses() {
    let platform = sample::platform().await;
    let key = json!({ "key": "greeting" });
    platform.host.create_tenant("other").await.unwrap();
    platform.host.enable("other", sample::NAME).await.unwrap();
    assert_eq!(sample::answer(&platform, "sample.config", key.clone()).await, "hello");

    platform.host.set_config(TENANT, sample::NAME, "greeting", Some(json!("hi"))).await.unwrap();
    assert_eq!(sample::answer(&platform, "sample.config", key.clone()).await, "hi");
    let report = platform.host.call(system_of("other"), sample::NAME, "sample.config", &key).await.unwrap();
    assert_eq!(sample::answer_of(&report, "sample.config"), "hello");

    platform.host.set_config(TENANT, sample::NAME, "greeting", None).await.unwrap();
    assert_eq!(sample::answer(&platform, "sample.config", key).await, "hello");
}

#[tokio::test]
async fn a_platform_key_is_read_only_where_it_was_granted() {
    let platform = sample::platform().await;
    for key in ["system.currency", "system.secret"] {
        platform.host.set_system_config(key, Some(json!("CNY"))).await.unwrap();
    }
    assert_eq!(sample::answer(&platform, "sample.config", json!({ "key": "system.currency" })).await, "CNY");
    assert_eq!(
        sample::refusal(&platform, "sample.config", json!({ "key": "system.secret" })).await,
        "not-found: no configuration \"system.secret\" is set"
    );
    platform.host.set_system_config("system.currency", None).await.unwrap();
    let error = sample::refusal(&platform, "sample.config", json!({ "key": "system.currency" })).await;
    assert!(error.starts_with("not-found"), "{error}");
}

#[tokio::test]
async fn another_plugins_configuration_cannot_be_read() {
    let platform = two_plugins(READ, None).await;
    platform.host.set_config(TENANT, sample::NAME, "greeting", Some(json!("secret"))).await.unwrap();
    let error = as_reader(&platform, system_of(TENANT), "sample.config", json!({ "key": "greeting" })).await;
    assert_eq!(error, Err("not-found: no configuration \"greeting\" is set".to_owned()));
}
