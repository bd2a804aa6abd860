//! The outbox, seen from invocations.

use std::sync::Arc;

use erp_plugin_model::event::{NewEvent, Publisher};
use erp_plugin_storage::{DispatchOutcome, Storage};

use crate::fixture::{ALPHA, BETA, event, platform, plugin, publish, read, subscribe, work, write};

pub async fn events_become_visible_with_the_commit(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    transaction.publish(&[event("order.created", "k", 0), event("order.created", "k", 1)]).await.unwrap();
    assert_eq!(transaction.event_count().await.unwrap(), 2);
    transaction.commit(None).await.unwrap();
    assert_eq!(read(&storage, ALPHA).await.event_count().await.unwrap(), 2);
    assert_eq!(read(&storage, BETA).await.event_count().await.unwrap(), 0);
}

pub async fn events_go_with_a_rollback(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    for dropped in [false, true] {
        let mut transaction = write(&storage, ALPHA).await;
        transaction.publish(&[event("order.created", "k", 0)]).await.unwrap();
        if dropped {
            drop(transaction);
        } else {
            transaction.rollback(None).await.unwrap();
        }
    }
    assert_eq!(read(&storage, ALPHA).await.event_count().await.unwrap(), 0);
    assert_eq!(platform(&storage).await.dispatch(10).await.unwrap(), DispatchOutcome::default());
}

pub async fn publishing_nothing_is_nothing(storage: Arc<dyn Storage>) {
    publish(&storage, ALPHA, &[]).await;
    assert_eq!(read(&storage, ALPHA).await.event_count().await.unwrap(), 0);
}

pub async fn a_delivery_tells_all_that_was_published(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    let published = NewEvent {
        key: "ключ/'\";--".to_owned(),
        payload: "{\"名前\":\"\\u0000\\\"\",\"n\":12345678901234567890}".to_owned(),
        publisher: Publisher::Plugin(plugin("stock")),
        caused_by: Some(erp_plugin_model::UserId::parse("anna").unwrap()),
        depth: 7,
        ..event("stock.item.low", "", 3)
    };
    publish(&storage, ALPHA, std::slice::from_ref(&published)).await;
    let deliveries = work(&storage).await;
    assert_eq!(deliveries.len(), 1);
    let delivery = &deliveries[0];
    assert_eq!(delivery.tenant.as_str(), ALPHA);
    assert_eq!(delivery.plugin, plugin("sales"));
    assert_eq!((delivery.number, delivery.attempt), (1, 1));
    assert_eq!(delivery.event, published.id);
    assert_eq!(delivery.event_type, published.event_type);
    assert_eq!(delivery.key, published.key);
    assert_eq!(delivery.payload, published.payload);
    assert_eq!(delivery.caused_by, published.caused_by);
    assert_eq!(delivery.depth, published.depth);
}

pub async fn a_done_mark_is_part_of_its_transaction(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    let claimed = work(&storage).await.remove(0);
    let mut undone = write(&storage, ALPHA).await;
    assert!(undone.mark_done(&claimed).await.unwrap());
    undone.rollback(None).await.unwrap();
    let again = work(&storage).await.remove(0);
    assert_eq!((again.event, again.attempt), (claimed.event, 2));
    let mut done = write(&storage, ALPHA).await;
    assert!(done.mark_done(&again).await.unwrap());
    done.commit(None).await.unwrap();
    assert!(work(&storage).await.is_empty());
}

pub async fn a_stale_claim_cannot_mark_done(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    let stale = work(&storage).await.remove(0);
    let current = work(&storage).await.remove(0);
    assert!(current.token > stale.token);
    let mut transaction = write(&storage, ALPHA).await;
    assert!(!transaction.mark_done(&stale).await.unwrap());
    assert!(transaction.mark_done(&current).await.unwrap());
    assert!(!transaction.mark_done(&current).await.unwrap(), "twice");
    transaction.commit(None).await.unwrap();
    assert!(!write(&storage, ALPHA).await.mark_done(&current).await.unwrap(), "once more");
}

pub async fn another_tenant_cannot_mark_done(storage: Arc<dyn Storage>) {
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    let claimed = work(&storage).await.remove(0);
    let mut theirs = write(&storage, BETA).await;
    assert!(!theirs.mark_done(&claimed).await.unwrap());
    theirs.commit(None).await.unwrap();
    assert!(write(&storage, ALPHA).await.mark_done(&claimed).await.unwrap());
}
