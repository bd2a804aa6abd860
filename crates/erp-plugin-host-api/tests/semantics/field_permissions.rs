//! Fields that take a permission of their own: who may not see one is answered as if there were none.

use std::sync::Arc;

use erp_plugin_host_api::{Caller, InvocationContext, Right};
use erp_plugin_model::Identity;
use erp_plugin_model::event::Publisher;
use erp_plugin_storage::Entity;
use serde_json::Value as Json;

use crate::fixture::{ALPHA, Answer, Call, Fixture, anna, column, id_of, items, json, service, system};

/// `cost` is for few to see and to set, `secret` for few to see, `status` for few to set.
const ITEM: &str = r#"
    [entities.item.fields.cost]
    type = "decimal"
    precision = 12
    scale = 2
    read-permission = "inventory.item.read.field:cost"
    write-permission = "inventory.item.write.field:cost"
    [entities.item.fields.name]
    type = "string"
    search = true
    [entities.item.fields.secret]
    type = "string"
    unique = true
    search = true
    read-permission = "inventory.item.read.field:secret"
    [entities.item.fields.status]
    type = "string"
    default = "new"
    write-permission = "inventory.item.write.field:status"
"#;

const NAME: &str = "inventory.item";
/// What a clerk may: every verb, and no field that takes more.
const CLERK: [&str; 5] = [
    "inventory.item.read",
    "inventory.item.insert",
    "inventory.item.update",
    "inventory.item.delete",
    "inventory.item.restore",
];
const HIDDEN: [&str; 2] = ["cost", "secret"];

/// The platform's edge.
fn edge(fixture: &Fixture) -> Caller {
    Caller {
        publisher: Publisher::Platform,
        ..fixture.stranger(Right::WithPermission, Right::WithPermission)
    }
}

fn acting(fixture: &Fixture, caller: Caller, identity: Identity, permissions: &[&str]) -> Call {
    fixture.begin(InvocationContext {
        caller: Arc::new(caller),
        identity: Arc::new(identity),
        permissions: Arc::new(permissions.iter().collect()),
        ..fixture.context()
    })
}

/// Anna at the edge, as a clerk.
fn clerk(fixture: &Fixture) -> Call {
    acting(fixture, edge(fixture), anna(ALPHA), &CLERK)
}

/// As a clerk, who may something more.
fn clerk_and(fixture: &Fixture, more: &[&str]) -> Call {
    acting(fixture, edge(fixture), anna(ALPHA), &[&CLERK[..], more].concat())
}

async fn with_item() -> (Fixture, String) {
    let fixture = Fixture::declaring(ITEM).await;
    let row = r#"{"cost":"9.50","name":"bolt","secret":"X1","status":"old"}"#;
    let id = fixture.given("item", &[row]).await.remove(0);
    (fixture, id)
}

/// That a record shows what is for everybody, and nothing else.
#[track_caller]
fn assert_veiled(record: &Json) {
    for name in HIDDEN {
        assert!(record.get(name).is_none(), "{record}");
    }
    assert!(record.get("name").is_some() && record.get("status").is_some(), "{record}");
    assert!(!record.to_string().contains("9.50") && !record.to_string().contains("X1"), "{record}");
}

fn unknown<T>(name: &str) -> Answer<T> {
    Err(format!("invalid-input: unknown field {name:?} of inventory.item; its fields: name, status"))
}

fn lacks<T>(permission: &str, field: &str) -> Answer<T> {
    Err(format!(
        "permission-denied: anna lacks the permission {permission} for the field {field:?} of inventory.item; leave it \
         out, or let a role give it"
    ))
}

fn lacks_cost<T>() -> Answer<T> {
    lacks("inventory.item.write.field:cost", "cost")
}

