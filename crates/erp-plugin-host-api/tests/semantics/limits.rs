//! What one invocation may use: the first excess of a kind is told, the second ends it.

use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::{ErrorCode, HostError, Limits};

use crate::fixture::{Answer, Fixture, column, error_of, id_of, items};

const ITEM: &str = r#"{"sku":"A","name":"n"}"#;

fn exceeded(kind: LimitKind, used: &str, allowed: &str) -> String {
    let row = kind.row();
    format!(
        "limit-exceeded: {} ({}): {used} used, {allowed} allowed; do less in one invocation, or ask for more with \
         `{}` under [limits] in plugin.toml",
        row.name, row.about, row.name
    )
}

fn told(error: &str) -> Answer<()> {
    Err(error.to_owned())
}

fn fatal(error: &str) -> Answer<()> {
    Err(format!("fatal: {error}"))
}

#[tokio::test]
async fn host_calls_of_every_kind_are_counted() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { host_calls: 7, ..Limits::default() });
    call.insert("item", ITEM).await.unwrap();
    call.query("item", "", "").await.unwrap();
    assert!(call.update("item", "x", "{}", 1).await.is_err());
    assert!(call.delete("nowhere", "x").await.is_err());
    assert!(call.publish("nonsense", "").await.is_err());
    assert!(call.config_get("none").is_err());
    call.current_user().unwrap();
    assert_eq!(call.check_permission("a.b").map(drop), told(&exceeded(LimitKind::HostCalls, "8", "7")));
    assert_eq!(call.query("item", "", "").await.map(drop), fatal(&exceeded(LimitKind::HostCalls, "9", "7")));
}

#[tokio::test]
async fn a_flood_of_log_calls_is_ended_too() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { host_calls: 2, ..Limits::default() });
    for _ in 0..3 {
        assert_eq!(call.log("info", "again"), Ok(()), "a log call has no answer to refuse with");
    }
    assert_eq!(call.log("info", "again"), fatal(&exceeded(LimitKind::HostCalls, "4", "2")));
}

#[tokio::test]
async fn rows_written_are_counted_over_all_verbs_and_nothing_is_written_beyond() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { rows_written: 3, ..Limits::default() });
    let id = id_of(&call.insert("item", ITEM).await.unwrap());
    call.update("item", &id, "{}", 1).await.unwrap();
    call.delete("item", &id).await.unwrap();
    let error = exceeded(LimitKind::RowsWritten, "4", "3");
    assert_eq!(call.insert("item", ITEM).await.map(drop), told(&error));
    assert!(items(&call.query("item", "", "").await.unwrap()).is_empty());
    assert_eq!(call.budget().used().rows_written, 3);
    assert_eq!(call.update("item", &id, "{}", 2).await.map(drop), fatal(&error));
}

