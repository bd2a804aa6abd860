//! Searches that ignore case.

use crate::dynamic::Dynamic;
use crate::fixture::{Fixture, column};

async fn books() -> Fixture {
    Fixture::with_fields([
        ("code", "type = \"string\""),
        ("pages", "type = \"integer\""),
        ("title", "type = \"string\"\nsearch = true"),
    ])
    .await
}

#[tokio::test]
async fn a_text_is_found_whatever_the_case_of_either() {
    let fixture = books().await;
    let titles = ["Straße nach Süden", "STRASSE", "strasse", "ΟΔΥΣΣΕΥΣ", "百年の孤独", "Chai"];
    let rows = titles.map(|title| serde_json::json!({ "title": title }).to_string());
    fixture.given("thing", &rows.each_ref().map(String::as_str)).await;
    fixture.given("thing", &["{}"]).await;
    let mut call = fixture.call();
    for (filter, expected) in [
        (r#"{"title":{"$ieq":"Straße"}}"#, vec!["STRASSE", "strasse"]),
        (r#"{"title":{"$iprefix":"strASSE"}}"#, vec!["Straße nach Süden", "STRASSE", "strasse"]),
        (r#"{"title":{"$iprefix":"straß"}}"#, vec!["Straße nach Süden", "STRASSE", "strasse"]),
        (r#"{"title":{"$ieq":"οδυσσευς"}}"#, vec!["ΟΔΥΣΣΕΥΣ"]),
        (r#"{"title":{"$iprefix":"百年"}}"#, vec!["百年の孤独"]),
        (r#"{"title":{"$ieq":"CHAI","$prefix":"C"}}"#, vec!["Chai"]),
        (r#"{"title":{"$ieq":"CHAI","$prefix":"c"}}"#, vec![]),
        (r#"{"title":{"$ieq":"%"}}"#, vec![]),
        (r#"{"$or":[{"title":{"$ieq":"chai"}},{"title":{"$iprefix":"百"}}]}"#, vec!["百年の孤独", "Chai"]),
    ] {
        let page = call.query("thing", filter, "").await.unwrap();
        assert_eq!(column(&page, "title"), expected, "{filter}");
    }
    assert_eq!(call.count("thing", r#"{"title":{"$not":{"$iprefix":"s"}}}"#).await, Ok(4));
}

#[tokio::test]
async fn a_record_shows_nothing_of_how_it_is_searched() {
    let fixture = books().await;
    let mut call = fixture.call();
    let record = call.insert("thing", r#"{"title":"Chai"}"#).await.unwrap();
    let page = call.query("thing", r#"{"title":{"$ieq":"CHAI"}}"#, "").await.unwrap();
    assert_eq!(page, format!(r#"{{"items":[{record}],"next_cursor":null}}"#));
    assert!(!record.contains("fold"), "{record}");
    let error = call.query("thing", r#"{"title__folded":"chai"}"#, "").await.unwrap_err();
    assert!(error.starts_with("invalid-input: unknown field \"title__folded\""), "{error}");
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused_with_the_way_out() {
    let fixture = books().await;
    let mut call = fixture.call();
    for (filter, reason) in [
        (
            r#"{"code":{"$ieq":"a"}}"#,
            "filter on \"code\": its text is not kept for searches that ignore case; add search = true to the field in \
             plugin.toml",
        ),
        (
            r#"{"pages":{"$iprefix":"a"}}"#,
            "filter on \"pages\": a integer field cannot be searched without case; only a string with search = true can",
        ),
        (
            r#"{"created_by":{"$ieq":"Anna"}}"#,
            "filter on \"created_by\": only a declared string field with search = true can be searched without case",
        ),
        (r#"{"title":{"$ieq":7}}"#, "filter $ieq on \"title\" takes a string"),
        (r#"{"title":{"$iprefix":null}}"#, "filter $iprefix on \"title\" takes a string"),
    ] {
        assert_eq!(
            call.query("thing", filter, "").await,
            Err(format!("invalid-input: {reason}")),
            "{filter}"
        );
    }
    let dynamic = Dynamic::new().await;
    let error = dynamic.call().query("note", r#"{"a":{"$ieq":"x"}}"#, "").await.unwrap_err();
    assert!(error.contains("only a declared string field"), "{error}");
}
