//! Guests that ask for memory and tables.

use erp_plugin::{ErrorCode, FailureKind, Limits};
use serde_json::json;

use super::{HUGE_FUEL, Hostile, assert_ended, refused_in};

#[tokio::test]
async fn f03_memory_grow() {
    let hostile = Hostile::new("03-memory-grow").await;
    let report = hostile.succeeds("any.once", &json!({})).await;
    assert!(report.usage.peak_memory <= 1 << 20, "{:?}", report.usage);

    let report = hostile.succeeds("any.step", &json!({})).await;
    let allowed = Limits::default().memory;
    assert!((allowed / 2..=allowed).contains(&report.usage.peak_memory), "{:?}", report.usage);

    let report = hostile.fails("any.abort", &json!({})).await;
    assert_ended!(report, FailureKind::Memory);
    assert!(report.outcome.unwrap_err().message.contains("64 MiB allowed"));

    assert_ended!(hostile.fails("any.zero", &json!({})).await, FailureKind::OutOfFuel);
}

#[tokio::test]
async fn f04_table_grow() {
    let hostile = Hostile::new("04-table-grow").await;
    // What it asked for was refused: it answers err if it was granted.
    hostile.succeeds("any.once", &json!({})).await;
    hostile.succeeds("any.step", &json!({})).await;
    for event in ["any.most", "any.zero", "any.fill"] {
        assert_ended!(hostile.fails(event, &json!({})).await, FailureKind::OutOfFuel);
    }
    let limits = Limits { fuel: HUGE_FUEL, ..Limits::default() };
    Hostile::within("04-table-grow", limits).await.succeeds("any.most", &json!({})).await;
}

/// Each is small enough; only an instance shows that they are too much together.
#[tokio::test]
async fn f06_memories_add_up() {
    let error = refused_in("init", "06-memories-add-up").await;
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    assert!(error.message.starts_with("memory"), "{error}");
}

#[tokio::test]
async fn f06_sparse_data() {
    let hostile = Hostile::new("06-sparse-data").await;
    let report = hostile.succeeds("any.event", &json!({})).await;
    assert!(report.usage.peak_memory <= Limits::default().memory);
}