#[tokio::test]
async fn what_was_written_before_an_excess_that_was_told_is_committed() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { rows_written: 1, ..Limits::default() });
    call.insert("item", ITEM).await.unwrap();
    assert!(call.insert("item", r#"{"sku":"B","name":"n"}"#).await.is_err());
    assert_eq!(call.commit().await.writes.len(), 1);
    assert_eq!(fixture.found("item", "").await.len(), 1);
}

#[tokio::test]
async fn rows_read_are_counted_over_all_queries() {
    let fixture = Fixture::new().await;
    let rows = ["A", "B", "C", "D"].map(|sku| format!(r#"{{"sku":"{sku}","name":"n"}}"#));
    let ids = fixture.given("item", &rows.each_ref().map(String::as_str)).await;
    let mut call = fixture.limited(Limits { rows_read: 5, ..Limits::default() });
    let page = call.query("item", "", r#"{"limit":3,"sort":["sku"],"total":true}"#).await.unwrap();
    assert_eq!(column(&page, "sku"), ["A", "B", "C"]);
    assert_eq!(items(&call.query("item", r#"{"sku":"none"}"#, "").await.unwrap()).len(), 0);
    assert_eq!(items(&call.query("item", "", r#"{"limit":1}"#).await.unwrap()).len(), 1);
    let error = exceeded(LimitKind::RowsRead, "6", "5");
    assert_eq!(call.query("item", "", "").await.map(drop), told(&error));
    let by_id = format!(r#"{{"id":"{}"}}"#, ids[0]);
    assert_eq!(call.query("item", &by_id, "").await.map(drop), fatal(&error));
}

#[tokio::test]
async fn a_page_of_exactly_what_is_left_is_given() {
    let fixture = Fixture::new().await;
    let rows = ["A", "B", "C"].map(|sku| format!(r#"{{"sku":"{sku}","name":"n"}}"#));
    fixture.given("item", &rows.each_ref().map(String::as_str)).await;
    let mut call = fixture.limited(Limits { rows_read: 3, ..Limits::default() });
    assert_eq!(items(&call.query("item", "", r#"{"limit":2}"#).await.unwrap()).len(), 2);
    assert_eq!(items(&call.query("item", "", r#"{"limit":1}"#).await.unwrap()).len(), 1);
    assert_eq!(
        call.query("item", r#"{"sku":"none"}"#, "").await.unwrap(),
        r#"{"items":[],"next_cursor":null}"#
    );
    assert!(call.query("item", "", r#"{"limit":1}"#).await.is_err());
}

#[tokio::test]
async fn the_bytes_that_go_into_a_call_are_limited() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { call_bytes: 1024, ..Limits::default() });
    let data = |size: usize| format!("{ITEM}{}", " ".repeat(size - ITEM.len() - "item".len()));
    call.insert("item", &data(1024)).await.unwrap();
    let error = exceeded(LimitKind::CallBytes, "1025 bytes", "1 KiB");
    assert_eq!(call.insert("item", &data(1025)).await.map(drop), told(&error));
    assert_eq!(call.insert("item", &data(1025)).await.map(drop), fatal(&error));
}

#[tokio::test]
async fn a_page_too_large_to_go_out_is_refused_and_a_smaller_one_is_not() {
    let fixture = Fixture::new().await;
    let rows = ["A", "B", "C"].map(|sku| format!(r#"{{"sku":"{sku}","name":"n"}}"#));
    fixture.given("item", &rows.each_ref().map(String::as_str)).await;
    let last = r#"{"limit":1,"offset":2}"#;
    let page = fixture.call().query("item", "", last).await.unwrap();
    let (one, record) = (page.len(), page.len() - r#"{"items":[],"next_cursor":null}"#.len());
    let mut call = fixture.limited(Limits { call_bytes: one as u64, ..Limits::default() });
    call.query("item", "", last).await.unwrap();
    let two = r#"{"items":[,"#.len() + 2 * record;
    let error = exceeded(LimitKind::CallBytes, &format!("{two} bytes"), &format!("{one} bytes"));
    assert_eq!(call.query("item", "", "").await.map(drop), told(&error));
    assert_eq!(call.query("item", "", "").await.map(drop), fatal(&error));
}

#[tokio::test]
async fn an_answer_too_large_keeps_an_insert_from_happening() {
    let fixture = Fixture::new().await;
    let answer = fixture.call().insert("item", ITEM).await.unwrap();
    let mut call = fixture.limited(Limits { call_bytes: 200, ..Limits::default() });
    let error = exceeded(LimitKind::CallBytes, &format!("{} bytes", answer.len()), "200 bytes");
    assert_eq!(call.insert("item", ITEM).await.map(drop), told(&error));
    assert!(call.commit().await.writes.is_empty());
    assert!(fixture.found("item", "").await.is_empty());
}

/// The record is written by the time its size is known: an answer that says no would be untrue.
#[tokio::test]
async fn an_answer_too_large_after_an_update_ends_the_invocation_at_once() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let answer = fixture.call().update("item", &id, "{}", 1).await.unwrap();
    let mut call = fixture.limited(Limits { call_bytes: 200, ..Limits::default() });
    let error = exceeded(LimitKind::CallBytes, &format!("{} bytes", answer.len()), "200 bytes");
    assert_eq!(call.update("item", &id, "{}", 1).await.map(drop), fatal(&error));
}

#[tokio::test]
async fn the_bytes_of_all_calls_are_limited() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { total_bytes: 100, ..Limits::default() });
    for _ in 0..10 {
        call.check_permission("0123456789").unwrap();
    }
    assert_eq!(call.budget().used().bytes, 100);
    assert_eq!(
        call.check_permission("x").map(drop),
        told(&exceeded(LimitKind::TotalBytes, "101 bytes", "100 bytes"))
    );
    assert_eq!(
        call.check_permission("x").map(drop),
        fatal(&exceeded(LimitKind::TotalBytes, "102 bytes", "100 bytes"))
    );
}

#[tokio::test]
async fn events_are_limited_in_number_and_size() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { events: 2, event_bytes: 10, ..Limits::default() });
    let payload = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
    assert_eq!(call.publish("inventory.a", &payload(10)).await, Ok(()));
    let large = exceeded(LimitKind::EventBytes, "11 bytes", "10 bytes");
    assert_eq!(call.publish("inventory.a", &payload(11)).await, told(&large));
    assert_eq!(call.publish("inventory.a", &payload(10)).await, Ok(()));
    let many = exceeded(LimitKind::Events, "3", "2");
    assert_eq!(call.publish("inventory.a", "1").await, told(&many));
    assert_eq!(call.publish("inventory.a", "1").await, fatal(&many));
    assert_eq!(call.publish("inventory.a", &payload(11)).await, fatal(&large));
}

#[tokio::test]
async fn each_kind_is_told_once_by_itself() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { rows_written: 0, events: 0, ..Limits::default() });
    let rows = exceeded(LimitKind::RowsWritten, "1", "0");
    let events = exceeded(LimitKind::Events, "1", "0");
    assert_eq!(call.insert("item", ITEM).await.map(drop), told(&rows));
    assert_eq!(call.publish("inventory.a", "1").await, told(&events));
    assert_eq!(call.insert("item", ITEM).await.map(drop), fatal(&rows));
    assert_eq!(call.publish("inventory.a", "1").await, fatal(&events));
}

#[tokio::test]
async fn the_defaults_are_those_of_the_table() {
    let fixture = Fixture::new().await;
    let limits = Limits { total_bytes: u64::MAX, host_calls: u64::MAX, ..Limits::default() };
    let mut call = fixture.limited(limits);
    for _ in 0..100 {
        call.publish("inventory.a", "1").await.unwrap();
    }
    assert_eq!(call.publish("inventory.a", "1").await, told(&exceeded(LimitKind::Events, "101", "100")));
    let large = format!("\"{}\"", "x".repeat((256 << 10) - 1));
    assert_eq!(
        call.publish("inventory.a", &large).await,
        told(&exceeded(LimitKind::EventBytes, "262145 bytes", "256 KiB"))
    );
    assert_eq!(
        call.check_permission(&"x".repeat((1 << 20) + 1)).map(drop),
        told(&exceeded(LimitKind::CallBytes, "1048577 bytes", "1 MiB"))
    );
}

#[tokio::test]
async fn what_exceeded_a_limit_twice_is_rolled_back_with_the_limits_code() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { rows_written: 1, ..Limits::default() });
    call.insert("item", ITEM).await.unwrap();
    assert!(call.insert("item", ITEM).await.is_err());
    let ended = call.insert("item", ITEM).await.unwrap_err();
    let message = ended.strip_prefix("fatal: limit-exceeded: ").unwrap().to_owned();
    let finished = call.finish(Err(HostError::new(ErrorCode::LimitExceeded, message))).await;
    assert_eq!(error_of(&finished), exceeded(LimitKind::RowsWritten, "2", "1"));
    assert!(fixture.found("item", "").await.is_empty());
    assert_eq!(fixture.witness.invocations()[0].error, Some(ErrorCode::LimitExceeded));
}

#[tokio::test]
async fn a_record_that_is_read_to_check_what_was_sent_back_is_a_row_read() {
    let fixture = Fixture::new().await;
    let id = fixture.given("item", &[ITEM]).await.remove(0);
    let mut call = fixture.limited(Limits { rows_read: 1, ..Limits::default() });
    let echo = r#"{"created_by":"anna"}"#;
    call.update("item", &id, echo, 1).await.unwrap();
    let error = exceeded(LimitKind::RowsRead, "2", "1");
    assert_eq!(call.update("item", &id, echo, 2).await.map(drop), told(&error));
}
