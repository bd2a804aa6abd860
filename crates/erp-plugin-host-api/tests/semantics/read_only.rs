//! Invocations that may only read.

use erp_plugin_host_api::InvocationContext;
use erp_plugin_storage::Mode;

use crate::dynamic::Dynamic;
use crate::fixture::{Fixture, NOBODY, items};

#[tokio::test]
async fn every_write_is_denied_and_reads_go_on() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[r#"{"sku":"A","name":"n"}"#]).await.remove(0);
    let mut call = fixture.begin(InvocationContext { mode: Mode::Read, ..fixture.context() });
    let denied = |verb: &str| Err(format!("permission-denied: {verb}: this call may only read"));
    assert_eq!(call.insert("item", r#"{"sku":"B","name":"n"}"#).await, denied("insert"));
    assert_eq!(call.update("item", &id, "{}", 1).await, denied("update"));
    assert_eq!(call.delete("item", &id).await.map(|()| String::new()), denied("delete"));
    assert_eq!(call.publish("inventory.a", "{}").await.map(|()| String::new()), denied("publish"));
    assert_eq!(items(&call.query("item", "", "").await.unwrap()).len(), 1);
    call.log("info", "read").unwrap();
    let finished = call.commit().await;
    assert!(finished.writes.is_empty() && finished.events.is_empty());
    assert_eq!(fixture.witness.invocations().last().unwrap().log.len(), 1);
}

#[tokio::test]
async fn no_dynamic_entity_comes_of_it() {
    let dynamic = Dynamic::new().await;
    let mut call = dynamic.fixture.begin(InvocationContext { mode: Mode::Read, ..dynamic.context() });
    for refused in [
        call.insert("note", "{}").await,
        call.update("note", NOBODY, "{}", 1).await,
        call.delete("note", NOBODY).await.map(|()| String::new()),
    ] {
        assert!(refused.unwrap_err().ends_with(": this call may only read"));
    }
    assert_eq!(call.query("note", "", "").await.unwrap(), r#"{"items":[],"next_cursor":null}"#);
    assert!(!call.commit().await.new_entities);
}

#[tokio::test]
async fn a_name_that_means_nothing_is_no_reason_to_say_more() {
    let fixture = Fixture::new().await;
    let mut call = fixture.begin(InvocationContext { mode: Mode::Read, ..fixture.context() });
    assert_eq!(
        call.insert("nowhere", "{}").await,
        Err("permission-denied: insert: this call may only read".to_owned())
    );
}
