//! Data, filters, pages, ids and versions, at the edge and from a plugin.

use erp_plugin::{HostFailure, RecordId};
use erp_plugin_tests::{TENANT, sample, system_of};
use serde_json::{Value as Json, json};

use super::{NOTE, Standing};

const FIELDS: &str =
    "its fields: body, code, done, due, extra, parent, price, quantity, remind_at, status, ticket, title";

/// Asserts that the edge and a plugin are told just this, and that nothing is written.
async fn insert_is_refused(standing: &Standing, data: &Json, text: &str) {
    let edge = standing.platform.host.records(system_of(TENANT));
    assert_eq!(edge.insert(NOTE, data).await.unwrap_err().to_string(), text, "{data}");
    let told = sample::refusal(&standing.platform, "sample.insert", json!({ "data": data })).await;
    assert_eq!(told, text, "{data}");
    standing.assert_unchanged(&data.to_string()).await;
}

#[tokio::test]
async fn data_that_is_no_record() {
    let standing = Standing::new().await;
    for (data, text) in [
        (json!({ "titel": "a" }), format!("unknown field \"titel\" of test-sample.note; {FIELDS}")),
        (json!({}), "field \"title\" is required".to_owned()),
        (json!({ "title": null }), "field \"title\" is required".to_owned()),
        (json!({ "title": "x".repeat(81) }), "field \"title\" has 81 characters, 80 are allowed".to_owned()),
        (json!({ "title": "库".repeat(81) }), "field \"title\" has 81 characters, 80 are allowed".to_owned()),
        (
            json!({ "title": "a", "id": "7", "version": 1 }),
            "the host sets id, version; leave it out of the data".to_owned(),
        ),
        (
            json!({ "title": "a", "code": "ab-1" }),
            "field \"code\" must match [A-Z]{2}-[0-9]+, not \"ab-1\"".to_owned(),
        ),
    ] {
        insert_is_refused(&standing, &data, &format!("invalid-input: {text}")).await;
    }
    let taken = "already-exists: another test-sample.note has the same \"code\"; it must be unique";
    insert_is_refused(&standing, &json!({ "title": "a", "code": "AB-1" }), taken).await;
    let theirs =
        "permission-denied: field \"tenant_id\" names another tenant; the host sets it, leave it out";
    insert_is_refused(&standing, &json!({ "title": "a", "tenant_id": "other" }), theirs).await;
    standing.serves_on().await;
}

#[tokio::test]
async fn values_of_another_type_or_out_of_range() {
    let standing = Standing::new().await;
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    for (field, value, text) in [
        ("title", json!(7), "must be a string, not 7"),
        ("body", json!(["a"]), "must be a text, not an array"),
        ("quantity", json!("many"), "must be a 64-bit integer, not \"many\""),
        ("quantity", json!(1.5), "must be a 64-bit integer, not 1.5"),
        ("quantity", json!(u64::MAX), "must be a 64-bit integer, not 18446744073709551615"),
        ("price", json!("12,50"), "must be a decimal such as \"-12.50\", not \"12,50\""),
        ("price", json!("1.005"), "has 3 digits after the point, 2 are kept; round it first"),
        ("price", json!("10000000000"), "has more than 10 digits before the point: \"10000000000\""),
        ("price", json!(-1), "must be at least \"0.00\""),
        ("done", json!("yes"), "must be true or false, not the string \"yes\""),
        ("done", json!(1), "must be true or false, not 1"),
        ("due", json!("31.01.2026"), "must be a date such as 2026-01-31, not \"31.01.2026\""),
        ("remind_at", json!("2026-01-31"), "must be a time such as 2026-01-31T09:30:00Z, not \"2026-01-31\""),
        ("ticket", json!("7"), "must be a UUID such as 0198c0de-0000-7000-8000-000000000001, not \"7\""),
        ("status", json!("done"), "must be one of open, closed, not \"done\""),
        ("status", json!(true), "must be one of open, closed, not true"),
        ("parent", json!({}), "must be the id of a record of test-sample.note, not an object"),
        ("parent", json!(nobody), "of test-sample.note names no record"),
    ] {
        let mut data = json!({ "title": "a" });
        data[field] = value;
        let text = format!("invalid-input: field \"{field}\" {text}");
        insert_is_refused(&standing, &data, &text).await;
    }
    standing.serves_on().await;
}

