//! Subscribers of the platform's own.

use std::sync::Arc;

use erp_plugin_model::PluginName;
use erp_plugin_model::event::{Delivery, NewEvent, Publisher};
use erp_plugin_storage::{ClaimRequest, Storage};

use crate::fixture::{
    ALPHA, BETA, claim_as, claim_with, done, event, pattern, platform, plugin, publish, request, subscribe,
    worker,
};

async fn of_platform(storage: &Arc<dyn Storage>, name: &str, text: &str) -> bool {
    let mut platform = platform(storage).await;
    let is_new = platform.subscribe(&plugin(name), &pattern(text)).await.unwrap();
    platform.commit().await.unwrap();
    is_new
}

async fn dispatch(storage: &Arc<dyn Storage>) -> u64 {
    let mut platform = platform(storage).await;
    let outcome = platform.dispatch(100).await.unwrap();
    platform.commit().await.unwrap();
    outcome.deliveries
}

async fn claim_for(storage: &Arc<dyn Storage>, subscribers: &[PluginName]) -> Vec<Delivery> {
    let request = ClaimRequest { batch: 10, subscribers, ..request() };
    claim_with(storage, &request).await.concat()
}

fn who(deliveries: &[Delivery]) -> Vec<String> {
    let mut who: Vec<_> =
        deliveries.iter().map(|own| format!("{} {} {}", own.tenant, own.plugin, own.event_type)).collect();
    who.sort();
    who
}

pub async fn the_platforms_own_get_what_they_subscribe_to_in_every_tenant(storage: Arc<dyn Storage>) {
    assert!(of_platform(&storage, "core", "order.*").await);
    assert!(of_platform(&storage, "core", "order.created").await);
    assert!(!of_platform(&storage, "core", "order.*").await, "it is there");
    assert!(of_platform(&storage, "core-mail", "stock.low").await);
    let all: Vec<_> = platform(&storage)
        .await
        .subscriptions()
        .await
        .unwrap()
        .into_iter()
        .map(|(name, pattern)| format!("{name} {}", pattern.as_str()))
        .collect();
    assert_eq!(all, ["core order.*", "core order.created", "core-mail stock.low"]);
    let by_plugin = NewEvent { publisher: Publisher::Plugin(plugin("sales")), ..event("stock.low", "k", 1) };
    for tenant in [ALPHA, BETA] {
        publish(&storage, tenant, &[event("order.created", "k", 0), by_plugin.clone()]).await;
    }
    // Once each, however many patterns match, and those of the platform itself as well.
    assert_eq!(dispatch(&storage).await, 4);
    let claimed = claim_for(&storage, &[plugin("core"), plugin("core-mail")]).await;
    let expected = [
        "alpha core order.created",
        "alpha core-mail stock.low",
        "beta core order.created",
        "beta core-mail stock.low",
    ];
    assert_eq!(who(&claimed), expected);
    let mut taking_back = platform(&storage).await;
    assert!(taking_back.unsubscribe(&plugin("core"), &pattern("order.*")).await.unwrap());
    assert!(!taking_back.unsubscribe(&plugin("core"), &pattern("order.*")).await.unwrap());
    taking_back.commit().await.unwrap();
    publish(&storage, ALPHA, &[event("order.paid", "k", 2), event("order.created", "k", 3)]).await;
    assert_eq!(dispatch(&storage).await, 1);
}

pub async fn they_are_claimed_by_those_who_can_hand_something_to_them(storage: Arc<dyn Storage>) {
    of_platform(&storage, "core", "*").await;
    of_platform(&storage, "core-mail", "*").await;
    subscribe(&storage, ALPHA, "sales", &["*"]).await;
    publish(&storage, ALPHA, &[event("order.created", "k", 0)]).await;
    assert_eq!(dispatch(&storage).await, 3);
    // Whoever has no handler passes over them, whatever the limit.
    let plain = claim_as(&storage, worker(), 1, 1).await.concat();
    assert_eq!(who(&plain), ["alpha sales order.created"]);
    done(&storage, &plain[0]).await;
    assert!(claim_as(&storage, worker(), 10, 1).await.is_empty());
    let mails = claim_for(&storage, &[plugin("core-mail")]).await;
    assert_eq!(who(&mails), ["alpha core-mail order.created"]);
    assert_eq!(
        who(&claim_for(&storage, &[plugin("core"), plugin("core-mail")]).await),
        ["alpha core order.created"]
    );
}
