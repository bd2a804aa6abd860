//! A storage that breaks one promise and keeps all others.

use async_trait::async_trait;
use erp_plugin_model::{RecordId, TenantId, Version};
use erp_plugin_storage::{
    ActivationState, Change, Entity, RecordSink, Stamp, StorageResult, Subscription, TenantScope,
    UpdateOutcome,
};
use erp_plugin_storage_conformance::intercept::{Interceptor, Opened};

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    VersionCheck,
    TenantPredicate,
    Subscription,
}

#[async_trait]
impl Interceptor for Broken {
    async fn update(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        let outcome = opened.inner().update(entity, id, expected, change, stamp, sink).await?;
        match (self, outcome) {
            (Self::VersionCheck, UpdateOutcome::VersionMismatch { actual }) => {
                opened.inner().update(entity, id, actual, change, stamp, sink).await
            }
            (Self::TenantPredicate, UpdateOutcome::NotFound) => {
                // The demo's attempt is the first thing in its transaction, so nothing is kept with it.
                let other = TenantScope::granted_by_host(TenantId::parse("northwind").unwrap());
                opened.exchange(&other, opened.options()).await?;
                opened.inner().update(entity, id, expected, change, stamp, sink).await
            }
            (_, outcome) => Ok(outcome),
        }
    }

    async fn set_activation(
        &self,
        opened: &mut Opened,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()> {
        let missing = *self == Self::Subscription && state.plugin.as_str() == "purchasing";
        let kept: Vec<Subscription> = subscriptions
            .iter()
            .filter(|subscription| !(missing && subscription.pattern.as_str() == "inventory.stock.low"))
            .cloned()
            .collect();
        opened.inner().set_activation(state, &kept).await
    }
}
