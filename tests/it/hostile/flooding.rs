//! Guests that flood the host: bytes, log lines, host calls, queries, handles.

use erp_plugin::{ErrorCode, FailureKind, HostError, InvocationReport, Limits};
use erp_plugin_tests::TENANT;
use erp_plugin_tests::{guests, system_of};
use serde_json::{Value as Json, json};

use super::{ATTACKER, HUGE_FUEL, Hostile, assert_ended, platform};

fn with_huge_fuel() -> Limits {
    Limits { fuel: HUGE_FUEL, deadline_ms: 20_000, writer_hold_ms: 20_000, ..Limits::default() }
}

fn assert_limit(error: &HostError, name: &str) {
    assert_eq!(error.code, ErrorCode::LimitExceeded, "{error}");
    assert!(error.message.starts_with(name), "{error}");
}

fn assert_ended_by_limit(report: &InvocationReport, name: &str) {
    assert_ended!(report, FailureKind::Host(_));
    assert_limit(report.outcome.as_ref().unwrap_err(), name);
}

#[tokio::test]
async fn f13_insert_bytes() {
    let hostile = Hostile::within("13-insert-bytes", with_huge_fuel()).await;
    hostile.succeeds("any.insert", &json!(60_000)).await;
    // The name `thing`, and the page `{}` of a query, are bytes of the call too.
    for (event, beside) in [("any.insert", 5), ("any.query", 7)] {
        let at_the_limit = (1 << 20) - beside;
        let error = hostile.answers(event, &json!(at_the_limit + 1)).await;
        assert_limit(
            &error,
            "call-bytes (bytes into or out of one host call): 1048577 bytes used, 1 MiB allowed",
        );
    }
    hostile.succeeds("any.query", &json!((1 << 20) - 7)).await;
    // A record without a schema is smaller still.
    let error = hostile.answers("any.insert", &json!((1 << 20) - 5)).await;
    assert_eq!(error.code, ErrorCode::InvalidInput, "{error}");

    hostile.succeeds("any.publish", &json!(256 << 10)).await;
    let error = hostile.answers("any.publish", &json!((256 << 10) + 1)).await;
    assert_limit(&error, "event-bytes (size of one event's payload): 262145 bytes used, 256 KiB allowed");

    let report = hostile.succeeds("any.line", &json!(1_000_000)).await;
    let line = &report.log[0].message;
    assert!(line.len() < (8 << 10) + 100 && line.ends_with("bytes more)"), "{} bytes", line.len());
}

#[tokio::test]
async fn f13_huge_error() {
    let hostile = Hostile::within("13-huge-error", with_huge_fuel()).await;
    let report = hostile.fails("any.event", &json!({})).await;
    let error = report.outcome.unwrap_err();
    assert!(error.message.len() < 8 << 10, "{} bytes", error.message.len());
}

#[tokio::test]
async fn f14_aliased_arguments() {
    let hostile = Hostile::new("14-aliased-arguments").await;
    let error = hostile.answers("any.event", &json!({})).await;
    assert_limit(&error, "call-bytes (bytes into or out of one host call): 1800000 bytes used");
}

#[tokio::test]
async fn f15_log_flood() {
    let hostile = Hostile::new("15-log-flood").await;
    let report = hostile.succeeds("any.event", &json!(1_000)).await;
    assert_eq!(report.log.len(), 201);
    let note = &report.log[200].message;
    assert_eq!(note, "800 more log lines were dropped; one invocation keeps 200 (log-lines)");

    let before = hostile.platform.log().await.len();
    let report = hostile.fails("any.event", &json!(10_000)).await;
    assert_ended_by_limit(&report, "host-calls (calls of host functions): 1002 used, 1000 allowed");
    // The lines survive, and the host adds how it ended and what is missing.
    let lines = hostile.platform.log().await.len() - before;
    assert!((202..=203).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn f15_log_long_line() {
    let hostile = Hostile::within("15-log-long-line", with_huge_fuel()).await;
    let report = hostile.succeeds("any.event", &json!({})).await;
    let line = &report.log[0].message;
    let (kept, note) = line.split_once('…').unwrap();
    assert!(kept.len() <= 8 << 10 && kept.len() > (8 << 10) - 3);
    assert_eq!(note, format!(" ({} bytes more)", 1_000_000 - kept.len()));
}

#[tokio::test]
async fn f16_permission_loop() {
    for limits in [Limits::default(), with_huge_fuel()] {
        let hostile = Hostile::within("16-permission-loop", limits).await;
        let report = hostile.fails("any.event", &json!({})).await;
        assert_ended_by_limit(&report, "host-calls");
        assert_eq!(report.usage.host_calls, 1_002);
    }
}

#[tokio::test]
async fn f16_query_loop() {
    let hostile = Hostile::new("16-query-loop").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_limit(report.outcome.as_ref().unwrap_err(), "");
    let hostile = Hostile::within("16-query-loop", with_huge_fuel()).await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended_by_limit(&report, "host-calls");
}

/// The fixture with `thing` declared, and so many records of it.
async fn with_records(fixture: &str, limits: Limits, records: u32) -> Hostile {
    let platform = platform(|builder| builder.limits(limits)).await;
    let entity = "[entities.thing.fields.note]\ntype = \"string\"\n";
    platform.enable(ATTACKER, guests::with_manifest(&guests::hostile(fixture), ATTACKER, entity)).await;
    let things = platform.host.records(system_of(TENANT));
    for number in 0..records {
        things.insert("hostile.thing", &json!({ "note": format!("{number:06}") })).await.unwrap();
    }
    Hostile { platform }
}

#[tokio::test]
async fn f17_query_everything() {
    let hostile = with_records("17-query-everything", with_huge_fuel(), 1_001).await;
    let error = hostile.answers("any.event", &json!({ "limit": 1_000_000 })).await;
    assert_eq!(error.code, ErrorCode::InvalidInput, "{error}");
    for page in [json!({ "limit": 1_000 }), json!({ "limit": 500, "total": true, "sort": ["note"] })] {
        let report = hostile.fails("any.event", &page).await;
        assert!(report.failure.is_none(), "{:?}", report.detail);
        assert_limit(
            report.outcome.as_ref().unwrap_err(),
            "rows-read (records read): 10001 used, 10000 allowed",
        );
        assert!(report.usage.rows_read <= 10_000, "{:?}", report.usage);
    }
}

#[tokio::test]
async fn f18_own_handles() {
    for limits in [Limits::default(), with_huge_fuel()] {
        let hostile = Hostile::within("18-own-handles", limits).await;
        let report = hostile.fails("any.event", &json!({})).await;
        assert_ended!(report, FailureKind::Trap);
        assert!(report.detail.unwrap().contains("handle"));
    }
}

#[tokio::test]
async fn f21_dear_host() {
    let hostile = with_records("21-dear-host", Limits::default(), 1_000).await;
    let report = hostile.platform.call(ATTACKER, "any.event", &Json::Null).await;
    let (few, what) = (15_000, &report.usage);
    match report.outcome {
        Ok(()) => assert!(what.fuel > 100 * few, "{what:?}"),
        Err(error) => assert_limit(&error, ""),
    }
}
