//! Data, filters and pages that are not what a call takes at all.

use erp_plugin_host_api::CallError;

use crate::fixture::{Fixture, NOBODY, answer, text};

const UNKNOWN: &str = "of inventory.item; its fields: category, name, price, quantity, sku";

#[tokio::test]
async fn data_that_is_no_object_or_no_json_is_refused() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for (data, reason) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("nonsense", "expected ident at line 1 column 2"),
        ("{} {}", "trailing characters at line 1 column 4"),
        (r#"{"sku":"A",}"#, "trailing comma at line 1 column 12"),
        (r#"{'sku':'A'}"#, "key must be a string at line 1 column 2"),
        (r#"{"name":"\ud800"}"#, "unexpected end of hex escape at line 1 column 16"),
        (r#"{"quantity":01}"#, "invalid number at line 1 column 14"),
        (r#"{"quantity":NaN}"#, "expected value at line 1 column 13"),
        ("\u{feff}{}", "expected value at line 1 column 1"),
    ] {
        let expected = format!("invalid-input: data is not valid JSON: {reason}");
        assert_eq!(call.insert("item", data).await, Err(expected.clone()), "insert {data}");
        assert_eq!(call.update("item", NOBODY, data, 1).await, Err(expected), "update {data}");
    }
    for data in ["[]", "null", "7", r#""text""#, "true"] {
        let error = call.insert("item", data).await.unwrap_err();
        assert!(error.starts_with("invalid-input: data: invalid type: "), "{error}");
        assert!(error.contains("expected a JSON object, one key a field"), "{error}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_refused() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let bad = b"{\"sku\":\"\xff\",\"name\":\"n\"}";
    let error = text((*call).insert("item", bad).await).unwrap_err();
    assert!(
        error.starts_with("invalid-input: data is not valid JSON: invalid unicode code point"),
        "{error}"
    );
    let error = text((*call).query("item", bad, b"").await).unwrap_err();
    assert_eq!(error, "invalid-input: filter is not UTF-8 from byte 8 on");
    let error = text((*call).query("item", b"", bad).await).unwrap_err();
    assert_eq!(error, "invalid-input: page is not UTF-8 from byte 8 on");
    let error = answer((*call).publish("inventory.a", bad).await).unwrap_err();
    assert_eq!(error, "invalid-input: payload is not UTF-8 from byte 8 on");
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for data in
        [r#"{"sku":"A","sku":"A"}"#, r#"{"sku":"A","name":"n","sku":null}"#, r#"{"sku":"A","s\u006bu":"B"}"#]
    {
        let expected = "invalid-input: field \"sku\" stands twice".to_owned();
        assert_eq!(call.insert("item", data).await, Err(expected.clone()), "{data}");
        assert_eq!(call.update("item", NOBODY, data, 1).await, Err(expected), "{data}");
    }
    assert_eq!(
        call.insert("item", r#"{"tenant_id":"alpha","tenant_id":"alpha"}"#).await,
        Err("invalid-input: field \"tenant_id\" stands twice".to_owned())
    );
    assert_eq!(
        call.update("item", NOBODY, r#"{"version":1,"version":1}"#, 1).await,
        Err("invalid-input: field \"version\" stands twice".to_owned())
    );
    assert_eq!(
        call.query("item", r#"{"sku":"A","sku":"B"}"#, "").await,
        Err("invalid-input: filter: the key \"sku\" stands twice in one object at line 1 column 21"
            .to_owned())
    );
    assert_eq!(
        call.query("item", "", r#"{"limit":1,"limit":2}"#).await,
        Err("invalid-input: page: the key \"limit\" stands twice in one object at line 1 column 21"
            .to_owned())
    );
}

#[tokio::test]
async fn a_field_that_the_entity_does_not_have_is_told_with_those_it_has() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let long = "x".repeat(1000);
    let cut = format!("\"{}…\"", "x".repeat(60));
    for (name, shown) in [
        ("colour", r#""colour""#),
        ("Sku", r#""Sku""#),
        ("data", r#""data""#),
        ("", r#""""#),
        (r#"sku\" = 1 --"#, r#""sku\" = 1 --""#),
        (r"\u001b[31m", r#""\u{1b}[31m""#),
        (long.as_str(), cut.as_str()),
    ] {
        let expected = format!("invalid-input: unknown field {shown} {UNKNOWN}");
        let data = format!(r#"{{"sku":"A","{name}":1}}"#);
        assert_eq!(call.insert("item", &data).await, Err(expected.clone()));
        assert_eq!(call.update("item", NOBODY, &data, 1).await, Err(expected.clone()));
        assert_eq!(call.query("item", &format!(r#"{{"{name}":1}}"#), "").await, Err(expected.clone()));
        assert_eq!(call.query("item", "", &format!(r#"{{"sort":["{name}"]}}"#)).await, Err(expected));
    }
}

#[tokio::test]
async fn thousands_of_levels_are_refused_wherever_they_stand() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5000), close.repeat(5000));
    let nested = deep("{\"$not\":", "}");
    assert_eq!(
        call.query("item", &nested, "").await,
        Err("invalid-input: filter is nested more than 32 levels deep; flatten it".to_owned())
    );
    assert_eq!(
        call.query("item", "", &deep("[", "]")).await,
        Err("invalid-input: page is nested more than 32 levels deep; flatten it".to_owned())
    );
    assert_eq!(
        call.publish("inventory.a", &deep("[", "]")).await,
        Err("invalid-input: payload is nested more than 32 levels deep; flatten it".to_owned())
    );
    let data = |value: &str| format!(r#"{{"sku":{value}}}"#);
    assert_eq!(
        call.insert("item", &data(&deep("[", "]"))).await,
        Err("invalid-input: field \"sku\" must be a string, not an array".to_owned())
    );
    assert_eq!(
        call.insert("item", &data(&deep("{\"a\":", "}"))).await,
        Err("invalid-input: field \"sku\" must be a string, not an object".to_owned())
    );
}

#[tokio::test]
async fn none_of_it_ends_the_invocation() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    for _ in 0..50 {
        assert!(matches!((*call).insert("item", &[0xff]).await, Err(CallError::Answer(_))));
    }
    call.insert("item", r#"{"sku":"A","name":"n"}"#).await.unwrap();
    call.commit().await;
}
