//! Filters over declared fields and the host's own: what matches, and what is refused.

use crate::fixture::{Fixture, column};

/// Six things of different shapes: `code` names each, `F` has nothing else.
async fn things() -> Fixture {
    let fixture = Fixture::with_fields([
        ("amount", "type = \"decimal\"\nprecision = 8\nscale = 2"),
        ("code", "type = \"string\""),
        ("count", "type = \"integer\""),
        ("day", "type = \"date\""),
        ("extra", "type = \"json\""),
        ("flag", "type = \"boolean\""),
        ("name", "type = \"string\"\nindexed = true"),
        ("note", "type = \"text\""),
        ("ref", "type = \"uuid\""),
        ("scan", "type = \"file\""),
        ("state", "type = \"enum\"\noptions = [\"closed\", \"open\"]"),
        ("when", "type = \"datetime\""),
    ])
    .await;
    let id = "0198c0de-0000-7000-8000-00000000000";
    fixture
        .given(
            "thing",
            &[
                &format!(r#"{{"code":"A","name":"Chair","count":1,"amount":"1.50","flag":true,"state":"open","ref":"{id}a"}}"#),
                r#"{"code":"B","name":"Chest","count":2,"amount":"10","flag":false,"state":"closed","day":"2026-01-31"}"#,
                r#"{"code":"C","name":"chair","count":-3,"amount":"-2.25","note":"long text","extra":{"a":1}}"#,
                r#"{"code":"D","name":"Ci","count":"9007199254740993","scan":"s1","when":"2026-01-31T09:00:00Z"}"#,
                r#"{"code":"E","name":"","count":0,"note":"","day":"2025-12-31","when":"2026-01-31T08:59:59.999999Z"}"#,
                r#"{"code":"F"}"#,
            ],
        )
        .await;
    fixture
}

async fn check(fixture: &Fixture, cases: &[(&str, &str)]) {
    let mut call = fixture.call();
    for (filter, codes) in cases {
        let page = call.query("thing", filter, r#"{"sort":["code"]}"#).await;
        let found = column(&page.unwrap_or_else(|error| panic!("{filter}: {error}")), "code");
        let found: String = found.iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(found, *codes, "{filter}");
    }
}

#[tokio::test]
async fn comparisons_find_what_is_there_and_never_what_is_absent() {
    let things = things().await;
    check(
        &things,
        &[
            ("", "ABCDEF"),
            ("{}", "ABCDEF"),
            (" { } ", "ABCDEF"),
            (r#"{"name":"Chair"}"#, "A"),
            (r#"{"name":{"$eq":"Chair"}}"#, "A"),
            (r#"{"name":{"$ne":"Chair"}}"#, "BCDE"),
            (r#"{"name":""}"#, "E"),
            (r#"{"count":{"$lt":0}}"#, "C"),
            (r#"{"count":{"$lte":0}}"#, "CE"),
            (r#"{"count":{"$gt":1}}"#, "BD"),
            (r#"{"count":{"$gte":1,"$lt":2}}"#, "A"),
            (r#"{"count":"9007199254740993"}"#, "D"),
            (r#"{"count":9007199254740992}"#, ""),
            (r#"{"amount":1.5}"#, "A"),
            (r#"{"amount":"1.50"}"#, "A"),
            (r#"{"amount":{"$gt":"-3"}}"#, "ABC"),
            (r#"{"amount":{"$gt":9.99}}"#, "B"),
            (r#"{"flag":false}"#, "B"),
            (r#"{"flag":{"$gt":false}}"#, "A"),
            (r#"{"day":{"$lt":"2026-01-01"}}"#, "E"),
            (r#"{"when":{"$gte":"2026-01-31T10:00:00+01:00"}}"#, "D"),
            (r#"{"when":"2026-01-31T09:00:00Z"}"#, "D"),
            (r#"{"state":"open"}"#, "A"),
            (r#"{"state":{"$lt":"open"}}"#, "B"),
            (r#"{"ref":"0198C0DE-0000-7000-8000-00000000000A"}"#, "A"),
            (r#"{"note":{"$gte":"a"}}"#, "C"),
            (r#"{"scan":"s1"}"#, "D"),
        ],
    )
    .await;
}

#[tokio::test]
async fn null_means_absent_and_not_of_a_false_comparison_is_true() {
    let things = things().await;
    check(
        &things,
        &[
            (r#"{"name":null}"#, "F"),
            (r#"{"name":{"$eq":null}}"#, "F"),
            (r#"{"name":{"$ne":null}}"#, "ABCDE"),
            (r#"{"name":{"$not":null}}"#, "ABCDE"),
            (r#"{"extra":null}"#, "ABDEF"),
            (r#"{"extra":{"$ne":null}}"#, "C"),
            (r#"{"$not":{"name":"Chair"}}"#, "BCDEF"),
            (r#"{"name":{"$not":"Chair"}}"#, "BCDEF"),
            (r#"{"count":{"$not":{"$gt":0}}}"#, "CEF"),
            (r#"{"$not":{"$not":{"count":{"$gt":0}}}}"#, "ABD"),
            (r#"{"$not":{}}"#, ""),
            (r#"{"flag":{"$in":[true,null]}}"#, "ACDEF"),
            (r#"{"flag":{"$not":{"$in":[true,null]}}}"#, "B"),
            (r#"{"flag":{"$in":[null]}}"#, "CDEF"),
        ],
    )
    .await;
}

#[tokio::test]
async fn lists_prefixes_and_combinations() {
    let things = things().await;
    check(
        &things,
        &[
            (r#"{"code":{"$in":["A","D","D","nobody"]}}"#, "AD"),
            (r#"{"code":{"$in":[]}}"#, ""),
            (r#"{"code":{"$not":{"$in":[]}}}"#, "ABCDEF"),
            (r#"{"name":{"$prefix":"Ch"}}"#, "AB"),
            (r#"{"name":{"$prefix":"ch"}}"#, "C"),
            (r#"{"name":{"$prefix":""}}"#, "ABCDE"),
            (r#"{"name":{"$prefix":"%"}}"#, ""),
            (r#"{"name":{"$prefix":"C_a"}}"#, ""),
            (r#"{"state":{"$prefix":"o"}}"#, "A"),
            (r#"{"note":{"$prefix":"long"}}"#, "C"),
            (r#"{"$or":[{"code":"A"},{"count":2},{"code":"A"}]}"#, "AB"),
            (r#"{"$or":[]}"#, ""),
            (r#"{"$and":[]}"#, "ABCDEF"),
            (r#"{"$and":[{"count":{"$gt":0}},{"flag":true}]}"#, "A"),
            (r#"{"flag":false,"$or":[{"code":"A"},{"code":"B"}],"$not":{"code":"A"}}"#, "B"),
            (r#"{"$or":[{"$and":[{"code":"A"},{"code":"B"}]},{"$not":{"code":{"$in":["A","B","C","D"]}}}]}"#, "EF"),
            (r#"{"name":{}}"#, "ABCDEF"),
        ],
    )
    .await;
}

#[tokio::test]
async fn text_is_data_whatever_it_looks_like() {
    let fixture = Fixture::with_fields([("code", "type = \"string\"")]).await;
    let hostile = ["' OR '1'='1", "\"; --", "%", "_", "\\", "?1", "$.code", "名前", "a\u{1f600}b", "\n"];
    let rows = hostile.map(|text| serde_json::json!({ "code": text }).to_string());
    fixture.given("thing", &rows.each_ref().map(String::as_str)).await;
    for (text, row) in hostile.into_iter().zip(&rows) {
        for filter in [row.clone(), serde_json::json!({ "code": { "$prefix": text } }).to_string()] {
            let found = fixture.found("thing", &filter).await;
            assert_eq!(found.len(), 1, "{filter}");
            assert_eq!(found[0]["code"], text);
        }
    }
}

#[tokio::test]
async fn the_hosts_own_fields_can_be_asked_for() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    fixture.clock.advance(60);
    fixture.given("item", &[r#"{"sku":"B","name":"n"}"#]).await;
    let mut call = fixture.call();
    call.update("item", &id, "{}", 1).await.unwrap();
    call.commit().await;
    for (filter, skus) in [
        (format!(r#"{{"id":"{id}"}}"#), vec!["A"]),
        (format!(r#"{{"id":{{"$eq":"{id}"}}}}"#), vec!["A"]),
        (format!(r#"{{"id":"{id}","sku":"B"}}"#), vec![]),
        (format!(r#"{{"id":{{"$gt":"{id}"}}}}"#), vec!["B"]),
        (r#"{"id":null}"#.to_owned(), vec![]),
        (r#"{"version":2}"#.to_owned(), vec!["A"]),
        (r#"{"created_at":{"$lt":"2026-01-01T09:00:30Z"}}"#.to_owned(), vec!["A"]),
        (r#"{"updated_at":{"$lt":"2026-01-01T09:00:30Z"}}"#.to_owned(), vec![]),
        (r#"{"created_by":"anna"}"#.to_owned(), vec!["A", "B"]),
        (r#"{"updated_by":{"$prefix":"plugin:"}}"#.to_owned(), vec![]),
    ] {
        let page = fixture.call().query("item", &filter, r#"{"sort":["sku"]}"#).await.unwrap();
        assert_eq!(column(&page, "sku"), skus, "{filter}");
    }
}

#[tokio::test]
async fn what_is_no_filter_is_refused_with_the_reason() {
    let things = things().await;
    let mut call = things.call();
    let known = "known: $eq, $ne, $lt, $lte, $gt, $gte, $in, $prefix, $ieq, $iprefix, $not";
    for (filter, reason) in [
        ("[]", "filter must be an object such as {\"status\":\"open\"}, not \"[]\""),
        ("null", "filter must be an object such as {\"status\":\"open\"}, not \"null\""),
        (r#"{"$or":{}}"#, "filter $or must be an array of filters"),
        (r#"{"$and":"x"}"#, "filter $and must be an array of filters"),
        (r#"{"$not":[]}"#, "filter must be an object such as {\"status\":\"open\"}, not \"[]\""),
        (r#"{"$or":[1]}"#, "filter must be an object such as {\"status\":\"open\"}, not \"1\""),
        (r#"{"$nor":[]}"#, "filter has the unknown operator \"$nor\"; known here: $or, $and, $not"),
        (r#"{"$eq":1}"#, "filter has the unknown operator \"$eq\"; known here: $or, $and, $not"),
        (
            r#"{"count":{"$like":1}}"#,
            &format!("filter on \"count\" has the unknown operator \"$like\"; {known}"),
        ),
        (r#"{"count":{"gt":1}}"#, &format!("filter on \"count\" has the unknown operator \"gt\"; {known}")),
        (
            r#"{"count":{"$or":[]}}"#,
            &format!("filter on \"count\" has the unknown operator \"$or\"; {known}"),
        ),
        (r#"{"code":{"$in":"A"}}"#, "filter $in on \"code\" must be an array of values"),
        (r#"{"code":{"$prefix":1}}"#, "filter $prefix on \"code\" takes a string, on a text field"),
        (r#"{"count":{"$prefix":"1"}}"#, "filter $prefix on \"count\" takes a string, on a text field"),
        (r#"{"id":{"$prefix":"0"}}"#, "filter $prefix on \"id\" takes a string, on a text field"),
        (r#"{"count":{"$gt":null}}"#, "filter on \"count\" compares the order of null"),
        (r#"{"scan":{"$gt":"s"}}"#, "filter on \"scan\": its type has no order"),
        (
            r#"{"extra":{"$eq":1}}"#,
            "filter on \"extra\": the value cannot be compared: a json field can only be null or not",
        ),
    ] {
        assert_eq!(
            call.query("thing", filter, "").await,
            Err(format!("invalid-input: {reason}")),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn a_value_must_have_the_fields_type() {
    let things = things().await;
    let mut call = things.call();
    for (name, value, reason) in [
        ("count", r#""many""#, r#"must be a 64-bit integer, not "many""#),
        ("count", "1.5", r#"must be a 64-bit integer, not "1.5""#),
        ("amount", r#""1.234""#, "has 3 digits after the point, 2 are kept; round it first"),
        ("amount", "false", "must be a decimal, not false"),
        ("flag", "1", "must be a boolean, not 1"),
        ("flag", r#""true""#, r#"must be true or false, not the string "true""#),
        ("day", r#""2026-02-30""#, r#"must be a date such as 2026-01-31, not "2026-02-30""#),
        ("when", r#""2026-01-31""#, r#"must be a time such as 2026-01-31T09:30:00Z, not "2026-01-31""#),
        ("ref", r#""x""#, r#"must be a UUID such as 0198c0de-0000-7000-8000-000000000001, not "x""#),
        ("state", r#""lost""#, r#"must be one of closed, open, not "lost""#),
        ("code", "7", "must be a string, not 7"),
        ("code", "[]", "must be a string, not []"),
        ("created_at", r#""yesterday""#, r#"must be a time such as 2026-01-31T09:30:00Z, not "yesterday""#),
        ("version", r#""one""#, r#"must be a 64-bit integer, not "one""#),
    ] {
        let expected = Err(format!("invalid-input: filter on \"{name}\": the value {reason}"));
        for filter in
            [format!(r#"{{"{name}":{value}}}"#), format!(r#"{{"{name}":{{"$in":[null,{value}]}}}}"#)]
        {
            assert_eq!(call.query("thing", &filter, "").await, expected, "{filter}");
        }
    }
}

#[tokio::test]
async fn a_filter_has_at_most_500_values() {
    let things = things().await;
    let mut call = things.call();
    let among = |count: usize| serde_json::json!({ "code": { "$in": vec!["A"; count] } }).to_string();
    let any = |count: usize| {
        serde_json::json!({ "$or": vec![serde_json::json!({ "code": "A" }); count] }).to_string()
    };
    let refused = Err("invalid-input: filter has more than 500 values; split the query".to_owned());
    for filter in [among(500), any(500)] {
        assert_eq!(column(&call.query("thing", &filter, "").await.unwrap(), "code"), ["A"]);
    }
    for filter in [among(501), any(501)] {
        assert_eq!(call.query("thing", &filter, "").await, refused);
    }
}

#[tokio::test]
async fn a_filter_may_be_32_levels_deep() {
    let things = things().await;
    let nested = |levels: usize| {
        format!("{}{{\"code\":\"A\"}}{}", "{\"$not\":".repeat(levels - 1), "}".repeat(levels - 1))
    };
    check(&things, &[(&nested(32), "BCDEF"), (&nested(31), "A")]).await;
    assert_eq!(
        things.call().query("thing", &nested(33), "").await,
        Err("invalid-input: filter is nested more than 32 levels deep; flatten it".to_owned())
    );
}

#[tokio::test]
async fn a_filter_takes_a_decimal_as_an_insert_does() {
    let fixture = Fixture::with_fields([("field", "type = \"decimal\"\nprecision = 8\nscale = 0")]).await;
    fixture.given("thing", &[r#"{"field":100.0}"#]).await;
    for spelling in ["100", "100.0", "1e2", "\"100\""] {
        let found = fixture.found("thing", &format!(r#"{{"field":{spelling}}}"#)).await;
        assert_eq!(found.len(), 1, "{spelling}");
    }
}