#[tokio::test]
async fn bytes_that_are_no_json_object() {
    let standing = Standing::new().await;
    for (raw, text) in [
        ("", " is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("{oops", " is not valid JSON: key must be a string at line 1 column 2"),
        ("{\"title\":\"a\"", " is not valid JSON: EOF while parsing an object at line 1 column 12"),
        ("{} {}", " is not valid JSON: trailing characters at line 1 column 4"),
        ("[]", ": invalid type: sequence, expected a JSON object, one key a field at line 1 column 2"),
        ("\"a\"", ": invalid type: string \"a\", expected a JSON object, one key a field at line 1 column 3"),
        ("null", ": invalid type: null, expected a JSON object, one key a field at line 1 column 4"),
    ] {
        let told = sample::refusal(&standing.platform, "sample.insert", json!({ "data_raw": raw })).await;
        assert_eq!(told, format!("invalid-input: data{text}"), "{raw}");
        standing.assert_unchanged(raw).await;
    }
    let twice = json!({ "data_raw": "{\"title\":\"a\",\"title\":\"b\"}" });
    assert_eq!(
        sample::refusal(&standing.platform, "sample.insert", twice).await,
        "invalid-input: field \"title\" stands twice"
    );
    standing.serves_on().await;
}

/// The error of a query, at the edge and from a plugin.
async fn query(standing: &Standing, filter: &Json, page: &Json) -> String {
    let edge = standing.platform.host.records(system_of(TENANT));
    let answer = edge.query(NOTE, filter, page).await;
    let error = answer.expect_err(&format!("{filter} {page}")).to_string();
    let asked = json!({ "filter": filter, "page": page });
    assert_eq!(sample::refusal(&standing.platform, "sample.query", asked).await, error);
    error
}

#[tokio::test]
async fn filters_that_are_none() {
    let standing = Standing::new().await;
    for (filter, text) in [
        (json!([]), "filter must be an object such as {\"status\":\"open\"}, not \"[]\"".to_owned()),
        (json!({ "titel": "a" }), format!("unknown field \"titel\" of test-sample.note; {FIELDS}")),
        (
            json!({ "tenant_id": "other" }),
            "field \"tenant_id\" cannot be named here: the host keeps to the caller's tenant and to records that live"
                .to_owned(),
        ),
        (
            json!({ "$nor": [] }),
            "filter has the unknown operator \"$nor\"; known here: $or, $and, $not".to_owned(),
        ),
        (
            json!({ "quantity": { "$between": [1, 2] } }),
            "filter on \"quantity\" has the unknown operator \"$between\"; known: $eq, $ne, $lt, $lte, $gt, $gte, $in, \
             $prefix, $ieq, $iprefix, $not"
                .to_owned(),
        ),
        (json!({ "$or": {} }), "filter $or must be an array of filters".to_owned()),
        (json!({ "status": { "$in": "open" } }), "filter $in on \"status\" must be an array of values".to_owned()),
        (
            json!({ "quantity": { "$prefix": "1" } }),
            "filter $prefix on \"quantity\" takes a string, on a text field".to_owned(),
        ),
        (
            json!({ "quantity": "many" }),
            "filter on \"quantity\": the value must be a 64-bit integer, not \"many\"".to_owned(),
        ),
        (
            json!({ "extra": 1 }),
            "filter on \"extra\": the value cannot be compared: a json field can only be null or not".to_owned(),
        ),
        (json!({ "quantity": { "$lt": null } }), "filter on \"quantity\" compares the order of null".to_owned()),
        (
            json!({ "quantity": { "$in": vec![1; 501] } }),
            "filter has more than 500 values; split the query".to_owned(),
        ),
        (
            (0..40).fold(json!({}), |inner, _| json!({ "$not": inner })),
            "filter is nested more than 32 levels deep; flatten it".to_owned(),
        ),
    ] {
        assert_eq!(query(&standing, &filter, &json!({})).await, format!("invalid-input: {text}"));
    }
    standing.platform.call(sample::NAME, "sample.query", &json!({})).await.outcome.unwrap();
}

#[tokio::test]
async fn pages_and_cursors_that_are_none() {
    let standing = Standing::new().await;
    for (page, text) in [
        (json!({ "limit": 0 }), "limit must be 1 to 1000, not 0; use the cursor for more"),
        (json!({ "limit": 1001 }), "limit must be 1 to 1000, not 1001; use the cursor for more"),
        (json!({ "limit": 5, "page_size": 5 }), "give only one of limit and page_size"),
        (json!({ "offset": 0, "page": 1 }), "give only one of cursor, offset and page"),
        (json!({ "page": 0 }), "page is counted from 1"),
        (json!({ "page": i64::MAX }), "offset 18446744073709551615 is beyond every record; use the cursor"),
        (json!({ "sort": ["extra"] }), "sort by \"extra\": a json field has no order"),
        (json!({ "sort": ["title", "-title"] }), "sort names \"title\" twice"),
        (json!({ "cursor": "next" }), "cursor is not one that a query gave; begin without one"),
        (json!({ "cursor": "名" }), "cursor is not one that a query gave; begin without one"),
    ] {
        assert_eq!(query(&standing, &json!({}), &page).await, format!("invalid-input: page: {text}"));
    }
    let unknown = query(&standing, &json!({}), &json!({ "sort": ["-titel"] })).await;
    assert_eq!(unknown, format!("invalid-input: unknown field \"titel\" of test-sample.note; {FIELDS}"));
    let key = query(&standing, &json!({}), &json!({ "limits": 5 })).await;
    assert!(
        key.starts_with("invalid-input: page: unknown field `limits`, expected one of `limit`, "),
        "{key}"
    );
    let kind = query(&standing, &json!({}), &json!({ "limit": -1 })).await;
    assert!(kind.starts_with("invalid-input: page: invalid value: integer `-1`"), "{kind}");

    let edge = standing.platform.host.records(system_of(TENANT));
    edge.insert(NOTE, &json!({ "title": "second" })).await.unwrap();
    let first = edge.query(NOTE, &json!({}), &json!({ "limit": 1 })).await.unwrap();
    let page = json!({ "limit": 1, "cursor": first["next_cursor"] });
    assert_eq!(edge.query(NOTE, &json!({}), &page).await.unwrap()["items"][0]["title"], "second");
    assert_eq!(
        query(&standing, &json!({ "status": "open" }), &page).await,
        "invalid-input: page: cursor belongs to another query; keep entity, filter and sort the same from page to page"
    );
}

#[tokio::test]
async fn ids_and_versions_that_are_none() {
    let standing = Standing::new().await;
    let id = standing.note["id"].clone();
    let update = async |id: &Json, version: i64| {
        let change = json!({ "id": id, "version": version, "data": { "title": "changed" } });
        sample::refusal(&standing.platform, "sample.update", change).await
    };
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    for bad in ["7", "", nobody, "0198c0de000070008000000000000001", "'; DROP TABLE note; --"] {
        let expected = format!("not-found: no test-sample.note has the id {bad:?}");
        assert_eq!(update(&json!(bad), 1).await, expected);
        assert_eq!(
            sample::refusal(&standing.platform, "sample.delete", json!({ "id": bad })).await,
            expected
        );
    }
    for bad in [0, -1, i64::MIN] {
        let expected = format!("invalid-input: version must be the one that was read, 1 or more, not {bad}");
        assert_eq!(update(&id, bad).await, expected);
    }
    let id_text = id.as_str().unwrap();
    assert_eq!(
        update(&id, 2).await,
        format!("conflict: test-sample.note {id_text} has version 1, not 2; read it again")
    );
    let edge = standing.platform.host.records(system_of(TENANT));
    let missing = RecordId::parse(nobody).unwrap();
    for failure in [edge.get(NOTE, missing).await.unwrap_err(), edge.delete(NOTE, missing).await.unwrap_err()]
    {
        let HostFailure::Refused(error) = failure else { panic!("{failure}") };
        assert!(error.to_string().starts_with("not-found: no test-sample.note has the id "), "{error}");
    }
    assert_eq!(standing.platform.records(NOTE).await, [standing.note]);
}

#[tokio::test]
async fn entities_that_are_none() {
    let standing = Standing::new().await;
    let edge = standing.platform.host.records(system_of(TENANT));
    for bad in ["note", "test-sample.notes", "", "note; DROP TABLE tenants", "../note", "test-sample__note"] {
        let declare =
            "Declare it under [entities] in plugin.toml, or ask for dynamic-entities under [capabilities]";
        assert_eq!(
            edge.insert(bad, &json!({ "title": "a" })).await.unwrap_err().to_string(),
            format!("not-found: no entity {bad:?}")
        );
        if bad != "note" {
            assert_eq!(
                sample::refusal(&standing.platform, "sample.query", json!({ "entity": bad })).await,
                format!("invalid-input: unknown entity {bad:?}; known: greeting, note. {declare}")
            );
        }
    }
    assert_eq!(standing.platform.records(NOTE).await, [standing.note]);
}
