//! Deliveries that failed for good.

use std::sync::Arc;

use erp_plugin_model::event::Delivery;
use erp_plugin_storage::{DeadLetter, DeadLetterFilter, Failure, Storage};

use crate::fixture::{
    ALPHA, BETA, claim, claim_as, done, event, fail, pattern, platform, plugin, publish, subscribe, tenant,
    time, work, worker, write,
};

async fn listed(storage: &Arc<dyn Storage>, filter: &DeadLetterFilter) -> Vec<DeadLetter> {
    platform(storage).await.dead_letters(filter, None, 100).await.unwrap()
}

async fn resend(storage: &Arc<dyn Storage>, filter: &DeadLetterFilter, limit: u32) -> u64 {
    let mut platform = platform(storage).await;
    let sent = platform.resend(filter, limit).await.unwrap();
    platform.commit().await.unwrap();
    sent
}

fn numbers(deliveries: &[Delivery]) -> Vec<i64> {
    deliveries.iter().map(|delivery| delivery.number).collect()
}

/// So many events of one stream, of which the first fails for good.
async fn poisoned(storage: &Arc<dyn Storage>, events: u32) -> Delivery {
    subscribe(storage, ALPHA, "sales", &["*"]).await;
    let events: Vec<_> = (0..events).map(|n| event("order.created", "k", n)).collect();
    publish(storage, ALPHA, &events).await;
    let poison = work(storage).await.remove(0);
    assert!(fail(storage, &poison, "it broke", None).await);
    poison
}

pub async fn they_are_listed_the_oldest_first_and_by_filter(storage: Arc<dyn Storage>) {
    for tenant in [BETA, ALPHA] {
        subscribe(&storage, tenant, "sales", &["*"]).await;
        subscribe(&storage, tenant, "mails", &["*"]).await;
        publish(&storage, tenant, &[event("order.created", "k", 0), event("stock.low", "k", 1)]).await;
        let mut numbering = platform(&storage).await;
        numbering.dispatch(10).await.unwrap();
        numbering.commit().await.unwrap();
    }
    for minute in 0..2 {
        for delivery in claim(&storage, 100).await {
            let mut platform = platform(&storage).await;
            let (error, at) = (delivery.plugin.as_str(), time(60 * minute));
            let failure = Failure { delivery: &delivery, error, at, retry_at: None };
            assert!(platform.record_failure(failure).await.unwrap());
            platform.commit().await.unwrap();
        }
    }
    let all = listed(&storage, &DeadLetterFilter::default()).await;
    let order: Vec<_> = all
        .iter()
        .map(|own| format!("{} {} {}", own.delivery.tenant, own.error, own.delivery.number))
        .collect();
    assert_eq!(
        order,
        [
            "beta mails 1",
            "beta sales 1",
            "beta mails 2",
            "beta sales 2",
            "alpha mails 1",
            "alpha sales 1",
            "alpha mails 2",
            "alpha sales 2",
        ]
    );
    let filter = DeadLetterFilter::default;
    for (filter, expected) in [
        (DeadLetterFilter { tenant: Some(tenant(ALPHA)), ..filter() }, vec![4, 5, 6, 7]),
        (DeadLetterFilter { plugin: Some(plugin("mails")), ..filter() }, vec![0, 2, 4, 6]),
        (DeadLetterFilter { pattern: Some(pattern("stock.low")), ..filter() }, vec![2, 3, 6, 7]),
        (DeadLetterFilter { pattern: Some(pattern("order.*")), ..filter() }, vec![0, 1, 4, 5]),
        (DeadLetterFilter { pattern: Some(pattern("*")), ..filter() }, (0..8).collect()),
        (DeadLetterFilter { event: Some(all[2].delivery.event), ..filter() }, vec![2, 3]),
        (DeadLetterFilter { since: Some(time(60)), ..filter() }, vec![2, 3, 6, 7]),
        (DeadLetterFilter { until: Some(time(60)), ..filter() }, vec![0, 1, 4, 5]),
        (
            DeadLetterFilter { tenant: Some(tenant(BETA)), plugin: Some(plugin("sales")), ..filter() },
            vec![1, 3],
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|at: usize| all[at].clone()).collect();
        assert_eq!(listed(&storage, &filter).await, expected, "{filter:?}");
    }
    let mut platform = platform(&storage).await;
    let page = platform.dead_letters(&filter(), Some(&all[2].delivery), 3).await.unwrap();
    assert_eq!(page, all[3..6]);
}

