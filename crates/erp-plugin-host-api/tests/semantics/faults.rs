//! What ends an invocation from below: lost transactions, deadlines, a delivery that is somebody else's by now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_host_api::{Cause, Finish, InvocationContext};
use erp_plugin_model::event::{Delivery, EventPattern};
use erp_plugin_model::{ErrorCode, Limits, WorkerId};
use erp_plugin_storage::{
    ActivationState, ClaimRequest, Mode, PlatformScope, Subscription, TransactionOptions,
};

use crate::fixture::{ALPHA, Fixture, ample, error_of, system};

const ITEM: &str = r#"{"sku":"A","name":"n"}"#;

#[tokio::test]
async fn past_the_deadline_no_storage_call_begins() {
    let fixture = Fixture::new().await;
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    let mut call = fixture.begin(InvocationContext { deadline: past, ..fixture.context() });
    let passed = "fatal: limit-exceeded: the deadline passed while waiting for the database";
    assert_eq!(call.query("item", "", "").await, Err(passed.to_owned()));
    assert_eq!(call.insert("item", ITEM).await, Err(passed.to_owned()));
}

#[tokio::test]
async fn a_writer_held_for_too_long_ends_the_invocation() {
    let fixture = Fixture::new().await;
    let mut call = fixture.limited(Limits { writer_hold_ms: 0, ..Limits::default() });
    let held = "limit-exceeded: the database's writer was held for too long; do less between the first write and the end";
    assert_eq!(call.insert("item", ITEM).await, Err(format!("fatal: {held}")));
    assert_eq!(error_of(&call.finish(Ok(())).await), held);
    assert!(fixture.found("item", "").await.is_empty());
}

#[tokio::test]
async fn a_commit_that_is_lost_is_a_failure_that_may_be_run_again() {
    let fixture = Fixture::new().await;
    let mut call = fixture.call();
    call.insert("item", ITEM).await.unwrap();
    call.publish("inventory.a", "{}").await.unwrap();
    call.log("info", "so far").unwrap();
    fixture.witness.lose_commits();
    let finished = call.finish(Ok(())).await;
    assert_eq!(error_of(&finished), "unavailable: the transaction was lost; try again");
    assert!(matches!(&finished.outcome, Err(Finish::Failed(fatal)) if fatal.may_rerun()));
    assert!(finished.events.is_empty() && !finished.new_entities);
    assert!(fixture.found("item", "").await.is_empty());
    assert_eq!(fixture.event_count().await, 0);
    let kept = fixture.witness.invocations().remove(0);
    assert_eq!((kept.error, kept.log.len()), (Some(ErrorCode::Unavailable), 1));
}

/// An event of alpha that inventory has claimed.
pub(crate) async fn claimed(fixture: &Fixture) -> Delivery {
    let mut transaction = fixture.transaction(ALPHA).await;
    let state = ActivationState {
        plugin: "inventory".parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
        enabled: true,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let subscription = Subscription { pattern: EventPattern::everything(), own_events: true, key: None };
    transaction.set_activation(&state, &[subscription]).await.unwrap();
    transaction.commit(None).await.unwrap();
    let mut call = fixture.call();
    call.publish("inventory.a", "{}").await.unwrap();
    call.commit().await;
    claim(fixture).await.remove(0)
}

async fn claim(fixture: &Fixture) -> Vec<Delivery> {
    let ample =
        TransactionOptions { mode: Mode::Write, deadline: ample(), writer_hold: Duration::from_secs(60) };
    let scope = PlatformScope::granted_by_host();
    let mut platform = fixture.storage.begin_platform(scope, ample).await.unwrap();
    platform.dispatch(10).await.unwrap();
    // Whoever had something in hand is taken for dead.
    for state in platform.workers().await.unwrap() {
        platform.retire(state).await.unwrap();
    }
    let request = ClaimRequest {
        worker: WorkerId(uuid::Uuid::from_u128(1)),
        at: chrono::DateTime::UNIX_EPOCH,
        now: chrono::DateTime::UNIX_EPOCH,
        streams: 10,
        batch: 1,
        per_tenant: 10,
        full: &[],
        subscribers: &[],
    };
    let claimed = platform.claim(&request).await.unwrap();
    platform.commit().await.unwrap();
    claimed.concat()
}

fn handling(fixture: &Fixture, delivery: &Delivery) -> InvocationContext {
    let cause = Cause::Delivery(Box::new(delivery.clone()));
    InvocationContext { cause, identity: Arc::new(system(ALPHA, None)), ..fixture.context() }
}

#[tokio::test]
async fn a_delivery_is_done_when_its_invocation_commits_and_only_then() {
    let fixture = Fixture::new().await;
    let delivery = claimed(&fixture).await;
    fixture.begin(handling(&fixture, &delivery)).refuse().await;
    let again = claim(&fixture).await.remove(0);
    assert_eq!((again.event, again.attempt), (delivery.event, 2));
    let mut call = fixture.begin(handling(&fixture, &again));
    call.publish("inventory.b", "{}").await.unwrap();
    let events = call.commit().await.events;
    assert_eq!((events[0].depth, events[0].caused_by.as_ref()), (1, again.caused_by.as_ref()));
    let next: Vec<String> = claim(&fixture).await.iter().map(|next| next.event_type.to_string()).collect();
    assert_eq!(next, ["inventory.b"]);
}

#[tokio::test]
async fn a_delivery_that_was_claimed_again_rolls_everything_back() {
    let fixture = Fixture::new().await;
    let delivery = claimed(&fixture).await;
    claim(&fixture).await;
    let mut call = fixture.begin(handling(&fixture, &delivery));
    call.insert("item", ITEM).await.unwrap();
    call.publish("inventory.b", "{}").await.unwrap();
    let finished = call.finish(Ok(())).await;
    assert_eq!(error_of(&finished), "unavailable: what was being handled was claimed again meanwhile");
    assert!(matches!(&finished.outcome, Err(Finish::Failed(fatal)) if !fatal.may_rerun()));
    assert!(fixture.found("item", "").await.is_empty());
    assert_eq!(fixture.event_count().await, 1);
    let kept = fixture.witness.invocations().pop().unwrap();
    assert_eq!((kept.error, kept.usage.rows_written), (Some(ErrorCode::Unavailable), 1));
}
