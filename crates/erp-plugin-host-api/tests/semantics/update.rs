//! What an update changes: the fields that it names, one level deep, and nothing else.

use std::sync::Arc;

use erp_plugin_host_api::{InvocationContext, Verb};

use crate::fixture::{ALPHA, Fixture, items, json, system};

const ITEM: &str = r#"{"sku":"A","name":"Chair","price":"9.90","quantity":5}"#;

#[tokio::test]
async fn what_is_not_named_stays_and_null_clears() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    fixture.clock.advance(90);
    let mut call = fixture.call();
    let answer = call.update("item", &id, r#"{"price":null,"name":"Table"}"#, 1).await.unwrap();
    let expected = format!(
        concat!(
            r#"{{"id":"{}","tenant_id":"alpha","version":2,"#,
            r#""created_at":"2026-01-01T09:00:00.000000Z","created_by":"anna","#,
            r#""updated_at":"2026-01-01T09:01:30.000000Z","updated_by":"anna","#,
            r#""category":null,"name":"Table","price":null,"quantity":5,"sku":"A"}}"#
        ),
        id
    );
    assert_eq!(answer, expected);
    assert_eq!(items(&call.query("item", "", "").await.unwrap()), [json(&expected)]);
    let finished = call.commit().await;
    assert_eq!(finished.writes.len(), 1);
    assert_eq!(finished.writes[0].verb, Verb::Update);
}

#[tokio::test]
async fn null_clears_a_field_with_a_default_and_does_not_bring_the_default_back() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let record = json(&fixture.call().update("item", &id, r#"{"quantity":null}"#, 1).await.unwrap());
    assert!(record["quantity"].is_null());
}

#[tokio::test]
async fn a_required_field_may_be_left_out_but_not_cleared() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    assert_eq!(
        call.update("item", &id, r#"{"name":null}"#, 1).await,
        Err("invalid-input: field \"name\" is required".to_owned())
    );
    assert_eq!(json(&call.update("item", &id, r#"{"price":"1"}"#, 1).await.unwrap())["name"], "Chair");
}

#[tokio::test]
async fn a_refused_update_changes_nothing() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    for (data, error) in [
        (r#"{"name":"x","quantity":"many"}"#, r#"field "quantity" must be a 64-bit integer, not "many""#),
        (
            r#"{"name":"x","price":"1.234"}"#,
            r#"field "price" has 3 digits after the point, 2 are kept; round it first"#,
        ),
        (r#"{"name":"x","sku":false}"#, r#"field "sku" must be a string, not false"#),
    ] {
        assert_eq!(call.update("item", &id, data, 1).await, Err(format!("invalid-input: {error}")));
    }
    assert!(call.commit().await.writes.is_empty());
    let record = fixture.found("item", "").await.remove(0);
    assert_eq!((&record["name"], &record["version"]), (&"Chair".into(), &1.into()));
}

#[tokio::test]
async fn updated_by_is_who_updates_and_created_by_stays() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let identity = Arc::new(system(ALPHA, None));
    let mut call = fixture.begin(InvocationContext { identity, ..fixture.context() });
    let record = json(&call.update("item", &id, "{}", 1).await.unwrap());
    assert_eq!(record["created_by"], "anna");
    assert_eq!(record["updated_by"], "plugin:inventory");
}

#[tokio::test]
async fn an_update_that_is_rolled_back_was_never_there() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, r#"{"name":"Table"}"#, 1).await.unwrap();
    call.refuse().await;
    let record = fixture.found("item", "").await.remove(0);
    assert_eq!((&record["name"], &record["version"]), (&"Chair".into(), &1.into()));
}
