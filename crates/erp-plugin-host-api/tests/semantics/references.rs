//! References: to a live record of the same tenant, or to nothing.

use crate::fixture::{ALPHA, BETA, Fixture, NOBODY, id_of, json};

const DANGLES: &str = "invalid-input: field \"category\" of inventory.item names no record";

fn item(category: &str) -> String {
    format!(r#"{{"sku":"A","name":"n","category":"{category}"}}"#)
}

#[tokio::test]
async fn a_live_record_can_be_referred_to_even_one_of_the_same_invocation() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let category = id_of(&call.insert("category", r#"{"name":"Seats"}"#).await.unwrap());
    let record = json(&call.insert("item", &item(&category)).await.unwrap());
    assert_eq!(record["category"], *category);
    let id = record["id"].as_str().unwrap();
    assert!(json(&call.update("item", id, r#"{"category":null}"#, 1).await.unwrap())["category"].is_null());
    call.update("item", id, &format!(r#"{{"category":"{category}"}}"#), 2).await.unwrap();
    call.commit().await;
    assert_eq!(fixture.found("item", &format!(r#"{{"category":"{category}"}}"#)).await.len(), 1);
}

/// A deleted record, another tenant's, one of another entity and none at all: the answers are the same.
#[tokio::test]
async fn what_is_no_live_record_of_this_tenant_and_entity_cannot_be_referred_to() {
    let fixture = Fixture::new().await;
    let deleted = fixture.given("category", &[r#"{"name":"Old"}"#]).await.remove(0);
    let mut call = fixture.call_in(BETA);
    let theirs = id_of(&call.insert("category", r#"{"name":"Theirs"}"#).await.unwrap());
    call.commit().await;
    let mut call = fixture.call_in(ALPHA);
    call.delete("category", &deleted).await.unwrap();
    let own = id_of(&call.insert("item", r#"{"sku":"B","name":"n"}"#).await.unwrap());
    for target in [deleted.as_str(), &theirs, &own, NOBODY] {
        assert_eq!(call.insert("item", &item(target)).await, Err(DANGLES.to_owned()), "{target}");
        let change = format!(r#"{{"category":"{target}"}}"#);
        assert_eq!(call.update("item", &own, &change, 1).await, Err(DANGLES.to_owned()), "{target}");
    }
    // The transaction is intact.
    call.insert("item", r#"{"sku":"C","name":"n"}"#).await.unwrap();
    call.commit().await;
}

#[tokio::test]
async fn a_stale_update_is_told_so_before_its_references_are_looked_at() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    let mut call = fixture.call();
    let change = format!(r#"{{"category":"{NOBODY}"}}"#);
    assert_eq!(
        call.update("item", &id, &change, 5).await,
        Err(format!("conflict: inventory.item {id} has version 1, not 5; read it again"))
    );
    assert_eq!(
        call.update("item", NOBODY, &change, 1).await,
        Err(format!("not-found: no inventory.item has the id \"{NOBODY}\""))
    );
}