pub async fn what_is_sent_again_comes_next_in_its_stream(storage: Arc<dyn Storage>) {
    let poison = poisoned(&storage, 4).await;
    let second = claim(&storage, 10).await.remove(0);
    assert_eq!(second.number, 2);
    done(&storage, &second).await;
    // The third waits to be tried again, and comes behind it.
    let third = claim(&storage, 10).await.remove(0);
    assert!(fail(&storage, &third, "it broke too", Some(time(2_000_000))).await);
    assert_eq!(resend(&storage, &DeadLetterFilter::default(), 10).await, 1);
    assert!(listed(&storage, &DeadLetterFilter::default()).await.is_empty());
    assert_eq!(resend(&storage, &DeadLetterFilter::default(), 10).await, 0);
    let again = claim(&storage, 10).await.remove(0);
    assert_eq!((again.event, again.number, again.attempt), (poison.event, 1, 1));
    assert!(!write(&storage, ALPHA).await.mark_done(&poison).await.unwrap(), "by its old claim");
    done(&storage, &again).await;
    for number in [3, 4] {
        let next = claim(&storage, 10).await.remove(0);
        assert_eq!(next.number, number);
        done(&storage, &next).await;
    }
    assert!(claim(&storage, 10).await.is_empty());
}

pub async fn a_stream_in_hand_gets_what_is_sent_again_afterwards(storage: Arc<dyn Storage>) {
    let poison = poisoned(&storage, 3).await;
    let one = worker();
    let rest = claim_as(&storage, one, 10, 10).await.concat();
    assert_eq!(numbers(&rest), [2, 3]);
    assert_eq!(resend(&storage, &DeadLetterFilter::default(), 10).await, 1);
    assert!(claim_as(&storage, worker(), 10, 10).await.is_empty(), "the stream is in hand");
    for delivery in &rest {
        done(&storage, delivery).await;
    }
    let mut ending = platform(&storage).await;
    ending.end_claims(one, &[&rest[1]]).await.unwrap();
    ending.commit().await.unwrap();
    let again = claim_as(&storage, one, 10, 10).await.concat();
    assert_eq!((numbers(&again), again[0].event), (vec![1], poison.event));
}

pub async fn what_is_dropped_is_never_delivered(storage: Arc<dyn Storage>) {
    let poison = poisoned(&storage, 2).await;
    let drop_all = async |filter: DeadLetterFilter| {
        let mut platform = platform(&storage).await;
        let dropped = platform.drop_dead_letters(&filter, 10).await.unwrap();
        platform.commit().await.unwrap();
        dropped
    };
    let elsewhere = DeadLetterFilter { tenant: Some(tenant(BETA)), ..DeadLetterFilter::default() };
    assert_eq!(drop_all(elsewhere).await, 0);
    assert_eq!(drop_all(DeadLetterFilter::default()).await, 1);
    assert_eq!(drop_all(DeadLetterFilter::default()).await, 0);
    assert_eq!(resend(&storage, &DeadLetterFilter::default(), 10).await, 0);
    let next = claim(&storage, 10).await;
    assert_eq!(numbers(&next), [2]);
    let status = platform(&storage).await.deliveries(&tenant(ALPHA), poison.event).await.unwrap();
    assert_eq!((status[0].state.as_str(), status[0].attempts), ("dropped", 1));
}
