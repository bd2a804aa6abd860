//! Filters and pages over the documents of dynamic entities.

use crate::dynamic::Dynamic;
use crate::fixture::{column, json};

async fn notes() -> Dynamic {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.call();
    for data in [
        r#"{"code":"A","n":1,"flag":true,"text":"Chair"}"#,
        r#"{"code":"B","n":1.5,"flag":false,"text":"chest"}"#,
        r#"{"code":"C","n":"1","flag":"true","text":""}"#,
        r#"{"code":"D","n":9007199254740993,"list":[1]}"#,
        r#"{"code":"E","n":-2,"a.b":"dotted","it's":"quoted","$x":1}"#,
        r#"{"code":"F"}"#,
    ] {
        call.insert("note", data).await.unwrap();
    }
    call.commit().await;
    dynamic
}

#[tokio::test]
async fn values_compare_within_their_json_type() {
    let notes = notes().await;
    let mut call = notes.call();
    for (filter, codes) in [
        (r#"{"n":1}"#, "A"),
        (r#"{"n":1.0}"#, "A"),
        (r#"{"n":"1"}"#, "C"),
        (r#"{"n":{"$gt":1}}"#, "BD"),
        (r#"{"n":{"$gte":1,"$lt":2}}"#, "AB"),
        (r#"{"n":{"$lt":0}}"#, "E"),
        (r#"{"n":9007199254740993}"#, "D"),
        (r#"{"n":9007199254740992}"#, ""),
        (r#"{"n":{"$ne":1}}"#, "BCDE"),
        (r#"{"n":{"$not":1}}"#, "BCDEF"),
        (r#"{"n":{"$in":[1,"1",-2,null]}}"#, "ACEF"),
        (r#"{"n":null}"#, "F"),
        (r#"{"flag":true}"#, "A"),
        (r#"{"flag":"true"}"#, "C"),
        (r#"{"flag":{"$ne":null}}"#, "ABC"),
        (r#"{"text":{"$prefix":"Ch"}}"#, "A"),
        (r#"{"text":{"$prefix":""}}"#, "ABC"),
        (r#"{"text":{"$gte":"a"}}"#, "B"),
        (r#"{"list":{"$ne":null}}"#, "D"),
        (r#"{"nowhere":1}"#, ""),
        (r#"{"nowhere":null}"#, "ABCDEF"),
        (r#"{"a.b":"dotted"}"#, "E"),
        (r#"{"it's":"quoted"}"#, "E"),
        (r#"{"\") OR 1=1 --":1}"#, ""),
        (r#"{"$or":[{"code":"A"},{"version":7},{"n":{"$lt":-1}}]}"#, "AE"),
        (r#"{"created_by":"anna","code":{"$in":["B","F"]}}"#, "BF"),
    ] {
        let page = call.query("note", filter, "").await.unwrap_or_else(|error| panic!("{filter}: {error}"));
        let found: String = column(&page, "code").iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(found, codes, "{filter}");
    }
}

#[tokio::test]
async fn what_documents_cannot_be_asked_is_refused() {
    let notes = notes().await;
    let mut call = notes.call();
    let scalar = "the value must be a string, number, boolean or null, not";
    for (filter, reason) in [
        (r#"{"n":{"$eq":{"a":1}}}"#, format!("filter on \"n\": {scalar} {{\"a\":1}}")),
        (r#"{"n":[1]}"#, format!("filter on \"n\": {scalar} [1]")),
        (r#"{"n":{"$lt":null}}"#, "filter on \"n\" compares the order of null".to_owned()),
        (r#"{"n":{"$prefix":1}}"#, "filter $prefix on \"n\" takes a string, on a text field".to_owned()),
        (r#"{"$x":1}"#, "filter has the unknown operator \"$x\"; known here: $or, $and, $not".to_owned()),
        (
            r#"{"tenant_id":"beta"}"#,
            "field \"tenant_id\" cannot be named here: the host keeps to the caller's tenant and to records that live"
                .to_owned(),
        ),
        (
            r#"{"version":"x"}"#,
            "filter on \"version\": the value must be a 64-bit integer, not \"x\"".to_owned(),
        ),
    ] {
        assert_eq!(call.query("note", filter, "").await, Err(format!("invalid-input: {reason}")), "{filter}");
    }
}

#[tokio::test]
async fn they_sort_by_the_hosts_own_fields_only() {
    let notes = notes().await;
    let mut call = notes.call();
    for key in ["code", "-n", "nowhere", "a.b"] {
        assert_eq!(
            call.query("note", "", &format!(r#"{{"sort":["{key}"]}}"#)).await,
            Err(format!(
                "invalid-input: page: sort by \"{}\": a dynamic entity sorts by id, version, created_at, created_by, \
                 updated_at and updated_by only; declare the field",
                key.trim_start_matches('-')
            ))
        );
    }
    let sort = r#"["version","created_at","created_by","-id"]"#;
    let page = call.query("note", "", &format!(r#"{{"sort":{sort},"limit":4,"total":true}}"#)).await.unwrap();
    assert_eq!(column(&page, "code"), ["F", "E", "D", "C"]);
    assert_eq!(json(&page)["total"], 6);
    let next = format!(r#"{{"sort":{sort},"cursor":{}}}"#, json(&page)["next_cursor"]);
    assert_eq!(column(&call.query("note", "", &next).await.unwrap(), "code"), ["B", "A"]);
}
