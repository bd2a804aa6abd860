//! Deleting: the record is gone for everybody, and its unique values are free.

use erp_plugin_host_api::Verb;

use crate::fixture::{Fixture, NOBODY, items};

const ITEM: &str = r#"{"sku":"A","name":"Chair"}"#;

#[tokio::test]
async fn a_deleted_record_is_visible_to_nobody() {
    let fixture = Fixture::new().await;
    let ids = fixture.given("item", &[ITEM, r#"{"sku":"B","name":"stays"}"#]).await;
    let id = &ids[0];
    let mut call = fixture.call();
    call.delete("item", id).await.unwrap();
    for filter in
        [format!(r#"{{"id":"{id}"}}"#), r#"{"sku":"A"}"#.to_owned(), r#"{"$not":{"sku":"B"}}"#.to_owned()]
    {
        assert_eq!(
            call.query("item", &filter, r#"{"total":true}"#).await.unwrap(),
            r#"{"items":[],"next_cursor":null,"total":0}"#
        );
    }
    assert_eq!(items(&call.query("item", "", "").await.unwrap()).len(), 1);
    let gone = format!("not-found: no inventory.item has the id \"{id}\"");
    assert_eq!(call.update("item", id, r#"{"name":"back"}"#, 1).await, Err(gone.clone()));
    assert_eq!(call.update("item", id, r#"{"deleted_at":null}"#, 2).await, Err(gone.clone()));
    assert_eq!(call.delete("item", id).await, Err(gone.clone()));
    let finished = call.commit().await;
    assert_eq!(finished.writes.iter().map(|write| write.verb).collect::<Vec<_>>(), [Verb::Delete]);
    assert_eq!(fixture.found("item", "").await.len(), 1);
    assert_eq!(fixture.call().delete("item", id).await, Err(gone));
}

#[tokio::test]
async fn its_unique_value_is_free_again() {
    let fixture = Fixture::new().await;
    let mut ids = fixture.given("item", &[ITEM]).await;
    for _ in 0..3 {
        let mut call = fixture.call();
        assert!(call.insert("item", ITEM).await.unwrap_err().starts_with("already-exists: "));
        call.delete("item", &ids.remove(0)).await.unwrap();
        call.commit().await;
        ids = fixture.given("item", &[ITEM]).await;
    }
    assert_eq!(fixture.found("item", "").await.len(), 1);
}

#[tokio::test]
async fn deleting_needs_no_version() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, "{}", 1).await.unwrap();
    call.delete("item", &id).await.unwrap();
    call.commit().await;
    assert!(fixture.found("item", "").await.is_empty());
}

#[tokio::test]
async fn a_deletion_that_is_rolled_back_was_never_there() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.delete("item", &id).await.unwrap();
    call.refuse().await;
    assert_eq!(fixture.found("item", "").await.len(), 1);
    let missing = format!("not-found: no inventory.item has the id \"{NOBODY}\"");
    assert_eq!(fixture.call().delete("item", NOBODY).await, Err(missing));
}
