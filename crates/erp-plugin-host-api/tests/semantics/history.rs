//! Who changed what: one change for each record that was written, and who may read it.

use std::sync::Arc;

use erp_plugin_host_api::{Caller, InvocationContext, Right};
use erp_plugin_model::event::Publisher;
use erp_plugin_model::{Limits, PermissionSet};
use serde_json::{Value as Json, json};

use crate::dynamic::Dynamic;
use crate::faults::claimed;
use crate::fixture::{ALPHA, BETA, Call, Fixture, NOBODY, anna, id_of, items, json, scope, system};

const ITEM: &str = r#"{"sku":"A","name":"Chair","price":"9.5"}"#;

/// Verb, version and changed fields of all changes to an entity's records, the oldest first.
async fn changes(call: &mut Call, entity: &str, id: Option<&str>) -> Vec<(String, i64, Json)> {
    let page = call.history(entity, id, "").await.unwrap();
    let told = items(&page).into_iter().rev().map(|item| {
        (
            item["verb"].as_str().unwrap().to_owned(),
            item["version"].as_i64().unwrap(),
            item["changes"].clone(),
        )
    });
    told.collect()
}

fn change(verb: &str, version: i64, changes: Json) -> (String, i64, Json) {
    (verb.to_owned(), version, changes)
}

