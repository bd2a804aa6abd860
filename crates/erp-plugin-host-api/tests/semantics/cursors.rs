//! Walking through records by cursor: each one once, whatever ties there are, and no cursor where it does not belong.

use erp_plugin_model::page::MAX_LIMIT;

use crate::fixture::{ALPHA, BETA, Call, Fixture, column, json};

const FOREIGN: &str = "invalid-input: page: cursor belongs to another query; keep entity, filter and sort the same from page to page";
const BROKEN: &str = "invalid-input: page: cursor is not one that a query gave; begin without one";

const FIELDS: [(&str, &str); 4] = [
    ("code", "type = \"integer\""),
    ("day", "type = \"date\""),
    ("kind", "type = \"string\""),
    ("price", "type = \"decimal\"\nprecision = 8\nscale = 2"),
];

/// Forty records with many ties and many gaps.
async fn tied() -> Fixture {
    let fixture = Fixture::with_fields(FIELDS).await;
    let rows: Vec<String> = (0..40_u32)
        .map(|code| {
            let kind = ["\"a\"", "null", "\"b\"", "\"\""][(code % 4) as usize];
            let day = if code % 3 == 0 { "null".to_owned() } else { format!("\"2026-01-0{}\"", code % 3) };
            let price = if code % 5 == 0 { "null".to_owned() } else { format!("\"{}.5\"", code % 5) };
            format!(r#"{{"code":{code},"kind":{kind},"day":{day},"price":{price}}}"#)
        })
        .collect();
    fixture.given("thing", &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    fixture
}

/// The codes of all records, page by page.
async fn walk(call: &mut Call, filter: &str, sort: &str, limit: u32) -> Vec<i64> {
    let mut codes = Vec::new();
    let mut cursor = "null".to_owned();
    loop {
        let page = format!(r#"{{"limit":{limit},"sort":{sort},"cursor":{cursor}}}"#);
        let answer = call.query("thing", filter, &page).await.unwrap();
        let found = column(&answer, "code");
        assert!(found.len() as u64 <= u64::from(limit));
        codes.extend(found.iter().map(|code| code.as_i64().unwrap()));
        match &json(&answer)["next_cursor"] {
            serde_json::Value::Null => return codes,
            next => cursor = next.to_string(),
        }
        assert!(!found.is_empty(), "a page that others follow has records");
    }
}

#[tokio::test]
async fn a_walk_visits_each_record_once_in_the_order_of_one_large_page() {
    let fixture = tied().await;
    let mut call = fixture.call();
    for sort in [
        "[]",
        r#"["-id"]"#,
        r#"["kind"]"#,
        r#"["-kind"]"#,
        r#"["-day","kind"]"#,
        r#"["kind","-price","day"]"#,
        r#"["-price","-kind","-day","-id"]"#,
        r#"["version","created_at","updated_by","kind"]"#,
    ] {
        let whole = walk(&mut call, "", sort, MAX_LIMIT).await;
        let mut distinct = whole.clone();
        distinct.sort_unstable();
        assert_eq!(distinct, (0..40).collect::<Vec<i64>>(), "{sort}");
        for limit in [1, 3, 8, 39, 40] {
            assert_eq!(walk(&mut call, "", sort, limit).await, whole, "{sort} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_walk_keeps_to_its_filter() {
    let fixture = tied().await;
    let mut call = fixture.call();
    let codes = walk(&mut call, r#"{"kind":{"$in":["a",null]}}"#, r#"["-kind","code"]"#, 7).await;
    let expected: Vec<i64> = (0..40).filter(|n| n % 4 == 0).chain((0..40).filter(|n| n % 4 == 1)).collect();
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn records_written_behind_the_cursor_disturb_nobody() {
    let fixture = Fixture::with_fields(FIELDS).await;
    let rows: Vec<String> = (0..10).map(|code| format!(r#"{{"code":{}}}"#, code * 10)).collect();
    let ids = fixture.given("thing", &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut call = fixture.call();
    let first = call.query("thing", "", r#"{"limit":5,"sort":["code"]}"#).await.unwrap();
    assert_eq!(column(&first, "code"), [0, 10, 20, 30, 40]);
    call.insert("thing", r#"{"code":5}"#).await.unwrap();
    call.delete("thing", &ids[4]).await.unwrap();
    call.delete("thing", &ids[5]).await.unwrap();
    call.insert("thing", r#"{"code":45}"#).await.unwrap();
    let page = format!(r#"{{"limit":9,"sort":["code"],"cursor":{}}}"#, json(&first)["next_cursor"]);
    let rest = call.query("thing", "", &page).await.unwrap();
    assert_eq!(column(&rest, "code"), [45, 60, 70, 80, 90]);
}

#[tokio::test]
async fn a_cursor_goes_with_its_entity_filter_and_sort_only() {
    let fixture = Fixture::new().await;
    let rows: Vec<String> = (0..5).map(|n| format!(r#"{{"sku":"{n}","name":"n","quantity":{n}}}"#)).collect();
    fixture.given("item", &rows.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut call = fixture.call();
    let filter = r#"{"quantity":{"$gte":0},"name":"n"}"#;
    let first = call.query("item", filter, r#"{"limit":2,"sort":["sku"]}"#).await.unwrap();
    let cursor = json(&first)["next_cursor"].to_string();
    let with = |sort: &str, more: &str| format!(r#"{{"sort":{sort},"cursor":{cursor}{more}}}"#);
    // The same query, however it is written, and in pieces of another size.
    for filter in [filter, r#"{ "name": "n", "quantity": { "$gte": 0 } }"#] {
        for more in ["", r#","limit":1"#, r#","total":true"#] {
            let next = call.query("item", filter, &with(r#"["sku"]"#, more)).await.unwrap();
            assert_eq!(column(&next, "sku")[0], "2");
        }
    }
    for (entity, filter, sort) in [
        ("category", "", "[]"),
        ("item", "", r#"["sku"]"#),
        ("item", r#"{"quantity":{"$gte":1},"name":"n"}"#, r#"["sku"]"#),
        ("item", filter, r#"["-sku"]"#),
        ("item", filter, r#"["sku","name"]"#),
        ("item", filter, "[]"),
    ] {
        assert_eq!(
            call.query(entity, filter, &with(sort, "")).await,
            Err(FOREIGN.to_owned()),
            "{entity} {sort}"
        );
    }
}

#[tokio::test]
async fn what_no_query_gave_is_no_cursor() {
    let fixture = Fixture::new().await;
    fixture.given("item", &[r#"{"sku":"A","name":"n"}"#, r#"{"sku":"B","name":"n"}"#]).await;
    let mut call = fixture.call();
    let first = call.query("item", "", r#"{"limit":1}"#).await.unwrap();
    let real = json(&first)["next_cursor"].as_str().unwrap().to_owned();
    let cut = &real[..real.len() - 4];
    for cursor in
        ["", "x", "!!!!", "AAAA", "W10", "e30", "bnVsbA", "名", &format!("{real}="), &format!(" {real}"), cut]
    {
        let page = serde_json::json!({ "cursor": cursor }).to_string();
        assert_eq!(call.query("item", "", &page).await, Err(BROKEN.to_owned()), "{cursor}");
    }
    // `[7]` and `["x"]`: JSON, but of no query.
    for cursor in ["Wzdd", "WyJ4Il0"] {
        let page = serde_json::json!({ "cursor": cursor }).to_string();
        assert_eq!(call.query("item", "", &page).await, Err(FOREIGN.to_owned()), "{cursor}");
    }
}

#[tokio::test]
async fn a_cursor_of_one_tenant_shows_another_only_its_own_records() {
    let fixture = Fixture::new().await;
    for tenant in [ALPHA, BETA] {
        let mut call = fixture.call_in(tenant);
        for sku in ["A", "B", "C"] {
            call.insert("item", &format!(r#"{{"sku":"{sku}","name":"{tenant}"}}"#)).await.unwrap();
        }
        call.commit().await;
    }
    let sorted = r#"{"limit":1,"sort":["sku"]}"#;
    let first = fixture.call_in(ALPHA).query("item", "", sorted).await.unwrap();
    let page = format!(r#"{{"sort":["sku"],"cursor":{}}}"#, json(&first)["next_cursor"]);
    let answer = fixture.call_in(BETA).query("item", "", &page).await.unwrap();
    assert!(column(&answer, "name").iter().all(|name| name == BETA), "{answer}");
}
