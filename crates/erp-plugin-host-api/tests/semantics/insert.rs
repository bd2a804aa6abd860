//! What an insert sets, keeps and answers.

use std::sync::Arc;

use erp_plugin_host_api::{InvocationContext, Verb};
use erp_plugin_model::Identity;

use crate::fixture::{ALPHA, Fixture, anna, counted, id_of, items, json, service, system};

const FILLED: &str = r#"{"sku":"A-1","name":"Chair","price":"12.5","quantity":3}"#;

#[tokio::test]
async fn the_answer_is_the_whole_record_with_what_the_host_set() {
    let fixture = Fixture::new().await;
    let answer = fixture.call().insert("item", FILLED).await.unwrap();
    let expected = concat!(
        r#"{"id":"019b7d00-0000-7000-8000-000000000002","tenant_id":"alpha","version":1,"#,
        r#""created_at":"2026-01-01T09:00:00.000000Z","created_by":"anna","#,
        r#""updated_at":"2026-01-01T09:00:00.000000Z","updated_by":"anna","#,
        r#""category":null,"name":"Chair","price":"12.50","quantity":3,"sku":"A-1"}"#
    );
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn the_answer_is_what_a_query_finds() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let answer = call.insert("item", FILLED).await.unwrap();
    let same = call.query("item", "", "").await.unwrap();
    assert_eq!(same, format!(r#"{{"items":[{answer}],"next_cursor":null}}"#));
    call.commit().await;
    let later = fixture.call().query("item", "", "").await.unwrap();
    assert_eq!(later, same);
}

#[tokio::test]
async fn a_field_that_is_not_given_or_null_gets_its_default() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for (data, quantity) in [
        (r#"{"sku":"A","name":"n"}"#, 0),
        (r#"{"sku":"B","name":"n","quantity":null}"#, 0),
        (r#"{"sku":"C","name":"n","quantity":7}"#, 7),
    ] {
        assert_eq!(json(&call.insert("item", data).await.unwrap())["quantity"], quantity, "{data}");
    }
}

#[tokio::test]
async fn a_field_without_a_default_is_null_whether_left_out_or_null() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for data in [r#"{"sku":"A","name":"n"}"#, r#"{"sku":"B","name":"n","price":null}"#] {
        assert!(json(&call.insert("item", data).await.unwrap())["price"].is_null(), "{data}");
    }
    assert_eq!(items(&call.query("item", r#"{"price":null}"#, "").await.unwrap()).len(), 2);
}

#[tokio::test]
async fn both_names_of_an_own_entity_mean_the_same() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("inventory.item", FILLED).await.unwrap();
    assert_eq!(items(&call.query("item", "", "").await.unwrap()).len(), 1);
}

#[tokio::test]
async fn an_entity_that_is_not_declared_is_told_with_those_that_are() {
    let fixture = Fixture::new().await;
    for (name, shown) in [
        ("order", r#""order""#),
        ("sales.order", r#""sales.order""#),
        ("", r#""""#),
        ("item; DROP", r#""item; DROP""#),
        ("ITEM", r#""ITEM""#),
        ("a\nb", r#""a\nb""#),
    ] {
        let expected = format!(
            "invalid-input: unknown entity {shown}; known: category, item. Declare it under [entities] in \
             plugin.toml, or ask for dynamic-entities under [capabilities]"
        );
        assert_eq!(fixture.call().insert(name, "{}").await, Err(expected.clone()));
        assert_eq!(fixture.call().query(name, "", "").await, Err(expected.clone()));
        assert_eq!(fixture.call().update(name, "x", "{}", 1).await, Err(expected.clone()));
        assert_eq!(fixture.call().delete(name, "x").await, Err(expected));
    }
}

#[tokio::test]
async fn created_by_is_whoever_acts_and_the_plugin_when_nobody_does() {
    let fixture = Fixture::new().await;
    let cases: [(Identity, &str); 4] = [
        (anna(ALPHA), "anna"),
        (service(ALPHA), "billing"),
        (system(ALPHA, None), "plugin:inventory"),
        (system(ALPHA, Some("ben")), "plugin:inventory"),
    ];
    for (identity, by) in cases {
        let mut call = fixture.begin(InvocationContext { identity: Arc::new(identity), ..fixture.context() });
        let record = json(&call.insert("item", FILLED).await.unwrap());
        assert_eq!((&record["created_by"], &record["updated_by"]), (&by.into(), &by.into()));
    }
}

#[tokio::test]
async fn all_records_of_an_invocation_have_the_time_at_which_it_began() {
    let fixture = Fixture::new().await;
    fixture.clock.advance(61);
    let mut call = fixture.call();
    fixture.clock.advance(5);
    let record = json(&call.insert("item", FILLED).await.unwrap());
    assert_eq!(record["created_at"], "2026-01-01T09:01:01.000000Z");
}

#[tokio::test]
async fn every_record_gets_an_id_of_its_own_and_is_among_the_writes() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let mut ids = Vec::new();
    for sku in ["A", "B", "C"] {
        let data = format!(r#"{{"sku":"{sku}","name":"n"}}"#);
        ids.push(id_of(&call.insert("item", &data).await.unwrap()));
    }
    assert_eq!(ids, [counted(2), counted(3), counted(4)].map(|id| id.to_string()));
    let writes = call.commit().await.writes;
    let written: Vec<String> = writes.iter().map(|write| write.id.to_string()).collect();
    assert_eq!(written, ids);
    assert!(writes.iter().all(|write| write.verb == Verb::Insert));
}

#[tokio::test]
async fn a_refused_insert_leaves_nothing_and_the_invocation_goes_on() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", FILLED).await.unwrap();
    for data in [FILLED, r#"{"sku":"B"}"#, r#"{"sku":"B","name":"n","quantity":"many"}"#, "{"] {
        assert!(call.insert("item", data).await.is_err(), "{data}");
    }
    call.insert("item", r#"{"sku":"C","name":"n"}"#).await.unwrap();
    assert_eq!(call.commit().await.writes.len(), 2);
    assert_eq!(fixture.found("item", "").await.len(), 2);
}

#[tokio::test]
async fn nothing_is_left_of_an_invocation_that_is_rolled_back() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", FILLED).await.unwrap();
    assert_eq!(call.refuse().await.writes.len(), 1, "they were to be undone");
    assert!(fixture.found("item", "").await.is_empty());
}
