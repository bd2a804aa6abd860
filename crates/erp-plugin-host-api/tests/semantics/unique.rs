//! Unique fields: per tenant, among records that live.

use crate::fixture::{ALPHA, BETA, Fixture, id_of, json};

const TAKEN: &str = "already-exists: another inventory.item has the same \"sku\"; it must be unique";

#[tokio::test]
async fn a_taken_value_is_refused_and_named() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
    let other = id_of(&call.insert("item", r#"{"sku":"B","name":"n"}"#).await.unwrap());
    assert_eq!(call.insert("item", r#"{"sku":"A","name":"n"}"#).await, Err(TAKEN.to_owned()));
    assert_eq!(call.update("item", &other, r#"{"sku":"A"}"#, 1).await, Err(TAKEN.to_owned()));
    // Neither of them cost the record its version, or the invocation its transaction.
    assert_eq!(json(&call.update("item", &other, r#"{"sku":"B"}"#, 1).await.unwrap())["version"], 2);
    call.commit().await;
    assert_eq!(fixture.found("item", "").await.len(), 2);
}

#[tokio::test]
async fn values_differ_by_every_character() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for sku in ["a", "A", "a ", " a", "ä", "a\u{308}", "", "0", "00"] {
        let data = serde_json::json!({ "sku": sku, "name": "n" }).to_string();
        call.insert("item", &data).await.unwrap();
    }
}

#[tokio::test]
async fn another_tenant_has_values_of_its_own() {
    let fixture = Fixture::new().await;
    for tenant in [ALPHA, BETA] {
        let mut call = fixture.call_in(tenant);
        call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
        call.commit().await;
    }
}

#[tokio::test]
async fn absent_values_never_clash_and_every_ordered_type_can_be_unique() {
    let fixture = Fixture::with_fields([
        ("boolean", "type = \"boolean\"\nunique = true"),
        ("date", "type = \"date\"\nunique = true"),
        ("datetime", "type = \"datetime\"\nunique = true"),
        ("decimal", "type = \"decimal\"\nprecision = 6\nscale = 2\nunique = true"),
        ("enum", "type = \"enum\"\noptions = [\"open\", \"closed\"]\nunique = true"),
        ("integer", "type = \"integer\"\nunique = true"),
        ("reference", "type = \"reference\"\nentity = \"thing\"\nunique = true"),
        ("uuid", "type = \"uuid\"\nunique = true"),
    ])
    .await;
    let mut call = fixture.call();
    let one = id_of(&call.insert("thing", "{}").await.unwrap());
    call.insert("thing", "{}").await.unwrap();
    for (field, value, same) in [
        ("boolean", "true", "true"),
        ("date", r#""2026-01-31""#, r#""2026-01-31""#),
        ("datetime", r#""2026-01-31T09:00:00Z""#, r#""2026-01-31T10:00:00.000+01:00""#),
        ("decimal", r#""1.5""#, "1.50"),
        ("enum", r#""open""#, r#""open""#),
        ("integer", "7", r#""7""#),
        ("reference", &format!("\"{one}\""), &format!("\"{}\"", one.to_uppercase())),
        ("uuid", r#""0198c0de-0000-7000-8000-00000000000a""#, r#""0198C0DE-0000-7000-8000-00000000000A""#),
    ] {
        call.insert("thing", &format!(r#"{{"{field}":{value}}}"#)).await.unwrap();
        assert_eq!(
            call.insert("thing", &format!(r#"{{"{field}":{same}}}"#)).await,
            Err(format!(
                "already-exists: another inventory.thing has the same \"{field}\"; it must be unique"
            ))
        );
    }
}

#[tokio::test]
async fn a_value_given_up_within_the_invocation_is_free_within_it() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let id = id_of(&call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap());
    call.update("item", &id, r#"{"sku":"B"}"#, 1).await.unwrap();
    call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
    call.commit().await;
}
