//! The host's own fields in data that callers send: refused when they make a record, accepted back unchanged.

use crate::fixture::{Fixture, NOBODY, id_of, json};

const ITEM: &str = r#"{"sku":"A","name":"Chair"}"#;

#[tokio::test]
async fn an_insert_refuses_them_and_names_them() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for (fields, names) in [
        (format!(r#""id":"{NOBODY}""#), "id"),
        (r#""version":1"#.to_owned(), "version"),
        (r#""version":null"#.to_owned(), "version"),
        (r#""created_at":"2020-01-01T00:00:00Z","created_by":"eve""#.to_owned(), "created_at, created_by"),
        (r#""updated_by":"eve","updated_at":{}"#.to_owned(), "updated_by, updated_at"),
        (r#""deleted_at":null,"id":7"#.to_owned(), "deleted_at, id"),
    ] {
        let data = format!(r#"{{"sku":"A","name":"n",{fields}}}"#);
        assert_eq!(
            call.insert("item", &data).await,
            Err(format!("invalid-input: the host sets {names}; leave it out of the data"))
        );
    }
}

#[tokio::test]
async fn the_callers_own_tenant_is_ignored_and_any_other_is_denied() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let with = |tenant: &str| format!(r#"{{"sku":"A","name":"n","tenant_id":{tenant}}}"#);
    let record = call.insert("item", &with(r#""alpha""#)).await.unwrap();
    assert_eq!(json(&record)["tenant_id"], "alpha");
    let id = id_of(&record);
    assert_eq!(json(&call.update("item", &id, &with(r#""\u0061lpha""#), 1).await.unwrap())["version"], 2);
    for forged in [r#""beta""#, r#""Alpha""#, r#""alpha ""#, r#""""#, "7", r#"["alpha"]"#] {
        let denied =
            "permission-denied: field \"tenant_id\" names another tenant; the host sets it, leave it out";
        assert_eq!(call.insert("item", &with(forged)).await, Err(denied.to_owned()), "{forged}");
        assert_eq!(call.update("item", &id, &with(forged), 2).await, Err(denied.to_owned()), "{forged}");
    }
}

#[tokio::test]
async fn a_record_may_be_sent_back_as_it_was_read() {
    let fixture = Fixture::new().await;
    fixture.given("item", &[ITEM]).await;
    let mut read = fixture.found("item", "").await.remove(0);
    read["name"] = "Table".into();
    fixture.clock.advance(60);
    let id = read["id"].as_str().unwrap().to_owned();
    let written = fixture.call().update("item", &id, &read.to_string(), 1).await.unwrap();
    read["version"] = 2.into();
    read["updated_at"] = "2026-01-01T09:01:00.000000Z".into();
    assert_eq!(json(&written), read);
}

#[tokio::test]
async fn an_update_may_repeat_them_and_not_change_them() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.call();
    for (field, value) in [
        ("id", format!(r#""{NOBODY}""#)),
        ("id", "null".to_owned()),
        ("version", "2".to_owned()),
        ("version", r#""1""#.to_owned()),
        ("version", "null".to_owned()),
        ("created_at", r#""2020-01-01T00:00:00.000000Z""#.to_owned()),
        ("created_by", r#""eve""#.to_owned()),
        ("created_by", "null".to_owned()),
        ("updated_at", r#""2020-01-01T00:00:00.000000Z""#.to_owned()),
        ("updated_by", "{}".to_owned()),
        ("deleted_at", r#""2026-01-01T09:00:00.000000Z""#.to_owned()),
    ] {
        assert_eq!(
            call.update("item", &id, &format!(r#"{{"{field}":{value}}}"#), 1).await,
            Err(format!("invalid-input: field \"{field}\" is set by the host; leave it out, or as it was"))
        );
    }
    let same = format!(
        r#"{{"id":"{id}","version":1,"created_at":"2026-01-01T09:00:00.000000Z","created_by":"anna","deleted_at":null}}"#
    );
    assert_eq!(json(&call.update("item", &id, &same, 1).await.unwrap())["version"], 2);
}

#[tokio::test]
async fn a_stale_record_sent_back_is_a_conflict_and_not_a_forgery() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let stale = fixture.found("item", "").await.remove(0);
    fixture.clock.advance(60);
    let mut call = fixture.call();
    call.update("item", &id, "{}", 1).await.unwrap();
    assert_eq!(
        call.update("item", &id, &stale.to_string(), 1).await,
        Err(format!("conflict: inventory.item {id} has version 2, not 1; read it again"))
    );
}
