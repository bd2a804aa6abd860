//! Which part of the records, in which order.

use crate::fixture::{Fixture, column, items, json};

/// Records `1` to `7`; `3` and `5` have no rank, `1` and `4` the same one.
async fn ranked() -> Fixture {
    let fixture = Fixture::with_fields([("code", "type = \"string\""), ("rank", "type = \"integer\"")]).await;
    fixture
        .given(
            "thing",
            &[
                r#"{"code":"1","rank":20}"#,
                r#"{"code":"2","rank":-1}"#,
                r#"{"code":"3"}"#,
                r#"{"code":"4","rank":20}"#,
                r#"{"code":"5"}"#,
                r#"{"code":"6","rank":100}"#,
                r#"{"code":"7","rank":0}"#,
            ],
        )
        .await;
    fixture
}

fn codes(page: &str) -> String {
    column(page, "code").iter().map(|code| code.as_str().unwrap()).collect()
}

#[tokio::test]
async fn without_a_word_records_come_in_the_order_of_their_ids_fifty_at_a_time() {
    let fixture = Fixture::with_fields([("code", "type = \"string\"")]).await;
    fixture.given("thing", &["{}"; 51]).await;
    let mut call = fixture.call();
    for page in ["", "{}", r#"{"sort":[]}"#, r#"{"offset":0}"#, r#"{"page":1}"#] {
        let page = call.query("thing", "", page).await.unwrap();
        assert_eq!(items(&page).len(), 50);
        assert!(column(&page, "id").iter().map(|id| id.as_str().unwrap().to_owned()).is_sorted());
        assert!(json(&page)["next_cursor"].is_string());
        assert_eq!(json(&page).get("total"), None);
    }
    let all = call.query("thing", "", r#"{"limit":51}"#).await.unwrap();
    assert_eq!(items(&all).len(), 51);
    assert!(json(&all)["next_cursor"].is_null());
}

#[tokio::test]
async fn sorts_put_absent_values_last_and_ties_by_id_in_the_direction_of_the_last_key() {
    let fixture = ranked().await;
    let mut call = fixture.call();
    for (sort, order) in [
        (r#"["rank"]"#, "2714635"),
        (r#"["-rank"]"#, "6417253"),
        (r#"["rank","-code"]"#, "2741653"),
        (r#"["-rank","-code"]"#, "6417253"),
        (r#"["-rank","code"]"#, "6147235"),
        (r#"["-rank","-id"]"#, "6417253"),
        (r#"["-rank","id"]"#, "6147235"),
        (r#"["-code"]"#, "7654321"),
        (r#"["-id"]"#, "7654321"),
        (r#"["id","-rank"]"#, "1234567"),
        (r#"["-version","created_at","-updated_by","rank"]"#, "2714635"),
        (r#"["created_by","-updated_at","-code"]"#, "7654321"),
    ] {
        let page = call.query("thing", "", &format!(r#"{{"sort":{sort}}}"#)).await.unwrap();
        assert_eq!(codes(&page), order, "{sort}");
    }
}

#[tokio::test]
async fn text_sorts_by_code_point() {
    let fixture = Fixture::with_fields([("code", "type = \"string\"")]).await;
    let in_order = ["", "!", "10", "2", "A", "Z", "a", "a\u{308}", "z", "ä", "中", "\u{ffff}", "\u{1f600}"];
    let rows = in_order.map(|text| serde_json::json!({ "code": text }).to_string());
    let shuffled: Vec<&str> = [7, 3, 12, 0, 9, 5, 11, 1, 8, 2, 10, 6, 4].map(|at| rows[at].as_str()).to_vec();
    fixture.given("thing", &shuffled).await;
    let page = fixture.call().query("thing", "", r#"{"sort":["code"]}"#).await.unwrap();
    assert_eq!(column(&page, "code"), in_order);
}

#[tokio::test]
async fn every_ordered_type_sorts_by_value() {
    for (options, values) in [
        ("type = \"boolean\"", ["false", "true", "true"]),
        ("type = \"date\"", [r#""0999-12-31""#, r#""2025-12-31""#, r#""2026-01-01""#]),
        (
            "type = \"datetime\"",
            [r#""1969-01-01T00:00:00Z""#, r#""1970-01-01T00:00:00Z""#, r#""1970-01-01T00:00:00.000001Z""#],
        ),
        ("type = \"decimal\"\nprecision = 8\nscale = 2", [r#""-10.00""#, r#""-9.99""#, r#""2.00""#]),
        ("type = \"enum\"\noptions = [\"z\", \"b\", \"a\"]", [r#""a""#, r#""b""#, r#""z""#]),
        ("type = \"integer\"", ["-2", "10", r#""9007199254740993""#]),
        (
            "type = \"uuid\"",
            [
                r#""00000000-0000-0000-0000-0000000000ff""#,
                r#""0f000000-0000-0000-0000-000000000000""#,
                r#""f0000000-0000-0000-0000-000000000000""#,
            ],
        ),
    ] {
        let fixture = Fixture::with_fields([("field", options)]).await;
        let rows = [values[1], values[2], values[0]].map(|value| format!(r#"{{"field":{value}}}"#));
        fixture.given("thing", &rows.each_ref().map(String::as_str)).await;
        let mut call = fixture.call();
        let up = column(&call.query("thing", "", r#"{"sort":["field"]}"#).await.unwrap(), "field");
        let down = column(&call.query("thing", "", r#"{"sort":["-field","-id"]}"#).await.unwrap(), "field");
        let written = values.map(json);
        assert_eq!(
            up,
            written.map(|value| match value.as_str() {
                Some(time) if options.contains("datetime") && !time.contains('.') =>
                    time.replace('Z', ".000000Z").into(),
                _ => value,
            })
        );
        assert_eq!(down, up.into_iter().rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn both_spellings_of_a_numbered_page_mean_the_same() {
    let fixture = ranked().await;
    let mut call = fixture.call();
    for (page, order) in [
        (r#"{"limit":3,"offset":0}"#, "123"),
        (r#"{"limit":3,"offset":3}"#, "456"),
        (r#"{"limit":3,"offset":6}"#, "7"),
        (r#"{"limit":3,"offset":7}"#, ""),
        (r#"{"limit":3,"offset":9223372036854775807}"#, ""),
        (r#"{"page_size":3}"#, "123"),
        (r#"{"page":1,"page_size":3}"#, "123"),
        (r#"{"page":2,"page_size":3}"#, "456"),
        (r#"{"page":2,"limit":3}"#, "456"),
        (r#"{"page":3,"page_size":3}"#, "7"),
        (r#"{"page":4,"page_size":3}"#, ""),
        (r#"{"limit":null,"offset":null,"page":null,"sort":null,"cursor":null}"#, "1234567"),
    ] {
        assert_eq!(codes(&call.query("thing", "", page).await.unwrap()), order, "{page}");
    }
}

#[tokio::test]
async fn the_total_is_of_all_that_match_and_only_given_when_asked_for() {
    let fixture = ranked().await;
    let mut call = fixture.call();
    for (filter, page, total) in [
        ("", r#"{"total":true}"#, 7),
        ("", r#"{"total":true,"limit":2,"offset":5}"#, 7),
        (r#"{"rank":{"$gte":20}}"#, r#"{"total":true,"limit":1}"#, 3),
        (r#"{"code":"none"}"#, r#"{"total":true}"#, 0),
    ] {
        assert_eq!(
            json(&call.query("thing", filter, page).await.unwrap())["total"],
            total,
            "{filter} {page}"
        );
    }
    let without = call.query("thing", "", r#"{"total":false}"#).await.unwrap();
    assert_eq!(json(&without).get("total"), None);
    let last = call.query("thing", "", r#"{"limit":7,"total":true}"#).await.unwrap();
    assert!(last.ends_with(r#"],"next_cursor":null,"total":7}"#), "{last}");
}

#[tokio::test]
async fn a_page_beyond_its_bounds_is_refused() {
    let fixture = ranked().await;
    let mut call = fixture.call();
    for limit in ["1", "1000"] {
        call.query("thing", "", &format!(r#"{{"limit":{limit}}}"#)).await.unwrap();
    }
    let one_start = "page: give only one of cursor, offset and page";
    for (page, reason) in [
        (r#"{"limit":0}"#, "page: limit must be 1 to 1000, not 0; use the cursor for more"),
        (r#"{"limit":1001}"#, "page: limit must be 1 to 1000, not 1001; use the cursor for more"),
        (r#"{"page_size":1001}"#, "page: limit must be 1 to 1000, not 1001; use the cursor for more"),
        (r#"{"limit":4294967297}"#, "page: limit must be 1 to 1000, not 4294967297; use the cursor for more"),
        (r#"{"limit":5,"page_size":5}"#, "page: give only one of limit and page_size"),
        (r#"{"cursor":"x","offset":0}"#, one_start),
        (r#"{"cursor":"x","page":1}"#, one_start),
        (r#"{"offset":0,"page":1}"#, one_start),
        (r#"{"page":0}"#, "page: page is counted from 1"),
        (
            r#"{"page":9223372036854775807,"page_size":1000}"#,
            "page: offset 18446744073709551615 is beyond every record; use the cursor",
        ),
        (
            r#"{"offset":9223372036854775808}"#,
            "page: an integer has more than 64 bits; write it as a string at line 1 column 29",
        ),
        (r#"{"limit":-1}"#, "page: invalid value: integer `-1`, expected u64 at line 1 column 11"),
        (r#"{"limit":"5"}"#, "page: invalid type: string \"5\", expected u64 at line 1 column 12"),
        (r#"{"limit":1.5}"#, "page: invalid type: floating point `1.5`, expected u64 at line 1 column 12"),
        (
            r#"{"size":5}"#,
            "page: unknown field `size`, expected one of `limit`, `sort`, `cursor`, `offset`, `page`, `page_size`, \
             `total` at line 1 column 7",
        ),
        (
            r#"{"sort":"code"}"#,
            "page: invalid type: string \"code\", expected a sequence at line 1 column 14",
        ),
    ] {
        assert_eq!(call.query("thing", "", page).await, Err(format!("invalid-input: {reason}")), "{page}");
    }
}

#[tokio::test]
async fn a_sort_names_fields_that_have_an_order_once_each() {
    let fixture = Fixture::with_fields([
        ("a", "type = \"string\""),
        ("b", "type = \"string\""),
        ("c", "type = \"string\""),
        ("d", "type = \"string\""),
        ("doc", "type = \"json\""),
        ("long", "type = \"text\""),
        ("scan", "type = \"file\""),
    ])
    .await;
    let mut call = fixture.call();
    call.query("thing", "", r#"{"sort":["a","-b","c","-d"]}"#).await.unwrap();
    let fields = "of inventory.thing; its fields: a, b, c, d, doc, long, scan";
    for (sort, reason) in [
        (r#"["a","b","c","d","id"]"#, "page: sort has 5 fields, 4 are allowed"),
        (r#"["a","-a"]"#, "page: sort names \"a\" twice"),
        (r#"["id","-id"]"#, "page: sort names \"id\" twice"),
        (r#"["doc"]"#, "page: sort by \"doc\": a json field has no order"),
        (r#"["-long"]"#, "page: sort by \"long\": a text field has no order"),
        (r#"["scan"]"#, "page: sort by \"scan\": a file field has no order"),
        (r#"["--a"]"#, &format!("unknown field \"-a\" {fields}")),
        (r#"["+a"]"#, &format!("unknown field \"+a\" {fields}")),
        (r#"["-"]"#, &format!("unknown field \"\" {fields}")),
        (r#"["a DESC"]"#, &format!("unknown field \"a DESC\" {fields}")),
    ] {
        let page = format!(r#"{{"sort":{sort}}}"#);
        assert_eq!(call.query("thing", "", &page).await, Err(format!("invalid-input: {reason}")), "{sort}");
    }
}
