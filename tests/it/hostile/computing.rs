//! Guests that compute for ever, or move memory about, or call themselves.

use std::sync::Arc;
use std::time::Duration;

use erp_plugin::{ErrorCode, FailureKind, Limits};
use erp_plugin_tests::{on_postgres, together};
use serde_json::json;

use super::{HUGE_FUEL, Hostile, assert_ended, refused_in, until_the_deadline};

/// How often the engine looks at a guest.
const TICK: Duration = Duration::from_millis(5);

#[tokio::test]
async fn f01_endless_loop() {
    let hostile = Hostile::new("01-endless-loop").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::OutOfFuel);
    assert_eq!(report.outcome.as_ref().unwrap_err().code, ErrorCode::LimitExceeded);
    assert!(report.usage.fuel >= Limits::default().fuel, "{:?}", report.usage);

    let limits = until_the_deadline();
    let hostile = Hostile::within("01-endless-loop", limits.clone()).await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Deadline);
    let took = Duration::from_micros(report.usage.micros);
    // Not before, and not so long after that anything but a busy machine could be the reason.
    assert!(took >= limits.deadline() && took < limits.deadline() + 100 * TICK, "{took:?}");
}

#[tokio::test]
async fn f01_endless_init() {
    let error = refused_in("init", "01-endless-init").await;
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert!(error.message.starts_with("fuel"), "{error}");
}

#[tokio::test]
async fn f01_write_then_spin() {
    if on_postgres() {
        // Nobody waits for it there, so that it has until its own deadline.
        let hostile = Hostile::within("01-write-then-spin", until_the_deadline()).await;
        assert_ended!(hostile.fails("any.event", &json!({})).await, FailureKind::Deadline);
        return;
    }
    let limits = Limits { fuel: HUGE_FUEL, deadline_ms: 20_000, ..Limits::default() };
    let hostile = Hostile::within("01-write-then-spin", limits).await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::WriterHold);
    assert!(report.outcome.unwrap_err().message.starts_with("writer-hold"));
    assert!(report.usage.micros >= 250_000);
}

#[tokio::test]
async fn f02_bulk_memory() {
    let hostile = Hostile::new("02-bulk-memory").await;
    for event in ["any.fill", "any.copy", "any.init"] {
        assert_ended!(hostile.fails(event, &json!({})).await, FailureKind::OutOfFuel);
    }
    let hostile = Hostile::within("02-bulk-memory", until_the_deadline()).await;
    for event in ["any.fill", "any.copy", "any.init"] {
        assert_ended!(hostile.fails(event, &json!({})).await, FailureKind::Deadline);
    }
}

#[tokio::test]
async fn f05_endless_recursion() {
    let hostile = Hostile::new("05-endless-recursion").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Stack);
    assert_eq!(report.outcome.unwrap_err().code, ErrorCode::LimitExceeded);
}

#[tokio::test]
async fn f05_host_call_deep() {
    let hostile = Hostile::new("05-host-call-deep").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Stack);
    assert!(report.usage.host_calls > 10, "{:?}", report.usage);
}

#[tokio::test]
async fn f12_compute() {
    let hostile = Hostile::new("12-compute").await;
    hostile.succeeds("any.event", &json!(1_000_000)).await;
    assert_ended!(hostile.fails("any.event", &json!(2_000_000)).await, FailureKind::OutOfFuel);

    let hostile = Hostile::within("12-compute", until_the_deadline()).await;
    assert_ended!(hostile.fails("any.event", &json!(4_000_000_000_u32)).await, FailureKind::Deadline);
}

/// More calls than there are sandboxes wait for one another.
#[tokio::test]
async fn an_exhausted_pool_makes_callers_wait() {
    let limits = Limits { fuel: HUGE_FUEL, deadline_ms: 20_000, ..Limits::default() };
    let hostile = Hostile::with("12-compute", |builder| builder.limits(limits).sandboxes(2)).await;
    let hostile = Arc::new(hostile);
    let calls = (0..12).map(|_| {
        let hostile = Arc::clone(&hostile);
        async move { hostile.succeeds("any.event", &json!(1_000_000)).await }
    });
    assert_eq!(together(calls).await.len(), 12);
}
