//! Guests that misbehave where they are called: starting, being handed something, answering, trapping.

use erp_plugin::{ErrorCode, FailureKind, HostFailure};
use erp_plugin_tests::{TENANT, guests};
use serde_json::json;

use super::{ATTACKER, Hostile, alone, assert_ended, platform, refused_in, until_the_deadline};

/// What of a failure's kind has no fields, to compare with.
fn is_plain_trap(kind: &FailureKind) -> bool {
    matches!(kind, FailureKind::Trap)
}

#[tokio::test]
async fn f09_endless_start() {
    let error = refused_in("init", "09-endless-start").await;
    assert!(error.message.starts_with("fuel"), "{error}");
    let failure = alone("09-endless-start", "deadline = 200", "any.event").await;
    assert!(matches!(failure.kind, FailureKind::Deadline), "{failure}");
}

#[tokio::test]
async fn f09_start_writes() {
    let platform = platform(|builder| builder).await;
    platform.try_install(ATTACKER, guests::hostile("09-start-writes")).await.unwrap();
    assert_eq!(platform.records("hostile.thing").await.len(), 0, "trying it out left a record");
    platform.host.enable(TENANT, ATTACKER).await.unwrap();
    let hostile = Hostile { platform };
    let lifecycle = hostile.traces().await.records.len();
    assert_eq!(lifecycle, 2, "init and on-tenant-created are an invocation each");
    let error = hostile.answers("any.fail", &json!({})).await;
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Rejected, "failed"));
    hostile.succeeds("any.event", &json!({})).await;
    assert_eq!(hostile.traces().await.records.len(), lifecycle + 1);
}

#[tokio::test]
async fn f10_realloc_traps() {
    refused_in("on-tenant-created", "10-realloc-traps").await;
    let failure = alone("10-realloc-traps", "", "any.event").await;
    assert!(matches!(failure.kind, FailureKind::Unreachable), "{failure}");
}

#[tokio::test]
async fn f10_realloc_out_of_range() {
    refused_in("on-tenant-created", "10-realloc-out-of-range").await;
    let failure = alone("10-realloc-out-of-range", "", "any.event").await;
    assert!(is_plain_trap(&failure.kind), "{failure}");
}

#[tokio::test]
async fn f10_realloc_spins() {
    let error = refused_in("on-tenant-created", "10-realloc-spins").await;
    assert!(error.message.starts_with("fuel"), "{error}");
    let failure = alone("10-realloc-spins", "deadline = 200", "any.event").await;
    assert!(matches!(failure.kind, FailureKind::Deadline), "{failure}");
}

#[tokio::test]
async fn f10_realloc_calls_host() {
    refused_in("on-tenant-created", "10-realloc-calls-host").await;
    let failure = alone("10-realloc-calls-host", "", "any.event").await;
    assert!(is_plain_trap(&failure.kind), "{failure}");
    assert!(failure.detail.contains("cannot leave component instance"), "{}", failure.detail);
}

#[tokio::test]
async fn f10_realloc_traps_in_host_call() {
    let hostile = Hostile::new("10-realloc-traps-in-host-call").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Unreachable);
    assert_eq!(report.writes.len(), 1, "it was to be undone");
}

#[tokio::test]
async fn f10_bad_answer() {
    let hostile = Hostile::new("10-bad-answer").await;
    for verb in ["outside", "unaligned", "case", "text", "wrap", "utf8", "half"] {
        assert_ended!(hostile.fails(&format!("any.{verb}"), &json!({})).await, FailureKind::Trap);
    }
    assert_eq!(hostile.answers("any.other", &json!({})).await.message, "plain");
}

#[tokio::test]
async fn f10_bad_arguments() {
    let hostile = Hostile::new("10-bad-arguments").await;
    for (verb, host_calls) in [("text", 0), ("wrap", 0), ("result", 1), ("unaligned", 1)] {
        let report = hostile.fails(&format!("any.{verb}"), &json!({})).await;
        assert_ended!(report, FailureKind::Trap);
        assert!(report.usage.host_calls <= host_calls, "{verb}: {:?}", report.usage);
    }
    hostile.succeeds("any.other", &json!({})).await;
}

#[tokio::test]
async fn f10_post_return() {
    let hostile = Hostile::new("10-post-return").await;
    assert_ended!(hostile.fails("any.spin", &json!({})).await, FailureKind::OutOfFuel);
    assert_ended!(hostile.fails("any.trap", &json!({})).await, FailureKind::Unreachable);
    let report = hostile.fails("any.call", &json!({})).await;
    assert_ended!(report, FailureKind::Trap);
    assert_eq!(report.usage.host_calls, 1, "the insert, and nothing after the answer");
    hostile.succeeds("any.other", &json!({})).await;
    assert_eq!(hostile.traces().await.records.len(), 1);

    let hostile = Hostile::within("10-post-return", until_the_deadline()).await;
    let report = hostile.fails("any.spin", &json!({})).await;
    assert_ended!(report, FailureKind::Deadline);
}

#[tokio::test]
async fn f11_unreachable() {
    let hostile = Hostile::new("11-unreachable").await;
    let report = hostile.fails("any.event", &json!({})).await;
    assert_ended!(report, FailureKind::Unreachable);
    assert_eq!(report.outcome.as_ref().unwrap_err().code, ErrorCode::Internal);
    // The operator reads where it happened.
    let detail = report.detail.unwrap();
    assert!(hostile.platform.log().await.iter().any(|line| line.ends_with(&detail)), "{detail}");
}

#[tokio::test]
async fn f11_after_trap() {
    let hostile = Hostile::new("11-after-trap").await;
    for _ in 0..3 {
        assert_ended!(hostile.fails("any.trap", &json!({})).await, FailureKind::Unreachable);
        // The guest counts its calls; one that it trapped in is never called again.
        assert_eq!(hostile.answers("any.calls", &json!({})).await.message, "1");
    }
    hostile.succeeds("any.other", &json!({})).await;
}

#[tokio::test]
async fn f11_other_traps() {
    let hostile = Hostile::new("11-other-traps").await;
    for verb in ["load", "zero", "overflow", "null", "kind", "place", "float"] {
        assert_ended!(hostile.fails(&format!("any.{verb}"), &json!({})).await, FailureKind::Trap);
    }
    hostile.succeeds("any.other", &json!({})).await;
}

/// One invocation is one transaction; `atomicity` has the rest.
#[tokio::test]
async fn atomic() {
    let hostile = Hostile::new("atomic").await;
    let error = hostile.answers("any.fail", &json!({})).await;
    assert_eq!(error.message, "failed on purpose");
    assert_ended!(hostile.fails("any.trap", &json!({})).await, FailureKind::Unreachable);
    hostile.succeeds("any.other", &json!({})).await;
    let traces = hostile.traces().await;
    assert_eq!((traces.records.len(), traces.events), (1, 1));
}

#[tokio::test]
async fn a_refused_installation_can_be_repeated_with_a_better_component() {
    let platform = platform(|builder| builder).await;
    let failure = platform.try_install(ATTACKER, guests::hostile("01-endless-init")).await.unwrap_err();
    assert!(matches!(failure, HostFailure::Lifecycle { .. }), "{failure}");
    platform.enable(ATTACKER, guests::hostile("atomic")).await;
}