#[tokio::test]
async fn each_verb_notes_what_it_changed_and_nothing_more() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, r#"{"name":"Stool","price":"9.50","sku":"A","quantity":3}"#, 1).await.unwrap();
    call.update("item", &id, r#"{"price":null}"#, 2).await.unwrap();
    call.update("item", &id, r#"{"name":"Stool"}"#, 3).await.unwrap();
    call.delete("item", &id).await.unwrap();
    call.commit().await;
    let mut call = fixture.call();
    call.restore("item", &id).await.unwrap();
    call.commit().await;
    let set = json!({"name":{"to":"Chair"},"price":{"to":"9.50"},"quantity":{"to":0},"sku":{"to":"A"}});
    let expected = [
        change("insert", 1, set),
        change("update", 2, json!({"name":{"from":"Chair","to":"Stool"},"quantity":{"from":0,"to":3}})),
        change("update", 3, json!({"price":{"from":"9.50","to":null}})),
        change("update", 4, json!({})),
        change("delete", 4, json!({})),
        change("restore", 5, json!({})),
    ];
    assert_eq!(changes(&mut fixture.call(), "item", Some(&id)).await, expected);
    assert_eq!(changes(&mut fixture.call(), "item", None).await, expected);
}

#[tokio::test]
async fn a_change_tells_who_made_it_when_and_in_which_invocation() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let invocation = call.id().to_string();
    let id = id_of(&call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap());
    call.commit().await;
    let expected = format!(
        concat!(
            r#"{{"items":[{{"id":"{id}","version":1,"verb":"insert","at":"2026-01-01T09:00:00.000000Z","#,
            r#""by":"anna","caused_by":"anna","plugin":"inventory","plugin_version":"1.2.0","#,
            r#""invocation":"{invocation}","#,
            r#""changes":{{"name":{{"to":"n"}},"quantity":{{"to":0}},"sku":{{"to":"A"}}}}}}],"next_cursor":null}}"#
        ),
        id = id,
        invocation = invocation
    );
    assert_eq!(fixture.call().history("item", Some(&id), "").await.unwrap(), expected);

    // At the edge there is no plugin, and the system acts for nobody.
    fixture.clock.advance(60);
    let edge = Caller { publisher: Publisher::Platform, version: "0.1.0".to_owned(), ..fixture.caller() };
    let context = InvocationContext {
        caller: Arc::new(edge),
        identity: Arc::new(system(ALPHA, None)),
        ..fixture.context()
    };
    let mut call = fixture.begin(context);
    call.update("item", &id, "{}", 1).await.unwrap();
    call.commit().await;
    let newest = items(&fixture.call().history("item", None, r#"{"limit":1}"#).await.unwrap()).remove(0);
    assert_eq!(newest["at"], "2026-01-01T09:01:00.000000Z");
    assert_eq!(newest["by"], "system");
    for absent in ["caused_by", "plugin", "plugin_version"] {
        assert_eq!(newest[absent], Json::Null, "{absent}");
    }
}

#[tokio::test]
async fn a_handlers_change_names_the_user_at_the_start_of_the_chain() {
    let fixture = Fixture::new().await;
    let delivery = claimed(&fixture).await;
    let caused_by = delivery.caused_by.clone();
    let context = InvocationContext {
        cause: erp_plugin_host_api::Cause::Delivery(Box::new(delivery)),
        identity: Arc::new(system(ALPHA, Some("ben"))),
        ..fixture.context()
    };
    let mut call = fixture.begin(context);
    let id = id_of(&call.insert("item", ITEM).await.unwrap());
    call.commit().await;
    let noted = items(&fixture.call().history("item", Some(&id), "").await.unwrap()).remove(0);
    assert_eq!(noted["by"], "plugin:inventory");
    assert_eq!(noted["caused_by"], json!(caused_by.unwrap().as_str()));
}

#[tokio::test]
async fn what_is_rolled_back_was_never_noted() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, r#"{"name":"Stool"}"#, 1).await.unwrap();
    assert_eq!(changes(&mut call, "item", Some(&id)).await.len(), 1, "it is written at the end");
    call.refuse().await;
    // What is refused is no change either.
    let mut call = fixture.call();
    assert!(call.insert("item", ITEM).await.is_err());
    assert!(call.update("item", &id, "{}", 7).await.is_err());
    assert!(call.delete("item", NOBODY).await.is_err());
    assert!(call.restore("item", &id).await.is_err());
    call.commit().await;
    assert_eq!(changes(&mut fixture.call(), "item", None).await.len(), 1);
}

#[tokio::test]
async fn of_many_each_that_was_written_is_noted() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let rows = r#"[{"sku":"A","name":"a"},{"sku":"A","name":"b"},{"name":"c"},{"sku":"D","name":"d"}]"#;
    let answer = json(&call.insert_many("item", rows).await.unwrap());
    let id = |at: usize| answer["items"][at]["ok"]["id"].as_str().unwrap().to_owned();
    let (a, d) = (id(0), id(3));
    let updates = json!([
        {"id": d, "version": 1, "data": {"name": "dd", "quantity": 1}},
        {"id": a, "version": 9, "data": {"name": "aa"}},
        {"id": NOBODY, "version": 1, "data": {"name": "x"}},
    ]);
    call.update_many("item", &updates.to_string()).await.unwrap();
    let updates = json!([
        {"id": a, "version": 1, "data": {"quantity": 5}},
        {"id": d, "version": 2, "data": {"name": "ddd"}},
    ]);
    call.update_many("item", &updates.to_string()).await.unwrap();
    call.commit().await;
    let set = |sku: &str, name: &str| json!({"name":{"to":name},"quantity":{"to":0},"sku":{"to":sku}});
    let mut call = fixture.call();
    assert_eq!(
        changes(&mut call, "item", Some(&a)).await,
        [change("insert", 1, set("A", "a")), change("update", 2, json!({"quantity":{"from":0,"to":5}}))]
    );
    assert_eq!(
        changes(&mut call, "item", Some(&d)).await,
        [
            change("insert", 1, set("D", "d")),
            change("update", 2, json!({"name":{"from":"d","to":"dd"},"quantity":{"from":0,"to":1}})),
            change("update", 3, json!({"name":{"from":"dd","to":"ddd"}})),
        ]
    );
    assert_eq!(changes(&mut call, "item", None).await.len(), 5);
}

