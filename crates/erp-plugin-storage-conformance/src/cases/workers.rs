//! Who works off deliveries, and whether they live.

use std::sync::Arc;

use erp_plugin_model::WorkerId;
use erp_plugin_storage::{Storage, WorkerState};

use crate::fixture::{ALPHA, claim_as, done, event, platform, publish, subscribe, worker, write};

async fn beat(storage: &Arc<dyn Storage>, worker: WorkerId) {
    let mut platform = platform(storage).await;
    platform.beat(worker).await.unwrap();
    platform.commit().await.unwrap();
}

async fn workers(storage: &Arc<dyn Storage>) -> Vec<WorkerState> {
    platform(storage).await.workers().await.unwrap()
}

async fn retire(storage: &Arc<dyn Storage>, state: WorkerState) -> bool {
    let mut platform = platform(storage).await;
    let retired = platform.retire(state).await.unwrap();
    platform.commit().await.unwrap();
    retired
}

/// What a worker claims of a tenant that has two events in one stream.
async fn set_up(storage: &Arc<dyn Storage>) {
    subscribe(storage, ALPHA, "sales", &["*"]).await;
    publish(storage, ALPHA, &[0, 1].map(|n| event("order.created", "k", n))).await;
    let mut numbering = platform(storage).await;
    numbering.dispatch(10).await.unwrap();
    numbering.commit().await.unwrap();
}

pub async fn a_sign_of_life_is_another_each_time(storage: Arc<dyn Storage>) {
    set_up(&storage).await;
    assert!(workers(&storage).await.is_empty());
    let (one, other) = (worker(), worker());
    let mut seen = Vec::new();
    beat(&storage, other).await;
    for step in 0..4 {
        match step {
            0 | 3 => beat(&storage, one).await,
            1 => assert_eq!(claim_as(&storage, one, 10, 1).await.len(), 1),
            _ => {
                let mut platform = platform(&storage).await;
                platform.end_claims(one, &[]).await.unwrap();
                platform.commit().await.unwrap();
            }
        }
        let all = workers(&storage).await;
        assert_eq!(all.len(), 2);
        let own = all.iter().find(|state| state.worker == one).unwrap();
        assert!(!seen.contains(&own.beat), "{seen:?} {}", own.beat);
        seen.push(own.beat);
    }
}

pub async fn who_is_retired_has_nothing_in_hand(storage: Arc<dyn Storage>) {
    set_up(&storage).await;
    let (dead, alive) = (worker(), worker());
    let lost = claim_as(&storage, dead, 10, 1).await.concat();
    assert!(claim_as(&storage, alive, 10, 1).await.is_empty());
    let state = workers(&storage).await.into_iter().find(|state| state.worker == dead).unwrap();
    assert!(retire(&storage, state).await);
    assert!(!retire(&storage, state).await, "it is gone");
    assert!(workers(&storage).await.iter().all(|state| state.worker == alive));
    let again = claim_as(&storage, alive, 10, 1).await.concat();
    assert_eq!((again[0].event, again[0].attempt), (lost[0].event, 2));
    // It lived after all, and comes too late.
    assert!(!write(&storage, ALPHA).await.mark_done(&lost[0]).await.unwrap());
    let mut late = platform(&storage).await;
    late.end_claims(dead, &[&lost[0]]).await.unwrap();
    assert!(!late.release(&lost[0]).await.unwrap());
    late.commit().await.unwrap();
    done(&storage, &again[0]).await;
    assert!(claim_as(&storage, dead, 10, 1).await.is_empty(), "the stream is the other's");
}

pub async fn who_is_retired_attempted_the_first_alone(storage: Arc<dyn Storage>) {
    set_up(&storage).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 2)]).await;
    let mut numbering = platform(&storage).await;
    numbering.dispatch(10).await.unwrap();
    numbering.commit().await.unwrap();
    let dead = worker();
    let lost = claim_as(&storage, dead, 10, 10).await.concat();
    assert_eq!(lost.iter().map(|own| own.attempt).collect::<Vec<_>>(), [1, 1, 1]);
    done(&storage, &lost[0]).await;
    let state = workers(&storage).await.remove(0);
    assert!(retire(&storage, state).await);
    let alive = worker();
    for (lost, attempt) in [(&lost[1], 2), (&lost[2], 1)] {
        let own = claim_as(&storage, alive, 10, 10).await.concat();
        assert_eq!(
            own.iter().map(|own| (own.event, own.attempt)).collect::<Vec<_>>(),
            [(lost.event, attempt)]
        );
        done(&storage, &own[0]).await;
        let mut platform = platform(&storage).await;
        platform.end_claims(alive, &[&own[0]]).await.unwrap();
        platform.commit().await.unwrap();
    }
}

pub async fn a_new_sign_of_life_comes_before_retirement(storage: Arc<dyn Storage>) {
    set_up(&storage).await;
    let one = worker();
    claim_as(&storage, one, 10, 1).await;
    let state = workers(&storage).await.remove(0);
    beat(&storage, one).await;
    assert!(!retire(&storage, state).await);
    assert!(claim_as(&storage, worker(), 10, 1).await.is_empty());
}
