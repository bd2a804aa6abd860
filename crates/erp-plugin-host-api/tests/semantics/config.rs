//! Configuration: what was resolved for the plugin in this tenant, and nobody else's.

use std::collections::HashMap;
use std::sync::Arc;

use erp_plugin_host_api::{Caller, InvocationContext};

use crate::fixture::{Call, Fixture};

fn configured(fixture: &Fixture) -> Call {
    let config = [
        ("default_category", r#""Seats""#),
        ("empty", "null"),
        ("limits", r#"{"max": 5}"#),
        ("system.currency", r#""EUR""#),
    ];
    let config: HashMap<_, _> =
        config.into_iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).collect();
    let caller = Arc::new(Caller { config, ..fixture.caller() });
    fixture.begin(InvocationContext { caller, ..fixture.context() })
}

#[tokio::test]
async fn a_value_is_json_as_it_was_set() {
    let fixture = Fixture::new().await;
    let mut call = configured(&fixture);
    for (key, value) in [
        ("default_category", r#""Seats""#),
        ("empty", "null"),
        ("limits", r#"{"max": 5}"#),
        ("system.currency", r#""EUR""#),
    ] {
        assert_eq!(call.config_get(key).as_deref(), Ok(value));
    }
}

#[tokio::test]
async fn a_key_that_has_no_value_is_not_found() {
    let fixture = Fixture::new().await;
    let mut call = configured(&fixture);
    for (key, shown) in [
        ("", r#""""#),
        ("Default_category", r#""Default_category""#),
        ("default_category ", r#""default_category ""#),
        ("system.secret", r#""system.secret""#),
        ("sales.discount", r#""sales.discount""#),
        ("a\nb", r#""a\nb""#),
    ] {
        assert_eq!(call.config_get(key), Err(format!("not-found: no configuration {shown} is set")));
    }
}

#[tokio::test]
async fn reading_it_opens_no_transaction_and_counts_bytes_both_ways() {
    let fixture = Fixture::new().await;
    let mut call = configured(&fixture);
    call.config_get("limits").unwrap();
    let used = call.budget().used();
    assert_eq!((used.host_calls, used.bytes), (1, 6 + 10));
    assert_eq!(call.writer_watch().until(), None);
    call.query("item", "", "").await.unwrap();
    assert!(call.writer_watch().until().is_some(), "in memory there is one connection");
}
