//! Counts and figures, to the digit.

use erp_plugin_model::Limits;

use crate::dynamic::Dynamic;
use crate::fixture::{BETA, Fixture, json};

async fn orders() -> Fixture {
    let fixture = Fixture::with_fields([
        ("amount", "type = \"decimal\"\nprecision = 18\nscale = 2"),
        ("note", "type = \"text\""),
        ("more", "type = \"json\""),
        ("day", "type = \"date\""),
        ("pieces", "type = \"integer\""),
        ("status", "type = \"string\"\nindexed = true"),
    ])
    .await;
    let rows = [
        r#"{"status":"open","amount":"10.00","pieces":1,"day":"2026-01-31"}"#,
        r#"{"status":"open","amount":"2.50","pieces":2,"day":"2025-12-31"}"#,
        r#"{"status":"open","pieces":4}"#,
        r#"{"status":"done","amount":"-0.05"}"#,
        r#"{"amount":"7.00","pieces":9007199254740993}"#,
    ];
    fixture.given("thing", &rows).await;
    let mut theirs = fixture.call_in(BETA);
    theirs.insert("thing", r#"{"status":"open","amount":"1000.00"}"#).await.unwrap();
    theirs.commit().await;
    fixture
}

#[tokio::test]
async fn a_count_is_of_the_tenants_records_that_match() {
    let fixture = orders().await;
    let mut call = fixture.call();
    assert_eq!(call.count("thing", "").await, Ok(5));
    assert_eq!(call.count("thing", r#"{"status":"open"}"#).await, Ok(3));
    assert_eq!(call.count("thing", r#"{"status":null}"#).await, Ok(1));
    let error = call.count("thing", r#"{"state":"open"}"#).await.unwrap_err();
    assert!(error.starts_with("invalid-input: unknown field \"state\""), "{error}");
}

#[tokio::test]
async fn figures_are_exact_by_group_with_absent_keys_last() {
    let fixture = orders().await;
    let spec = r#"{"group_by":["status"],"figures":{"total":{"sum":"amount"},"n":{"count":true},
        "low":{"min":"amount"},"high":{"max":"amount"},"mean":{"avg":"amount"},"of":{"sum":"pieces"},"first":{"min":"day"}}}"#;
    let answer = fixture.call().aggregate("thing", "", spec).await.unwrap();
    assert_eq!(
        answer,
        concat!(
            r#"{"groups":["#,
            r#"{"status":"done","first":null,"high":"-0.05","low":"-0.05","mean":"-0.05000000","n":1,"of":0,"total":"-0.05"},"#,
            r#"{"status":"open","first":"2025-12-31","high":"10.00","low":"2.50","mean":"6.25000000","n":3,"of":7,"total":"12.50"},"#,
            r#"{"status":null,"first":null,"high":"7.00","low":"7.00","mean":"7.00000000","n":1,"of":"9007199254740993","total":"7.00"}"#,
            r#"],"has_more":false}"#
        )
    );
}

#[tokio::test]
async fn without_groups_there_is_one_also_of_no_records() {
    let fixture = orders().await;
    let mut call = fixture.call();
    let spec = r#"{"figures":{"n":{"count":true},"total":{"sum":"amount"},"mean":{"avg":"pieces"},"low":{"min":"status"}}}"#;
    assert_eq!(
        call.aggregate("thing", r#"{"status":"open"}"#, spec).await.unwrap(),
        r#"{"groups":[{"low":"open","mean":"2.333333","n":3,"total":"12.50"}],"has_more":false}"#
    );
    assert_eq!(
        call.aggregate("thing", r#"{"status":"none"}"#, spec).await.unwrap(),
        r#"{"groups":[{"low":null,"mean":null,"n":0,"total":"0.00"}],"has_more":false}"#
    );
    let grouped = r#"{"group_by":["day"],"figures":{"n":{"count":true}}}"#;
    assert_eq!(
        call.aggregate("thing", r#"{"status":"none"}"#, grouped).await.unwrap(),
        r#"{"groups":[],"has_more":false}"#
    );
}

#[tokio::test]
async fn sums_are_wider_than_the_fields() {
    let fixture = Fixture::with_fields([
        ("n", "type = \"integer\""),
        ("price", "type = \"decimal\"\nprecision = 18\nscale = 4"),
    ])
    .await;
    let row = r#"{"n":"9223372036854775807","price":"99999999999999.9999"}"#;
    fixture.given("thing", &[row; 3]).await;
    let spec = r#"{"figures":{"n":{"sum":"n"},"mean":{"avg":"n"},"price":{"sum":"price"}}}"#;
    assert_eq!(
        fixture.call().aggregate("thing", "", spec).await.unwrap(),
        concat!(
            r#"{"groups":[{"mean":"9223372036854775807.000000","n":"27670116110564327421","#,
            r#""price":"299999999999999.9997"}],"has_more":false}"#
        )
    );
}

#[tokio::test]
async fn the_hosts_own_fields_can_be_grouped_by_also_of_dynamic_entities() {
    let fixture = orders().await;
    let spec =
        r#"{"group_by":["created_by","version"],"figures":{"n":{"count":true},"last":{"max":"updated_at"}}}"#;
    assert_eq!(
        fixture.call().aggregate("thing", "", spec).await.unwrap(),
        r#"{"groups":[{"created_by":"anna","version":1,"last":"2026-01-01T09:00:00.000000Z","n":5}],"has_more":false}"#
    );
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    call.insert("note", r#"{"a":1}"#).await.unwrap();
    let counts = r#"{"group_by":["created_by"],"figures":{"n":{"count":true}}}"#;
    assert_eq!(
        call.aggregate("note", r#"{"a":1}"#, counts).await.unwrap(),
        r#"{"groups":[{"created_by":"anna","n":1}],"has_more":false}"#
    );
    for spec in [r#"{"group_by":["a"],"figures":{"n":{"count":true}}}"#, r#"{"figures":{"n":{"sum":"a"}}}"#] {
        let error = call.aggregate("note", "", spec).await.unwrap_err();
        assert!(error.contains("of a dynamic entity only counts can be had"), "{error}");
        assert!(error.ends_with("declare the field in plugin.toml"), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_computed_is_refused_with_the_way_out() {
    let fixture = orders().await;
    let mut call = fixture.call();
    for (spec, reason) in [
        ("", "aggregate is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{}", "aggregate: figures has 0 entries, it takes 1 to 16, such as {\"n\":{\"count\":true}}"),
        (
            r#"{"figures":{"n":{"median":"pieces"}}}"#,
            "aggregate: the figure \"n\" must be one of {\"count\":true}, {\"sum\":\"field\"}, {\"avg\":\"field\"}, \
             {\"min\":\"field\"} and {\"max\":\"field\"}, not \"{\\\"median\\\":\\\"pieces\\\"}\"",
        ),
        (
            r#"{"figures":{"n":{"sum":"status"}}}"#,
            "aggregate: n adds up \"status\", a string field; only integer and decimal fields can be",
        ),
        (
            r#"{"figures":{"n":{"max":"more"}}}"#,
            "aggregate: n names \"more\": a json field has no order; use a string or another type",
        ),
        (
            r#"{"group_by":["note"],"figures":{"n":{"count":true}}}"#,
            "aggregate: group_by names \"note\": a text field has no order; use a string or another type",
        ),
        (
            r#"{"group_by":["day","day"],"figures":{"n":{"count":true}}}"#,
            "aggregate: group_by names \"day\" twice",
        ),
        (
            r#"{"group_by":["day","status","pieces"],"figures":{"n":{"count":true}}}"#,
            "aggregate: group_by has 3 fields, 2 are allowed; group the rest in the plugin",
        ),
        (
            r#"{"group_by":["day"],"figures":{"day":{"count":true}}}"#,
            "aggregate: \"day\" is a figure and a field to group by; call the figure something else",
        ),
        (
            r#"{"figures":{"N!":{"count":true}}}"#,
            "aggregate: the figure \"N!\" must have a name like a field's: a-z, 0-9 and _, at most 30",
        ),
        (
            r#"{"figures":{"n":{"count":true}},"limit":1001}"#,
            "aggregate: limit must be 1 to 1000, not 1001; narrow the filter for more groups",
        ),
    ] {
        assert_eq!(
            call.aggregate("thing", "", spec).await,
            Err(format!("invalid-input: {reason}")),
            "{spec}"
        );
    }
}

#[tokio::test]
async fn groups_are_bounded_and_each_is_a_record_read() {
    let fixture = orders().await;
    let spec = |limit: u32| {
        format!(r#"{{"group_by":["amount"],"figures":{{"n":{{"count":true}}}},"limit":{limit}}}"#)
    };
    let mut call = fixture.call();
    let answer = json(&call.aggregate("thing", "", &spec(2)).await.unwrap());
    assert_eq!((answer["groups"].as_array().unwrap().len(), &answer["has_more"]), (2, &true.into()));
    assert_eq!(call.budget().used().rows_read, 2);
    drop(call);
    let mut call = fixture.limited(Limits { rows_read: 3, ..Limits::default() });
    call.aggregate("thing", "", &spec(3)).await.unwrap();
    let error = call.aggregate("thing", "", &spec(1)).await.unwrap_err();
    assert!(error.starts_with("limit-exceeded: rows-read"), "{error}");
    drop(call);
    let mut call = fixture.limited(Limits { rows_read: 3, ..Limits::default() });
    let error = call.aggregate("thing", "", &spec(10)).await.unwrap_err();
    assert!(error.starts_with("limit-exceeded: rows-read (records read): 4 used, 3 allowed"), "{error}");
}
