//! What a field asks of its values beside their type.

use crate::fixture::{Fixture, id_of, json};

/// Tries each value by an insert and by an update; `None` is one that is taken.
async fn judged(options: &str, cases: &[(&str, Option<&str>)]) {
    let fixture = Fixture::with_fields([("field", options)]).await;
    for (input, refusal) in cases {
        let mut call = fixture.call();
        let id = id_of(&call.insert("thing", "{}").await.unwrap());
        let data = format!(r#"{{"field":{input}}}"#);
        let inserted = call.insert("thing", &data).await;
        let updated = call.update("thing", &id, &data, 1).await;
        match refusal {
            None => assert!(inserted.is_ok() && updated.is_ok(), "{input}: {inserted:?} {updated:?}"),
            Some(reason) => {
                let expected = Err(format!("invalid-input: field \"field\" {reason}"));
                assert_eq!((inserted, updated), (expected.clone(), expected), "{input}");
            }
        }
    }
}

#[tokio::test]
async fn a_required_field_without_a_default_must_be_there() {
    let fixture = Fixture::with_fields([
        ("defaulted", "type = \"string\"\nrequired = true\ndefault = \"given\""),
        ("needed", "type = \"string\"\nrequired = true"),
    ])
    .await;
    let mut call = fixture.call();
    for data in ["{}", r#"{"needed":null}"#, r#"{"defaulted":"here"}"#] {
        let refused = "invalid-input: field \"needed\" is required".to_owned();
        assert_eq!(call.insert("thing", data).await, Err(refused), "{data}");
    }
    for data in [r#"{"needed":""}"#, r#"{"needed":"x","defaulted":null}"#] {
        let record = json(&call.insert("thing", data).await.unwrap());
        assert_eq!(record["defaulted"], "given", "{data}");
    }
}

#[tokio::test]
async fn every_type_can_have_a_default() {
    let fixture = Fixture::with_fields([
        ("boolean", "type = \"boolean\"\ndefault = true"),
        ("date", "type = \"date\"\ndefault = \"2026-01-31\""),
        ("datetime", "type = \"datetime\"\ndefault = \"2026-01-31T09:00:00+01:00\""),
        ("decimal", "type = \"decimal\"\nprecision = 8\nscale = 2\ndefault = \"1.5\""),
        ("enum", "type = \"enum\"\noptions = [\"open\", \"closed\"]\ndefault = \"open\""),
        ("integer", "type = \"integer\"\ndefault = -3"),
        ("json", "type = \"json\"\ndefault = [1, 2]"),
        ("string", "type = \"string\"\ndefault = \"\""),
        ("text", "type = \"text\"\ndefault = \"none\""),
        ("uuid", "type = \"uuid\"\ndefault = \"0198c0de-0000-7000-8000-00000000000a\""),
    ])
    .await;
    let record = fixture.call().insert("thing", "{}").await.unwrap();
    let end = concat!(
        r#""boolean":true,"date":"2026-01-31","datetime":"2026-01-31T08:00:00.000000Z","decimal":"1.50","#,
        r#""enum":"open","integer":-3,"json":[1,2],"string":"","text":"none","#,
        r#""uuid":"0198c0de-0000-7000-8000-00000000000a"}"#
    );
    assert!(record.ends_with(end), "{record}");
}

#[tokio::test]
async fn integers_stay_within_min_and_max() {
    judged(
        "type = \"integer\"\nmin = -5\nmax = 10",
        &[
            ("-5", None),
            ("10", None),
            ("null", None),
            ("-6", Some("must be at least -5")),
            (r#""11""#, Some("must be at most 10")),
            ("9223372036854775807", Some("must be at most 10")),
        ],
    )
    .await;
}

#[tokio::test]
async fn decimals_stay_within_min_and_max() {
    judged(
        "type = \"decimal\"\nprecision = 8\nscale = 2\nmin = \"0.01\"\nmax = 99.5",
        &[
            (r#""0.01""#, None),
            ("99.50", None),
            ("0", Some(r#"must be at least "0.01""#)),
            (r#""-1""#, Some(r#"must be at least "0.01""#)),
            (r#""99.51""#, Some(r#"must be at most "99.50""#)),
        ],
    )
    .await;
}

#[tokio::test]
async fn days_and_moments_stay_within_min_and_max() {
    judged(
        "type = \"date\"\nmin = \"2026-01-01\"\nmax = \"2026-12-31\"",
        &[
            (r#""2026-01-01""#, None),
            (r#""2026-12-31""#, None),
            (r#""2025-12-31""#, Some(r#"must be at least "2026-01-01""#)),
            (r#""2027-01-01""#, Some(r#"must be at most "2026-12-31""#)),
        ],
    )
    .await;
    judged(
        "type = \"datetime\"\nmin = \"2026-01-01T00:00:00Z\"",
        &[
            (r#""2026-01-01T08:00:00+08:00""#, None),
            (
                r#""2026-01-01T07:59:59.999999+08:00""#,
                Some(r#"must be at least "2026-01-01T00:00:00.000000Z""#),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_length_is_counted_in_characters() {
    for of in ["string", "text"] {
        judged(
            &format!("type = \"{of}\"\nmax-length = 3"),
            &[
                (r#""abc""#, None),
                (r#""库存足""#, None),
                (r#""𝄞𝄞𝄞""#, None),
                (r#""""#, None),
                (r#""abcd""#, Some("has 4 characters, 3 are allowed")),
                (r#""a\u0308bc""#, Some("has 4 characters, 3 are allowed")),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_pattern_is_of_the_whole_text() {
    judged(
        "type = \"string\"\npattern = \"[A-Z]{2}-[0-9]+|none\"",
        &[
            (r#""AB-12""#, None),
            (r#""none""#, None),
            (r#""ab-12""#, Some(r#"must match [A-Z]{2}-[0-9]+|none, not "ab-12""#)),
            (r#""AB-12\n""#, Some(r#"must match [A-Z]{2}-[0-9]+|none, not "AB-12\n""#)),
            (r#""xnone""#, Some(r#"must match [A-Z]{2}-[0-9]+|none, not "xnone""#)),
            (r#""""#, Some(r#"must match [A-Z]{2}-[0-9]+|none, not """#)),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_length_is_checked_before_the_pattern() {
    judged(
        "type = \"string\"\nmax-length = 2\npattern = \"a+\"",
        &[(r#""aa""#, None), (r#""bbb""#, Some("has 3 characters, 2 are allowed"))],
    )
    .await;
}