#[tokio::test]
async fn a_field_that_may_not_be_seen_is_in_no_answer() {
    let (fixture, id) = with_item().await;
    let mut call = clerk(&fixture);
    assert_veiled(&json(&call.get(NAME, &id).await.unwrap()));
    let page = call.query(NAME, "", "").await.unwrap();
    assert_veiled(&items(&page)[0]);
    let by_id = call.query(NAME, &format!(r#"{{"id":"{id}"}}"#), "").await.unwrap();
    assert_veiled(&items(&by_id)[0]);
    assert_veiled(&json(&call.update(NAME, &id, r#"{"name":"nut"}"#, 1).await.unwrap()));
    // What its own writer gave is for others to see.
    assert_veiled(&json(&call.insert(NAME, r#"{"name":"a","secret":"X12"}"#).await.unwrap()));
    let inserted =
        json(&call.insert_many(NAME, r#"[{"name":"b"},{"name":"c","secret":"X13"}]"#).await.unwrap());
    let updates = format!(r#"[{{"id":"{id}","version":2,"data":{{"secret":"X1"}}}}]"#);
    let updated = json(&call.update_many(NAME, &updates).await.unwrap());
    for item in inserted["items"].as_array().unwrap().iter().chain(updated["items"].as_array().unwrap()) {
        assert_veiled(&item["ok"]);
    }
    call.delete(NAME, &id).await.unwrap();
    assert_veiled(&json(&call.restore(NAME, &id).await.unwrap()));
    let hidden = call.unreadable_fields(NAME).await.unwrap();
    assert_eq!(hidden.iter().map(ToString::to_string).collect::<Vec<_>>(), HIDDEN);
    call.commit().await;
}

#[tokio::test]
async fn one_permission_shows_one_field() {
    let (fixture, id) = with_item().await;
    for (permission, shown) in [
        ("inventory.item.read.field:cost", &["cost"][..]),
        ("inventory.item.read.field:secret", &["secret"]),
        ("inventory.item.read.*", &HIDDEN),
        ("inventory.*", &HIDDEN),
        ("inventory.item.write.field:cost", &[]),
    ] {
        let mut call = clerk_and(&fixture, &[permission]);
        let record = json(&call.get(NAME, &id).await.unwrap());
        for name in HIDDEN {
            assert_eq!(record.get(name).is_some(), shown.contains(&name), "{permission}: {record}");
        }
    }
}

#[tokio::test]
async fn to_filters_sorts_and_figures_it_is_unknown() {
    let (fixture, _) = with_item().await;
    let mut call = clerk(&fixture);
    for name in HIDDEN.into_iter().chain(["nothing"]) {
        for filter in [
            format!(r#"{{"{name}":null}}"#),
            format!(r#"{{"{name}":{{"$gt":"1"}}}}"#),
            format!(r#"{{"{name}":{{"$ieq":"x1"}}}}"#),
            format!(r#"{{"{name}":{{"$iprefix":"x"}}}}"#),
            format!(r#"{{"$or":[{{"name":"a"}},{{"$not":{{"{name}":{{"$in":["X1"]}}}}}}]}}"#),
        ] {
            assert_eq!(call.query(NAME, &filter, "").await, unknown(name), "{filter}");
            assert_eq!(call.count(NAME, &filter).await, unknown(name), "{filter}");
            let count = r#"{"figures":{"n":{"count":true}}}"#;
            assert_eq!(call.aggregate(NAME, &filter, count).await, unknown(name), "{filter}");
        }
        for sort in [name.to_owned(), format!("-{name}"), format!("status\",\"{name}")] {
            assert_eq!(
                call.query(NAME, "", &format!(r#"{{"sort":["{sort}"]}}"#)).await,
                unknown(name),
                "{sort}"
            );
        }
        for spec in [
            format!(r#"{{"group_by":["{name}"],"figures":{{"n":{{"count":true}}}}}}"#),
            format!(r#"{{"figures":{{"s":{{"sum":"{name}"}}}}}}"#),
            format!(r#"{{"figures":{{"s":{{"avg":"{name}"}}}}}}"#),
            format!(r#"{{"figures":{{"s":{{"min":"{name}"}}}}}}"#),
            format!(r#"{{"figures":{{"s":{{"max":"{name}"}}}}}}"#),
        ] {
            assert_eq!(call.aggregate(NAME, "", &spec).await, unknown(name), "{spec}");
        }
    }
    // What is not withheld can be had as ever.
    assert_eq!(call.count(NAME, r#"{"status":"old","name":{"$ieq":"BOLT"}}"#).await, Ok(1));
    drop(call);
    let mut call = clerk_and(&fixture, &["inventory.item.read.field:cost"]);
    assert_eq!(call.count(NAME, r#"{"cost":{"$gt":"9"}}"#).await, Ok(1));
}

#[tokio::test]
async fn a_cursor_of_somebody_who_sees_more_helps_nobody_who_sees_less() {
    let fixture = Fixture::declaring(ITEM).await;
    fixture.given("item", &[r#"{"cost":"1"}"#, r#"{"cost":"2"}"#, r#"{"cost":"3"}"#]).await;
    let mut boss = clerk_and(&fixture, &["inventory.*"]);
    let page = boss.query(NAME, "", r#"{"sort":["cost"],"limit":1}"#).await.unwrap();
    let cursor = json(&page)["next_cursor"].as_str().unwrap().to_owned();
    drop(boss);
    let mut call = clerk(&fixture);
    let with_sort = format!(r#"{{"sort":["cost"],"limit":1,"cursor":"{cursor}"}}"#);
    assert_eq!(call.query(NAME, "", &with_sort).await, unknown("cost"));
    let without = format!(r#"{{"limit":1,"cursor":"{cursor}"}}"#);
    let error = call.query(NAME, "", &without).await.unwrap_err();
    assert!(error.starts_with("invalid-input: page: cursor belongs to another query"), "{error}");
    // Its own pages follow one another.
    let page = call.query(NAME, "", r#"{"sort":["status"],"limit":2}"#).await.unwrap();
    let cursor = json(&page)["next_cursor"].as_str().unwrap().to_owned();
    let rest = format!(r#"{{"sort":["status"],"limit":2,"cursor":"{cursor}"}}"#);
    assert_eq!(column(&call.query(NAME, "", &rest).await.unwrap(), "status").len(), 1);
}

#[tokio::test]
async fn a_value_for_a_field_that_may_not_be_set_is_denied_before_it_is_looked_at() {
    let (fixture, id) = with_item().await;
    let mut call = clerk(&fixture);
    for data in
        [r#"{"cost":"1"}"#, r#"{"cost":null}"#, r#"{"cost":["nonsense"]}"#, r#"{"name":"a","cost":"9.50"}"#]
    {
        assert_eq!(call.insert(NAME, data).await, lacks_cost(), "{data}");
        assert_eq!(call.update(NAME, &id, data, 1).await, lacks_cost(), "{data}");
    }
    // Also where it is seen, and is what the record has.
    let status = lacks("inventory.item.write.field:status", "status");
    assert_eq!(call.update(NAME, &id, r#"{"status":"old"}"#, 1).await, status);
    // Each of many for itself.
    let many = json(&call.insert_many(NAME, r#"[{"name":"a"},{"status":"x"}]"#).await.unwrap());
    assert_eq!(many["items"][0]["ok"]["status"], "new", "without a value it has its default");
    assert_eq!(many["items"][1]["error"]["code"], "permission-denied");
    let update = |data: &str| format!(r#"[{{"id":"{id}","version":1,"data":{data}}}]"#);
    let many = json(&call.update_many(NAME, &update(r#"{"cost":"1"}"#)).await.unwrap());
    assert_eq!(many["items"][0]["error"]["code"], "permission-denied");
    drop(call);
    // To see a field is not to set it, nor the other way round.
    let mut call = clerk_and(&fixture, &["inventory.item.read.field:cost"]);
    assert_eq!(call.update(NAME, &id, r#"{"cost":"1"}"#, 1).await, lacks_cost());
    drop(call);
    let mut call = clerk_and(&fixture, &["inventory.item.write.field:cost"]);
    assert_veiled(&json(&call.update(NAME, &id, r#"{"cost":"1"}"#, 1).await.unwrap()));
    call.commit().await;
    assert_eq!(fixture.found("item", r#"{"name":"bolt"}"#).await[0]["cost"], "1.00");
}

#[tokio::test]
async fn a_required_field_that_may_not_be_set_is_named_with_its_permission() {
    let fixture = Fixture::declaring(
        r#"
        [entities.item.fields.cost]
        type = "integer"
        required = true
        read-permission = "inventory.item.read.field:cost"
        write-permission = "inventory.item.write.field:cost"
        [entities.item.fields.grade]
        type = "string"
        required = true
        default = "b"
        write-permission = "inventory.item.write.field:grade"
        "#,
    )
    .await;
    let mut call = clerk(&fixture);
    assert_eq!(call.insert(NAME, "{}").await, lacks_cost());
    let mut call = clerk_and(&fixture, &["inventory.item.write.field:cost"]);
    assert_eq!(call.insert(NAME, "{}").await, Err("invalid-input: field \"cost\" is required".to_owned()));
    let record = json(&call.insert(NAME, r#"{"cost":1}"#).await.unwrap());
    assert_eq!((record.get("cost"), &record["grade"]), (None, &json("\"b\"")));
}

#[tokio::test]
async fn data_that_names_an_unknown_field_is_told_those_that_may_be_named() {
    let (fixture, id) = with_item().await;
    let mut call = clerk(&fixture);
    // `secret` may be set; `cost` may be neither seen nor set.
    let expected =
        "invalid-input: unknown field \"nothing\" of inventory.item; its fields: name, secret, status";
    for answer in
        [call.insert(NAME, r#"{"nothing":1}"#).await, call.update(NAME, &id, r#"{"nothing":1}"#, 1).await]
    {
        assert_eq!(answer, Err(expected.to_owned()));
    }
}

#[tokio::test]
async fn a_value_that_clashes_is_named_to_whoever_gave_it_alone() {
    let (fixture, id) = with_item().await;
    let mut call = clerk(&fixture);
    let named = "already-exists: another inventory.item has the same \"secret\"; it must be unique";
    assert_eq!(call.insert(NAME, r#"{"secret":"X1"}"#).await, Err(named.to_owned()));
    let other = id_of(&call.insert(NAME, r#"{"secret":"X2"}"#).await.unwrap());
    assert_eq!(call.update(NAME, &other, r#"{"secret":"X1"}"#, 1).await, Err(named.to_owned()));
    call.delete(NAME, &id).await.unwrap();
    call.update(NAME, &other, r#"{"secret":"X1"}"#, 1).await.unwrap();
    let veiled = "already-exists: another inventory.item has the same value in a field that anna may not see; it must be \
                  unique";
    assert_eq!(call.restore(NAME, &id).await, Err(veiled.to_owned()));
    call.commit().await;
    let mut call = clerk_and(&fixture, &["inventory.item.read.field:secret"]);
    assert_eq!(call.restore(NAME, &id).await, Err(named.to_owned()));
}

#[tokio::test]
async fn a_reference_in_the_way_is_not_named_to_whoever_may_not_see_it() {
    let fixture = Fixture::declaring(
        r#"
        [entities.item.fields.name]
        type = "string"
        [entities.parcel.fields.content]
        type = "reference"
        entity = "item"
        read-permission = "inventory.parcel.read.field:content"
        "#,
    )
    .await;
    let id = fixture.given("item", &[r#"{"name":"a"}"#]).await.remove(0);
    fixture.given("parcel", &[&format!(r#"{{"content":"{id}"}}"#)]).await;
    let refused = |field: &str| {
        Err(format!(
            "rejected: inventory.item {id} cannot be deleted: 1 record of inventory.parcel refers to it in {field}; \
             delete or change them first"
        ))
    };
    let mut call = clerk(&fixture);
    assert_eq!(call.delete(NAME, &id).await, refused("a field that anna may not see"));
    drop(call);
    let mut call = clerk_and(&fixture, &["inventory.parcel.read.field:content"]);
    assert_eq!(call.delete(NAME, &id).await, refused("\"content\""));
    drop(call);
    assert_eq!(fixture.call().delete("item", &id).await, refused("\"content\""));
}

#[tokio::test]
async fn another_plugin_sees_and_sets_what_the_user_may() {
    let (fixture, id) = with_item().await;
    for identity in [anna(ALPHA), service(ALPHA)] {
        let sales = || fixture.stranger(Right::WithPermission, Right::WithPermission);
        let mut call = acting(&fixture, sales(), identity.clone(), &CLERK);
        assert_veiled(&json(&call.get(NAME, &id).await.unwrap()));
        assert_eq!(call.count(NAME, r#"{"cost":null}"#).await, unknown("cost"));
        let error = call.update(NAME, &id, r#"{"cost":"1"}"#, 1).await.unwrap_err();
        assert!(error.starts_with("permission-denied: "), "{error}");
        drop(call);
        let mut call = acting(&fixture, sales(), identity, &["inventory.*"]);
        assert_eq!(json(&call.get(NAME, &id).await.unwrap())["cost"], "9.50");
        call.update(NAME, &id, r#"{"cost":"1"}"#, 1).await.unwrap();
        call.refuse().await;
    }
}

#[tokio::test]
async fn the_system_and_a_plugin_on_its_own_entities_are_not_subject_to_it() {
    let (fixture, id) = with_item().await;
    let sales = fixture.stranger(Right::WithPermission, Right::WithPermission);
    for (caller, identity) in [
        (edge(&fixture), system(ALPHA, None)),
        (sales, system(ALPHA, Some("anna"))),
        (fixture.caller(), anna(ALPHA)),
        (fixture.caller(), system(ALPHA, None)),
    ] {
        let mut call = acting(&fixture, caller, identity, &[]);
        let record = json(&call.get(NAME, &id).await.unwrap());
        assert_eq!((&record["cost"], &record["secret"]), (&json("\"9.50\""), &json("\"X1\"")));
        assert_eq!(call.count(NAME, r#"{"cost":{"$gt":"9"}}"#).await, Ok(1));
        let updated = call.update(NAME, &id, r#"{"cost":"2","status":"x"}"#, 1).await.unwrap();
        assert_eq!(json(&updated)["cost"], "2.00");
        assert!(call.unreadable_fields(NAME).await.unwrap().is_empty());
        call.refuse().await;
    }
}

#[tokio::test]
async fn the_records_own_verbs_are_asked_first() {
    let (fixture, id) = with_item().await;
    let mut call = acting(&fixture, edge(&fixture), anna(ALPHA), &["inventory.item.read.field:cost"]);
    let lacking = "permission-denied: anna lacks the permission inventory.item.read; a role can give it";
    assert_eq!(call.get(NAME, &id).await, Err(lacking.to_owned()));
    assert_eq!(call.count(NAME, r#"{"cost":null}"#).await, Err(lacking.to_owned()));
}

/// The fields that the newest change of a record tells of.
async fn told(call: &mut Call, id: &str) -> Vec<String> {
    let page = call.history(NAME, Some(id), "").await.unwrap();
    let newest = items(&page).remove(0);
    newest["changes"].as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn history_tells_of_the_fields_that_may_be_seen() {
    let (fixture, id) = with_item().await;
    for (more, expected) in [
        (&[][..], &["name", "status"][..]),
        (&["inventory.item.write.field:cost"], &["name", "status"]),
        (&["inventory.item.read.field:cost"], &["cost", "name", "status"]),
        (&["inventory.item.read.field:secret"], &["name", "secret", "status"]),
        (&["inventory.*"], &["cost", "name", "secret", "status"]),
    ] {
        assert_eq!(told(&mut clerk_and(&fixture, more), &id).await, expected, "{more:?}");
    }
    let page = clerk(&fixture).history(NAME, Some(&id), "").await.unwrap();
    assert!(!page.contains("9.50") && !page.contains("X1"), "{page}");
    // The plugin's own and the system's.
    assert_eq!(told(&mut fixture.call(), &id).await.len(), 4);
}

#[tokio::test]
async fn history_of_a_field_that_is_there_no_longer_takes_the_permission_it_would_take() {
    let (fixture, id) = with_item().await;
    let schema = edge(&fixture).entities[NAME].entity.schema().clone();
    let left = schema.fields().iter().filter(|field| field.name.as_str() != "name").cloned().collect();
    let without_name = Arc::new(Entity::new(schema.with_fields(left)));
    for (more, expected) in [
        (&[][..], &["status"][..]),
        (&["inventory.item.read.field:cost"], &["cost", "status"]),
        (&["inventory.item.read.field:name"], &["name", "status"]),
    ] {
        let mut caller = edge(&fixture);
        caller.entities.get_mut(NAME).unwrap().entity = Arc::clone(&without_name);
        let mut call = acting(&fixture, caller, anna(ALPHA), &[&CLERK[..], more].concat());
        assert_eq!(told(&mut call, &id).await, expected, "{more:?}");
    }
}
