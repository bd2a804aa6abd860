//! What becomes of deleted records: they live again, or go for good.

use chrono::{DateTime, Utc};
use erp_plugin_host_api::Verb;
use erp_plugin_model::Limits;

use crate::fixture::{Fixture, NOBODY, id_of, json};

const ITEM: &str = r#"{"sku":"A","name":"Chair"}"#;

fn at(seconds: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-01-01T09:00:00Z".parse().unwrap();
    start + chrono::Duration::seconds(seconds)
}

#[tokio::test]
async fn a_restored_record_is_as_it_was_with_the_next_version() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.delete("item", &id).await.unwrap();
    call.commit().await;
    fixture.clock.advance(60);
    let mut call = fixture.call();
    let record = json(&call.restore("item", &id).await.unwrap());
    assert_eq!((&record["sku"], &record["version"]), (&"A".into(), &2.into()));
    assert_eq!(record["updated_at"], "2026-01-01T09:01:00.000000Z");
    assert_eq!(json(&call.get("item", &id).await.unwrap()), record);
    let gone = format!("not-found: no inventory.item has the id \"{id}\" among those that were deleted");
    assert_eq!(call.restore("item", &id).await, Err(gone), "it lives");
    for absent in [NOBODY, "nonsense"] {
        let error = call.restore("item", absent).await.unwrap_err();
        assert!(error.starts_with("not-found: no inventory.item has the id"), "{error}");
    }
    let finished = call.commit().await;
    assert_eq!(finished.writes.iter().map(|write| write.verb).collect::<Vec<_>>(), [Verb::Restore]);
}

#[tokio::test]
async fn what_would_break_a_rule_is_not_restored() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let category = id_of(&call.insert("category", r#"{"name":"Seats"}"#).await.unwrap());
    let item = format!(r#"{{"sku":"A","name":"n","category":"{category}"}}"#);
    let id = id_of(&call.insert("item", &item).await.unwrap());
    call.delete("item", &id).await.unwrap();
    call.delete("category", &category).await.unwrap();
    assert_eq!(
        call.restore("item", &id).await,
        Err("invalid-input: field \"category\" of inventory.item names no record".to_owned())
    );
    call.restore("category", &category).await.unwrap();
    let taker = id_of(&call.insert("item", ITEM).await.unwrap());
    assert_eq!(
        call.restore("item", &id).await,
        Err("already-exists: another inventory.item has the same \"sku\"; it must be unique".to_owned())
    );
    call.delete("item", &taker).await.unwrap();
    call.restore("item", &id).await.unwrap();
}

#[tokio::test]
async fn a_purge_removes_what_was_deleted_before_as_far_as_the_budget_goes() {
    let fixture = Fixture::new().await;
    let rows: Vec<_> = (0..6).map(|n| format!(r#"{{"sku":"S{n}","name":"n"}}"#)).collect();
    let ids = fixture.given("item", &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for id in &ids[..5] {
        let mut call = fixture.call();
        call.delete("item", id).await.unwrap();
        call.commit().await;
        fixture.clock.advance(10);
    }
    let mut call = fixture.call();
    assert_eq!(call.purge("item", at(0)).await, Ok(0));
    assert_eq!(call.purge("item", at(11)).await, Ok(2));
    assert_eq!(call.budget().used().rows_written, 2);
    assert!(call.restore("item", &ids[0]).await.is_err());
    assert!(call.restore("item", &ids[4]).await.is_ok());
    call.commit().await;
    let mut call = fixture.limited(Limits { rows_written: 1, ..Limits::default() });
    assert_eq!(call.purge("item", at(1000)).await, Ok(1));
    let error = call.purge("item", at(1000)).await.unwrap_err();
    assert!(
        error.starts_with("limit-exceeded: rows-written (records written): 2 used, 1 allowed"),
        "{error}"
    );
    call.commit().await;
    let mut call = fixture.call();
    assert_eq!(call.purge("item", at(1000)).await, Ok(1));
    assert_eq!(call.count("item", "").await, Ok(2));
}
