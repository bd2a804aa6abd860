//! Subscribers of the platform's own: they get events of every tenant.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_model::event::EventPattern;

use crate::StorageResult;

/// The platform's own subscriptions.
#[async_trait]
pub trait Subscribers: Send {
    /// Has a subscriber get what matches, beside what it gets already; returns whether that is new. It is remembered until
    /// taken back.
    ///
    /// Held by `subscribers::the_platforms_own_get_what_they_subscribe_to_in_every_tenant`.
    async fn subscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool>;

    /// Takes a subscription back, and returns whether there was one. What was assigned before stays so.
    ///
    /// Held by `subscribers::the_platforms_own_get_what_they_subscribe_to_in_every_tenant`.
    async fn unsubscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool>;

    /// Every subscription, by subscriber and pattern.
    ///
    /// Held by `subscribers::the_platforms_own_get_what_they_subscribe_to_in_every_tenant`.
    async fn subscriptions(&mut self) -> StorageResult<Vec<(PluginName, EventPattern)>>;
}
