//! Each field type on the wire: what goes in, what comes back, and what is refused with which words.

use serde_json::Value as Json;

use crate::fixture::{Fixture, id_of, json};

/// Writes each value by an insert and by an update, and expects it back from both and from a query.
async fn round_trips(options: &str, cases: &[(&str, &str)]) {
    let fixture = Fixture::with_fields([("field", options)]).await;
    for (input, output) in cases {
        let data = format!(r#"{{"field":{input}}}"#);
        let end = format!(r#","field":{output}}}"#);
        let mut call = fixture.call();
        let inserted = call.insert("thing", &data).await.unwrap();
        assert!(inserted.ends_with(&end), "{input}: {inserted}");
        let id = id_of(&inserted);
        let found = call.query("thing", &format!(r#"{{"id":"{id}"}}"#), "").await.unwrap();
        assert_eq!(found, format!(r#"{{"items":[{inserted}],"next_cursor":null}}"#));
        call.update("thing", &id, r#"{"field":null}"#, 1).await.unwrap();
        let updated = call.update("thing", &id, &data, 2).await.unwrap();
        assert!(updated.ends_with(&end), "{input}: {updated}");
    }
}

/// Expects each value to be refused, by an insert and by an update alike.
async fn refusals(options: &str, cases: &[(&str, &str)]) {
    let fixture = Fixture::with_fields([("field", options)]).await;
    let id = fixture.given("thing", &["{}"]).await.remove(0);
    let mut call = fixture.call();
    for (input, reason) in cases {
        let data = format!(r#"{{"field":{input}}}"#);
        let space = if reason.starts_with(':') { "" } else { " " };
        let expected = Err(format!("invalid-input: field \"field\"{space}{reason}"));
        assert_eq!(call.insert("thing", &data).await, expected, "insert {input}");
        assert_eq!(call.update("thing", &id, &data, 1).await, expected, "update {input}");
    }
}

const NUL: &str = "has a NUL character, which cannot be kept";

#[tokio::test]
async fn strings_and_texts_keep_every_character_but_nul() {
    for options in ["type = \"string\"", "type = \"text\"", "type = \"file\""] {
        round_trips(
            options,
            &[
                (r#""""#, r#""""#),
                (r#"" spaced ""#, r#"" spaced ""#),
                (r#""库存 ✓ 𝄞""#, r#""库存 ✓ 𝄞""#),
                (r#""\u5e93\u5b58 \ud834\udd1e""#, r#""库存 𝄞""#),
                (r#""a\"b\\c\/d\n\t""#, r#""a\"b\\c/d\n\t""#),
                (r#""\u0001\u001f\u007f""#, "\"\\u0001\\u001f\u{7f}\""),
                (
                    r#""Robert'); DROP TABLE inventory__thing; --""#,
                    r#""Robert'); DROP TABLE inventory__thing; --""#,
                ),
                (r#""null""#, r#""null""#),
            ],
        )
        .await;
        refusals(options, &[(r#""\u0000""#, NUL), (r#""a\u0000b""#, NUL)]).await;
    }
    refusals(
        "type = \"string\"",
        &[
            ("1", "must be a string, not 1"),
            ("-1", "must be a string, not -1"),
            ("1.5", "must be a string, not 1.5"),
            ("true", "must be a string, not true"),
            (r#"["a"]"#, "must be a string, not an array"),
            (r#"{"a":1}"#, "must be a string, not an object"),
        ],
    )
    .await;
    refusals("type = \"text\"", &[("1", "must be a text, not 1")]).await;
}

#[tokio::test]
async fn a_text_has_any_length_and_a_string_255_characters_unless_told_otherwise() {
    let long = format!("\"{}\"", "ä".repeat(100_000));
    round_trips("type = \"text\"", &[(&long, &long)]).await;
    let (most, more) = (format!("\"{}\"", "ä".repeat(255)), format!("\"{}\"", "ä".repeat(256)));
    round_trips("type = \"string\"", &[(&most, &most)]).await;
    refusals("type = \"string\"", &[(&more, "has 256 characters, 255 are allowed")]).await;
}

#[tokio::test]
async fn integers_have_64_bits_and_are_strings_beyond_2_to_the_53() {
    round_trips(
        "type = \"integer\"",
        &[
            ("0", "0"),
            ("-7", "-7"),
            (r#""7""#, "7"),
            ("9007199254740991", "9007199254740991"),
            ("9007199254740992", "9007199254740992"),
            ("9007199254740993", r#""9007199254740993""#),
            (r#""9007199254740993""#, r#""9007199254740993""#),
            ("-9007199254740992", "-9007199254740992"),
            ("-9007199254740993", r#""-9007199254740993""#),
            ("9223372036854775807", r#""9223372036854775807""#),
            (r#""-9223372036854775808""#, r#""-9223372036854775808""#),
        ],
    )
    .await;
    let wrong = |shown: &str| format!("must be a 64-bit integer, not {shown}");
    refusals(
        "type = \"integer\"",
        &[
            ("1.5", &wrong("1.5")),
            ("9223372036854775808", &wrong("9223372036854775808")),
            (r#""9223372036854775808""#, &wrong(r#""9223372036854775808""#)),
            (r#""""#, &wrong(r#""""#)),
            (r#"" 7""#, &wrong(r#"" 7""#)),
            (r#""0x7""#, &wrong(r#""0x7""#)),
            (r#""7.0""#, &wrong(r#""7.0""#)),
            ("false", &wrong("false")),
            ("[]", &wrong("an array")),
        ],
    )
    .await;
}

#[tokio::test]
async fn decimals_are_exact_and_come_back_with_their_whole_scale() {
    round_trips(
        "type = \"decimal\"\nprecision = 8\nscale = 2",
        &[
            (r#""12.5""#, r#""12.50""#),
            (r#""-0.01""#, r#""-0.01""#),
            (r#""-0""#, r#""0.00""#),
            (r#""007""#, r#""7.00""#),
            (r#""999999.99""#, r#""999999.99""#),
            ("12", r#""12.00""#),
            ("-12", r#""-12.00""#),
            ("0.1", r#""0.10""#),
            ("1.10", r#""1.10""#),
            ("1e2", r#""100.00""#),
            ("999999.99", r#""999999.99""#),
        ],
    )
    .await;
    let form = |shown: &str| format!("must be a decimal such as \"-12.50\", not {shown}");
    let large = |shown: &str| format!("has more than 6 digits before the point: {shown}");
    refusals(
        "type = \"decimal\"\nprecision = 8\nscale = 2",
        &[
            (r#""1.234""#, "has 3 digits after the point, 2 are kept; round it first"),
            (r#""1.100""#, "has 3 digits after the point, 2 are kept; round it first"),
            ("1.234", "has 3 digits after the point, 2 are kept; round it first"),
            (r#""1000000""#, &large(r#""1000000""#)),
            ("1000000", &large(r#""1000000""#)),
            ("-1000000", &large(r#""-1000000""#)),
            (r#""99999999999999999999999""#, &large(r#""99999999999999999999999""#)),
            (r#""""#, &form(r#""""#)),
            (r#"".5""#, &form(r#"".5""#)),
            (r#""5.""#, &form(r#""5.""#)),
            (r#""+1""#, &form(r#""+1""#)),
            (r#""1,5""#, &form(r#""1,5""#)),
            (r#""1e2""#, &form(r#""1e2""#)),
            (r#""NaN""#, &form(r#""NaN""#)),
            ("true", "must be a decimal with at most 2 digits after the point, not true"),
            ("{}", "must be a decimal with at most 2 digits after the point, not an object"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_decimal_of_18_digits_loses_none_and_a_float_that_could_is_refused() {
    round_trips(
        "type = \"decimal\"\nprecision = 18\nscale = 0",
        &[
            (r#""999999999999999999""#, r#""999999999999999999""#),
            ("-999999999999999999", r#""-999999999999999999""#),
        ],
    )
    .await;
    round_trips(
        "type = \"decimal\"\nprecision = 18\nscale = 18",
        &[(r#""0.000000000000000001""#, r#""0.000000000000000001""#)],
    )
    .await;
    refusals(
        "type = \"decimal\"\nprecision = 18\nscale = 4",
        &[(
            "123456789012.3456",
            "has more digits than a JSON number keeps; write it as a string, not 123456789012.3456",
        )],
    )
    .await;
}

#[tokio::test]
async fn booleans_are_true_and_false_and_nothing_like_them() {
    round_trips("type = \"boolean\"", &[("true", "true"), ("false", "false")]).await;
    refusals(
        "type = \"boolean\"",
        &[
            ("0", "must be true or false, not 0"),
            ("1", "must be true or false, not 1"),
            (r#""true""#, "must be true or false, not the string \"true\""),
            ("[]", "must be true or false, not an array"),
        ],
    )
    .await;
}

#[tokio::test]
async fn dates_are_days_of_the_years_1_to_9999() {
    round_trips(
        "type = \"date\"",
        &[
            (r#""2026-01-31""#, r#""2026-01-31""#),
            (r#""2024-02-29""#, r#""2024-02-29""#),
            (r#""0001-01-01""#, r#""0001-01-01""#),
            (r#""9999-12-31""#, r#""9999-12-31""#),
        ],
    )
    .await;
    let wrong =
        |text: &str| (format!("\"{text}\""), format!("must be a date such as 2026-01-31, not \"{text}\""));
    let cases = ["2026-02-29", "2026-1-3", "0000-12-31", "10000-01-01", "2026-01-31T00:00:00Z", "today", ""]
        .map(wrong);
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(input, reason)| (input.as_str(), reason.as_str())).collect();
    refusals("type = \"date\"", &cases).await;
    refusals("type = \"date\"", &[("20260131", "must be a date, not 20260131")]).await;
}

#[tokio::test]
async fn datetimes_come_back_in_utc_to_the_microsecond() {
    round_trips(
        "type = \"datetime\"",
        &[
            (r#""2026-01-31T09:30:00Z""#, r#""2026-01-31T09:30:00.000000Z""#),
            (r#""2026-01-31T09:30:00+08:00""#, r#""2026-01-31T01:30:00.000000Z""#),
            (r#""2025-12-31T23:30:00-01:00""#, r#""2026-01-01T00:30:00.000000Z""#),
            (r#""2026-01-31T09:30:00.1Z""#, r#""2026-01-31T09:30:00.100000Z""#),
            (r#""2026-01-31T09:30:00.123456789Z""#, r#""2026-01-31T09:30:00.123456Z""#),
            (r#""1969-12-31T23:59:59.9999999Z""#, r#""1969-12-31T23:59:59.999999Z""#),
            (r#""2016-12-31T23:59:60Z""#, r#""2017-01-01T00:00:00.000000Z""#),
            (r#""0001-01-01T00:00:00Z""#, r#""0001-01-01T00:00:00.000000Z""#),
            (r#""9999-12-31T23:59:59.999999Z""#, r#""9999-12-31T23:59:59.999999Z""#),
        ],
    )
    .await;
    let wrong = |text: &str| {
        (format!("\"{text}\""), format!("must be a time such as 2026-01-31T09:30:00Z, not \"{text}\""))
    };
    let cases = [
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31T24:00:00Z",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:30:00+01:00",
        "9999-12-31T23:30:00-01:00",
        "now",
        "",
    ]
    .map(wrong);
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(input, reason)| (input.as_str(), reason.as_str())).collect();
    refusals("type = \"datetime\"", &cases).await;
    refusals("type = \"datetime\"", &[("1769851800", "must be a datetime, not 1769851800")]).await;
}

#[tokio::test]
async fn uuids_have_one_spelling() {
    let id = "0198c0de-0000-7000-8000-00000000000a";
    round_trips(
        "type = \"uuid\"",
        &[
            (&format!("\"{id}\""), &format!("\"{id}\"")),
            (&format!("\"{}\"", id.to_uppercase()), &format!("\"{id}\"")),
            (r#""00000000-0000-0000-0000-000000000000""#, r#""00000000-0000-0000-0000-000000000000""#),
        ],
    )
    .await;
    let wrong = |text: &str| {
        let reason = format!("must be a UUID such as 0198c0de-0000-7000-8000-000000000001, not \"{text}\"");
        (format!("\"{text}\""), reason)
    };
    let cases = [
        "",
        "x",
        "0198c0de00007000800000000000000a",
        "{0198c0de-0000-7000-8000-00000000000a}",
        "urn:uuid:0198c0de-0000-7000-8000-00000000000a",
        "0198c0de-0000-7000-8000-00000000000g",
    ]
    .map(wrong);
    let cases: Vec<(&str, &str)> =
        cases.iter().map(|(input, reason)| (input.as_str(), reason.as_str())).collect();
    refusals("type = \"uuid\"", &cases).await;
    refusals("type = \"reference\"\nentity = \"thing\"", &cases).await;
    refusals("type = \"uuid\"", &[("7", "must be a uuid, not 7")]).await;
    refusals(
        "type = \"reference\"\nentity = \"thing\"",
        &[("7", "must be the id of a record of inventory.thing, not 7")],
    )
    .await;
}

#[tokio::test]
async fn an_enum_has_its_options_and_no_others() {
    let options = "type = \"enum\"\noptions = [\"open\", \"on hold\", \"关闭\"]";
    round_trips(
        options,
        &[(r#""open""#, r#""open""#), (r#""on hold""#, r#""on hold""#), (r#""关闭""#, r#""关闭""#)],
    )
    .await;
    let wrong = |shown: &str| format!("must be one of open, on hold, 关闭, not {shown}");
    refusals(
        options,
        &[
            (r#""Open""#, &wrong(r#""Open""#)),
            (r#""open ""#, &wrong(r#""open ""#)),
            (r#""""#, &wrong(r#""""#)),
            (r#""open\u0000""#, &wrong(r#""open\0""#)),
            ("1", &wrong("1")),
        ],
    )
    .await;
}

#[tokio::test]
async fn json_is_kept_as_it_was_written() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = nested(32);
    round_trips(
        "type = \"json\"",
        &[
            ("{}", "{}"),
            (r#"{"b": 1, "a": [true, null, "x"]}"#, r#"{"b": 1, "a": [true, null, "x"]}"#),
            (r#""text""#, r#""text""#),
            ("false", "false"),
            ("1.50", "1.50"),
            ("9223372036854775807", "9223372036854775807"),
            (r#"{"tenant_id":"beta","id":7}"#, r#"{"tenant_id":"beta","id":7}"#),
            (&deepest, &deepest),
        ],
    )
    .await;
    refusals(
        "type = \"json\"",
        &[
            (&nested(33), "is nested more than 32 levels deep; flatten it"),
            (&nested(5000), "is nested more than 32 levels deep; flatten it"),
            (r#"{"a":1,"a":2}"#, ": the key \"a\" stands twice in one object at line 1 column 13"),
            (r#"["\u0000"]"#, ": a string has a NUL character, which cannot be kept at line 1 column 9"),
            (
                "[18446744073709551615]",
                ": an integer has more than 64 bits; write it as a string at line 1 column 21",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn null_is_absence_for_every_type() {
    let types = [
        ("boolean", "type = \"boolean\""),
        ("date", "type = \"date\""),
        ("datetime", "type = \"datetime\""),
        ("decimal", "type = \"decimal\"\nprecision = 8\nscale = 2"),
        ("enum", "type = \"enum\"\noptions = [\"open\"]"),
        ("file", "type = \"file\""),
        ("integer", "type = \"integer\""),
        ("json", "type = \"json\""),
        ("reference", "type = \"reference\"\nentity = \"thing\""),
        ("string", "type = \"string\""),
        ("text", "type = \"text\""),
        ("uuid", "type = \"uuid\""),
    ];
    let fixture = Fixture::with_fields(types).await;
    let mut call = fixture.call();
    let nulls: serde_json::Map<String, Json> =
        types.iter().map(|(name, _)| ((*name).to_owned(), Json::Null)).collect();
    for data in ["{}".to_owned(), Json::Object(nulls).to_string()] {
        let record = json(&call.insert("thing", &data).await.unwrap());
        for (name, _) in types {
            assert_eq!(record.get(name), Some(&Json::Null), "{name}");
        }
    }
    for (name, _) in types {
        let page = call.query("thing", &format!(r#"{{"{name}":null}}"#), r#"{"limit":1,"total":true}"#).await;
        assert_eq!(json(&page.unwrap())["total"], 2, "{name}");
    }
}