#[tokio::test]
async fn what_a_deletion_takes_along_and_clears_is_noted_of_each_record() {
    let entities = r#"
        [entities.customer.fields.name]
        type = "string"
        [entities.purchase.fields.customer]
        type = "reference"
        entity = "customer"
        on-delete = "cascade"
        [entities.note.fields.about]
        type = "reference"
        entity = "customer"
        on-delete = "set-null"
    "#;
    let fixture = Fixture::declaring(entities).await;
    let customer = fixture.given("customer", &[r#"{"name":"Ada"}"#]).await.remove(0);
    let purchase = format!(r#"{{"customer":"{customer}"}}"#);
    let purchase = fixture.given("purchase", &[&purchase]).await.remove(0);
    let note = fixture.given("note", &[&format!(r#"{{"about":"{customer}"}}"#)]).await.remove(0);
    let mut call = fixture.call();
    call.delete("customer", &customer).await.unwrap();
    let invocation = call.id().to_string();
    call.commit().await;
    let mut call = fixture.call();
    for (entity, id, expected) in [
        ("customer", &customer, change("delete", 1, json!({}))),
        ("purchase", &purchase, change("delete", 1, json!({}))),
        ("note", &note, change("update", 2, json!({"about":{"from":customer,"to":null}}))),
    ] {
        assert_eq!(changes(&mut call, entity, Some(id)).await.pop().unwrap(), expected, "{entity}");
        let newest = items(&call.history(entity, Some(id), "").await.unwrap()).remove(0);
        assert_eq!((&newest["by"], &newest["invocation"]), (&json!("anna"), &json!(invocation)), "{entity}");
    }
}

#[tokio::test]
async fn of_a_document_the_top_level_keys_are_noted() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    let note = call.insert("note", r#"{"a\"b":[1, {"x":2}],"n":1.50,"gone":null}"#).await.unwrap();
    let id = id_of(&note);
    call.update("note", &id, r#"{"n":2,"a\"b":[1,{"x":2}],"new":true,"never":null}"#, 1).await.unwrap();
    let updates = json!([{"id": id, "version": 2, "data": {"n": null}}]).to_string();
    call.update_many("note", &updates).await.unwrap();
    call.delete("note", &id).await.unwrap();
    call.commit().await;
    let expected = [
        change("insert", 1, json!({"a\"b":{"to":[1,{"x":2}]},"n":{"to":1.5}})),
        change("update", 2, json!({"n":{"from":1.5,"to":2},"new":{"from":null,"to":true}})),
        change("update", 3, json!({"n":{"from":2,"to":null}})),
        change("delete", 3, json!({})),
    ];
    assert_eq!(changes(&mut dynamic.call(), "note", Some(&id)).await, expected);
    let page = dynamic.call().history("note", Some(&id), "").await.unwrap();
    assert!(page.contains(r#""n":{"to":1.50}"#), "as it was spelled: {page}");
    assert_eq!(
        dynamic.call().history("unknown", None, "").await.unwrap(),
        r#"{"items":[],"next_cursor":null}"#
    );
}

#[tokio::test]
async fn an_entity_without_history_has_none() {
    let entities = r#"
        [entities.item]
        history = false
        [entities.item.fields.name]
        type = "string"
    "#;
    let fixture = Fixture::declaring(entities).await;
    let id = fixture.given("item", &[r#"{"name":"a"}"#]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, r#"{"name":"b"}"#, 1).await.unwrap();
    call.update_many("item", &json!([{"id": id, "version": 2, "data": {"name": "c"}}]).to_string())
        .await
        .unwrap();
    call.delete("item", &id).await.unwrap();
    call.restore("item", &id).await.unwrap();
    call.commit().await;
    assert!(changes(&mut fixture.call(), "item", None).await.is_empty());
    assert_eq!(
        fixture.call().prune_history("item").await,
        Err("invalid-input: inventory.item keeps no history (history = false)".to_owned())
    );
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended_and_each_cursor_with_its_own() {
    let fixture = Fixture::new().await;
    let ids = fixture.given("item", &[ITEM, r#"{"sku":"B","name":"b"}"#]).await;
    for version in 1..=4 {
        fixture.clock.advance(1);
        let mut call = fixture.call();
        call.update("item", &ids[0], &format!(r#"{{"quantity":{version}}}"#), version).await.unwrap();
        call.commit().await;
    }
    let mut call = fixture.call();
    for id in [None, Some(ids[0].as_str())] {
        let whole = items(&call.history("item", id, "").await.unwrap());
        assert_eq!(whole.len(), if id.is_some() { 5 } else { 6 });
        let (mut paged, mut page) = (Vec::new(), r#"{"limit":2}"#.to_owned());
        loop {
            let answer = call.history("item", id, &page).await.unwrap();
            paged.extend(items(&answer));
            let Some(cursor) = json(&answer)["next_cursor"].as_str().map(str::to_owned) else { break };
            page = json!({"limit": 2, "cursor": cursor}).to_string();
        }
        assert_eq!(paged, whole);
    }
    let cursor = json(&call.history("item", None, r#"{"limit":1}"#).await.unwrap())["next_cursor"].clone();
    let of_another = json!({ "cursor": cursor }).to_string();
    for (entity, id) in [("item", Some(ids[0].as_str())), ("category", None)] {
        assert_eq!(
            call.history(entity, id, &of_another).await,
            Err("invalid-input: page: cursor belongs to another history; keep entity, record and filter the same from page \
                 to page"
                .to_owned())
        );
    }
    // A filter is part of what a cursor belongs to, and what is wrong with it is told.
    let first = call.history("item", None, r#"{"limit":1,"verb":"update"}"#).await.unwrap();
    let cursor = json(&first)["next_cursor"].clone();
    let rest = json!({ "limit": 10, "verb": "update", "cursor": cursor }).to_string();
    assert_eq!(items(&call.history("item", None, &rest).await.unwrap()).len(), 3);
    let without = call.history("item", None, &json!({ "cursor": cursor }).to_string()).await.unwrap_err();
    assert!(without.contains("cursor belongs to another history"), "{without}");
    for (page, count) in [
        (r#"{"verb":"insert"}"#, 2),
        (r#"{"by":"nobody"}"#, 0),
        (r#"{"since":"2999-01-01T00:00:00Z"}"#, 0),
        (r#"{"until":"2999-01-01T00:00:00+08:00"}"#, 6),
    ] {
        assert_eq!(items(&call.history("item", None, page).await.unwrap()).len(), count, "{page}");
    }
    for (page, part) in [
        (r#"{"since":"yesterday"}"#, "page: since must be a time such as"),
        (r#"{"verb":"purge"}"#, "page: verb must be one of insert, update, restore, delete, not \"purge\""),
        (r#"{"cursor":"nonsense"}"#, "cursor is not one that a history gave"),
        (r#"{"limit":0}"#, "limit must be 1 to 1000, not 0"),
        (r#"{"sort":["at"]}"#, "unknown field `sort`"),
        ("[", "page is not valid JSON"),
    ] {
        let error = call.history("item", None, page).await.unwrap_err();
        assert!(error.starts_with("invalid-input: page") && error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn another_tenants_record_has_the_history_of_one_that_never_was() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let context =
        InvocationContext { scope: scope(BETA), identity: Arc::new(anna(BETA)), ..fixture.context() };
    let mut call = fixture.begin(context);
    for id in [Some(id.as_str()), Some(NOBODY), Some("nonsense"), None] {
        assert_eq!(call.history("item", id, "").await.unwrap(), r#"{"items":[],"next_cursor":null}"#);
    }
}

#[tokio::test]
async fn the_history_takes_the_right_to_read_and_pruning_that_to_purge() {
    let fixture = Fixture::new().await;
    fixture.given("item", &[ITEM]).await;
    let call = |read, write, permissions: &[&str]| {
        let permissions: PermissionSet = permissions.iter().copied().collect();
        fixture.begin(InvocationContext {
            caller: Arc::new(fixture.stranger(read, write)),
            permissions: Arc::new(permissions),
            ..fixture.context()
        })
    };
    let read = Right::WithPermission;
    let mut allowed = call(read, Right::No, &["inventory.item.read"]);
    assert_eq!(items(&allowed.history("inventory.item", None, "").await.unwrap()).len(), 1);
    for mut refused in [call(read, Right::No, &["inventory.item.update"]), call(Right::No, read, &[])] {
        let error = refused.history("inventory.item", None, "").await.unwrap_err();
        assert!(error.starts_with("permission-denied: "), "{error}");
    }
    let error = call(read, read, &["inventory.item.read"]).prune_history("inventory.item").await.unwrap_err();
    assert_eq!(
        error,
        "permission-denied: anna lacks the permission inventory.item.purge; a role can give it"
    );
}

#[tokio::test]
async fn what_is_read_counts_as_records_do() {
    let fixture = Fixture::new().await;
    fixture.given("item", &[ITEM, r#"{"sku":"B","name":"b"}"#]).await;
    let mut call = fixture.limited(Limits { rows_read: 3, ..Limits::default() });
    call.history("item", None, "").await.unwrap();
    assert_eq!(call.budget().used().rows_read, 2);
    assert!(call.budget().used().bytes > 200);
    let error = call.history("item", None, "").await.unwrap_err();
    assert!(error.starts_with("limit-exceeded: rows-read"), "{error}");
    // A database in memory has one transaction at a time.
    call.commit().await;
    let mut call = fixture.limited(Limits { call_bytes: 100, ..Limits::default() });
    let error = call.history("item", None, "").await.unwrap_err();
    assert!(error.starts_with("limit-exceeded: call-bytes"), "{error}");
}

#[tokio::test]
async fn pruning_removes_what_the_manifest_does_not_keep_as_far_as_the_budget_goes() {
    let entities = r#"
        [entities.item]
        history = { keep-days = 30 }
        [entities.item.fields.name]
        type = "string"
    "#;
    const DAY: i64 = 24 * 60 * 60;
    let fixture = Fixture::declaring(entities).await;
    fixture.given("item", &["{}", "{}", "{}"]).await;
    fixture.clock.advance(DAY);
    fixture.given("item", &["{}"]).await;
    fixture.clock.advance(29 * DAY);
    assert_eq!(fixture.call().prune_history("item").await, Ok(0), "a day is kept to its end");
    fixture.clock.advance(1);
    let mut call = fixture.limited(Limits { rows_written: 2, ..Limits::default() });
    assert_eq!(call.prune_history("item").await, Ok(2));
    assert!(call.prune_history("item").await.unwrap_err().starts_with("limit-exceeded: rows-written"));
    call.commit().await;
    let mut call = fixture.call();
    assert_eq!(call.prune_history("item").await, Ok(1));
    assert_eq!(call.prune_history("item").await, Ok(0));
    call.commit().await;
    assert_eq!(changes(&mut fixture.call(), "item", None).await.len(), 1);
    assert_eq!(
        Fixture::new().await.call().prune_history("item").await,
        Err("invalid-input: inventory.item keeps its history for ever; limit it with history = { keep-days = … } in \
             plugin.toml"
            .to_owned())
    );
}

#[tokio::test]
async fn of_what_was_purged_the_history_stays() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.delete("item", &id).await.unwrap();
    call.commit().await;
    fixture.clock.advance(60);
    let mut call = fixture.call();
    let now = "2026-01-01T09:01:00Z".parse().unwrap();
    assert_eq!(call.purge("item", now).await, Ok(1));
    call.commit().await;
    let verbs: Vec<_> =
        changes(&mut fixture.call(), "item", Some(&id)).await.into_iter().map(|told| told.0).collect();
    assert_eq!(verbs, ["insert", "delete"]);
}
