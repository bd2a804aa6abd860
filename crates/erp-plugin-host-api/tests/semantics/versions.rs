//! Versions: which one an update must name, and what it is told when it names another.

use crate::fixture::{ALPHA, BETA, Fixture, NOBODY, json};

const ITEM: &str = r#"{"sku":"A","name":"Chair"}"#;

fn nobody(id: &str) -> String {
    format!("not-found: no inventory.item has the id \"{id}\"")
}

#[tokio::test]
async fn each_update_raises_the_version_by_one_even_if_nothing_changes() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    for (version, data) in [(1, r#"{"name":"Table"}"#), (2, r#"{"name":"Table"}"#), (3, "{}")] {
        let record = json(&call.update("item", &id, data, version).await.unwrap());
        assert_eq!(record["version"], version + 1);
        assert_eq!(record["name"], "Table");
    }
    call.commit().await;
    assert_eq!(fixture.found("item", "").await[0]["version"], 4);
}

#[tokio::test]
async fn another_version_is_a_conflict_that_names_the_current_one() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    call.update("item", &id, "{}", 1).await.unwrap();
    for version in [1, 3, i64::MAX] {
        assert_eq!(
            call.update("item", &id, r#"{"name":"lost"}"#, version).await,
            Err(format!("conflict: inventory.item {id} has version 2, not {version}; read it again"))
        );
    }
    call.commit().await;
    assert_eq!(fixture.found("item", "").await[0]["name"], "Chair");
}

#[tokio::test]
async fn a_version_below_one_is_invalid_whatever_the_record() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    for version in [0, -1, i64::MIN] {
        let expected =
            format!("invalid-input: version must be the one that was read, 1 or more, not {version}");
        for id in [id.as_str(), NOBODY, "nonsense"] {
            assert_eq!(call.update("item", id, "{}", version).await, Err(expected.clone()));
        }
    }
}

/// The texts differ in nothing but the id that the caller sent.
#[tokio::test]
async fn a_record_that_is_not_the_callers_to_see_answers_as_one_that_never_was() {
    let fixture = Fixture::new().await;
    let ids = fixture.given("item", &[ITEM, r#"{"sku":"B","name":"n"}"#]).await;
    let (live, deleted) = (&ids[0], &ids[1]);
    let mut call = fixture.call_in(ALPHA);
    call.delete("item", deleted).await.unwrap();
    call.commit().await;
    for (tenant, id) in [
        (ALPHA, NOBODY),
        (ALPHA, deleted.as_str()),
        (BETA, live.as_str()),
        (BETA, NOBODY),
        (ALPHA, ""),
        (ALPHA, "nonsense"),
        (ALPHA, "' OR 1=1 --"),
        (ALPHA, "0198c0de000070008000000000000001"),
        (ALPHA, "{0198c0de-0000-7000-8000-000000000001}"),
    ] {
        let mut call = fixture.call_in(tenant);
        for version in [1, 2, 99] {
            let data = r#"{"name":"mine"}"#;
            assert_eq!(call.update("item", id, data, version).await, Err(nobody(id)), "{tenant} {id}");
        }
        let echo = r#"{"created_by":"anna"}"#;
        assert_eq!(call.update("item", id, echo, 1).await, Err(nobody(id)), "{tenant} {id}");
        assert_eq!(call.delete("item", id).await, Err(nobody(id)), "{tenant} {id}");
    }
    assert_eq!(fixture.found("item", "").await[0]["name"], "Chair");
}

#[tokio::test]
async fn of_two_that_read_the_same_version_the_first_wins() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut first = fixture.call();
    first.update("item", &id, r#"{"name":"first"}"#, 1).await.unwrap();
    first.commit().await;
    let mut second = fixture.call();
    assert_eq!(
        second.update("item", &id, r#"{"name":"second"}"#, 1).await,
        Err(format!("conflict: inventory.item {id} has version 2, not 1; read it again"))
    );
    second.update("item", &id, r#"{"name":"second"}"#, 2).await.unwrap();
    second.commit().await;
    let record = fixture.found("item", "").await.remove(0);
    assert_eq!((&record["name"], &record["version"]), (&"second".into(), &3.into()));
}
