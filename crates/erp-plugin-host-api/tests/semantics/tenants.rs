//! Two tenants with the same plugin: neither can see, change or even notice the other's records.

use crate::fixture::{ALPHA, BETA, Fixture, column, id_of, json};

async fn both() -> (Fixture, String, String) {
    let fixture = Fixture::new().await;
    let mut ids = Vec::new();
    for tenant in [ALPHA, BETA] {
        let mut call = fixture.call_in(tenant);
        let data = format!(r#"{{"sku":"A","name":"of {tenant}"}}"#);
        ids.push(id_of(&call.insert("item", &data).await.unwrap()));
        call.commit().await;
    }
    let theirs = ids.pop().unwrap();
    (fixture, ids.pop().unwrap(), theirs)
}

#[tokio::test]
async fn every_query_keeps_to_its_tenant() {
    let (fixture, own, theirs) = both().await;
    let mut call = fixture.call_in(ALPHA);
    for filter in
        ["", "{}", r#"{"sku":"A"}"#, r#"{"$not":{"sku":"Z"}}"#, r#"{"$or":[{"sku":"A"},{"version":1}]}"#]
    {
        let page = call.query("item", filter, r#"{"total":true}"#).await.unwrap();
        assert_eq!(column(&page, "id"), [own.as_str()], "{filter}");
        assert_eq!(json(&page)["total"], 1, "{filter}");
    }
    let by_id = call.query("item", &format!(r#"{{"id":"{theirs}"}}"#), "").await.unwrap();
    assert_eq!(by_id, r#"{"items":[],"next_cursor":null}"#);
    let by_ids = format!(r#"{{"id":{{"$in":["{theirs}","{own}"]}}}}"#);
    assert_eq!(column(&call.query("item", &by_ids, "").await.unwrap(), "name"), ["of alpha"]);
}

#[tokio::test]
async fn a_filter_or_sort_cannot_name_the_tenant() {
    let (fixture, ..) = both().await;
    let mut call = fixture.call_in(ALPHA);
    for name in ["tenant_id", "deleted_at"] {
        let expected = format!(
            "invalid-input: field \"{name}\" cannot be named here: the host keeps to the caller's tenant and to \
             records that live"
        );
        for filter in
            [format!(r#"{{"{name}":"beta"}}"#), format!(r#"{{"$or":[{{"{name}":{{"$ne":null}}}}]}}"#)]
        {
            assert_eq!(call.query("item", &filter, "").await, Err(expected.clone()));
        }
        assert_eq!(call.query("item", "", &format!(r#"{{"sort":["-{name}"]}}"#)).await, Err(expected));
    }
}

#[tokio::test]
async fn writes_to_the_others_record_hit_nothing() {
    let (fixture, _, theirs) = both().await;
    let mut call = fixture.call_in(ALPHA);
    let gone = format!("not-found: no inventory.item has the id \"{theirs}\"");
    assert_eq!(call.update("item", &theirs, r#"{"name":"mine"}"#, 1).await, Err(gone.clone()));
    assert_eq!(call.delete("item", &theirs).await, Err(gone));
    call.commit().await;
    let page = fixture.call_in(BETA).query("item", "", "").await.unwrap();
    assert_eq!(column(&page, "name"), ["of beta"]);
    assert_eq!(column(&page, "version"), [1]);
}
