//! Events: published into the outbox, worked off from it.

use std::sync::Arc;

use erp_plugin_host_api::Cause;
use erp_plugin_model::event::Delivery;
use erp_plugin_model::{ErrorCode, EventType, HostError, Identity, PluginName, TenantId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::{Failure, Mode};
use tokio::task::JoinSet;

use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::Call;

/// How often a failed delivery is tried again before it is set aside.
const RETRIES: u32 = 3;
/// Events numbered, and streams claimed, in one go.
const DISPATCH_BATCH: u32 = 256;
const CLAIM_BATCH: u32 = 32;

/// A delivery that was set aside.
#[derive(Clone, Debug)]
pub struct ParkedDelivery {
    /// The tenant.
    pub tenant: TenantId,
    /// The plugin that could not handle it.
    pub plugin: PluginName,
    /// The event's type.
    pub event_type: EventType,
    /// What it failed with the last time.
    pub error: HostError,
}

/// What a drain did.
#[derive(Clone, Debug, Default)]
pub struct DrainReport {
    /// Events that were numbered.
    pub events: u64,
    /// Deliveries that were handled.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Fuel that all of it took.
    pub fuel: u64,
    /// Deliveries that were set aside.
    pub parked: Vec<ParkedDelivery>,
}

/// What became of one claimed delivery.
enum Handled {
    Done { fuel: u64 },
    Failed { fuel: u64, parked: Option<ParkedDelivery> },
}

impl Inner {
    pub(crate) async fn publish(
        &self,
        identity: Identity,
        event_type: &str,
        payload: &str,
    ) -> HostResult<()> {
        let mut edge = self.begin_edge(identity, Mode::Write).await?;
        let published = edge.publish(event_type, payload.as_bytes()).await;
        self.end_edge(edge, published).await
    }

    pub(crate) async fn drain(self: &Arc<Self>) -> HostResult<DrainReport> {
        let _alone = self.draining.lock().await;
        let mut report = DrainReport::default();
        loop {
            let mut platform = self.platform().await?;
            let dispatched = platform.dispatch(DISPATCH_BATCH).await?;
            let claimed = platform.claim(CLAIM_BATCH).await?;
            platform.commit().await?;
            report.events += dispatched.events;
            if dispatched.events == 0 && claimed.is_empty() {
                return Ok(report);
            }
            // Each is the head of its own stream, so they do not depend on one another.
            let mut tasks = JoinSet::new();
            for delivery in claimed {
                let inner = Arc::clone(self);
                tasks.spawn(async move { inner.deliver(delivery).await });
            }
            while let Some(handled) = tasks.join_next().await {
                match handled.map_err(|_| HostFailure::ShuttingDown)?? {
                    Handled::Done { fuel } => {
                        report.delivered += 1;
                        report.fuel += fuel;
                    }
                    Handled::Failed { fuel, parked } => {
                        report.failed += 1;
                        report.fuel += fuel;
                        report.parked.extend(parked);
                    }
                }
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) -> HostResult<Handled> {
        let (error, fuel) = match self.handle(&delivery).await {
            Ok((Ok(()), fuel)) => return Ok(Handled::Done { fuel }),
            Ok((Err(error), fuel)) => (error, fuel),
            Err(HostFailure::Refused(error)) => (error, 0),
            // What was installed cannot be loaded: no reason to stop everybody else's deliveries.
            Err(HostFailure::Load(error)) => (HostError::new(ErrorCode::Unavailable, error.to_string()), 0),
            Err(other) => return Err(other),
        };
        let park = delivery.attempt > RETRIES;
        let text = error.to_string();
        let at = self.services.clock.now();
        let mut platform = self.platform().await?;
        platform.record_failure(Failure { delivery: &delivery, error: &text, park, at }).await?;
        platform.commit().await?;
        let parked = park.then(|| ParkedDelivery {
            tenant: delivery.tenant.clone(),
            plugin: delivery.plugin.clone(),
            event_type: delivery.event_type.clone(),
            error,
        });
        Ok(Handled::Failed { fuel, parked })
    }

    async fn handle(&self, delivery: &Delivery) -> HostResult<(Result<(), HostError>, u64)> {
        let active = self.active(&delivery.tenant, &delivery.plugin).await?;
        let report = self
            .invoke(Call {
                identity: Identity::system(
                    delivery.tenant.clone(),
                    self.system.clone(),
                    delivery.caused_by.clone(),
                ),
                active,
                export: Export::HandleEvent {
                    event_type: delivery.event_type.to_string(),
                    payload: delivery.payload.clone(),
                },
                cause: Cause::Delivery(Box::new(delivery.clone())),
                mark: None,
            })
            .await?;
        Ok((report.outcome, report.usage.fuel))
    }
}
