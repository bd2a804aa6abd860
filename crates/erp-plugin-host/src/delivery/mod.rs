//! Events: published into the outbox, worked off from it.

mod attempt;
mod liveness;
mod subscribers;
mod worker;

use erp_plugin_model::event::Delivery;
use erp_plugin_model::{EventId, EventType, Identity, PluginName, TenantId};
use erp_plugin_storage::Mode;

use crate::error::HostResult;
use crate::host::Inner;

pub(crate) use subscribers::{Handler, Subscribed};
pub use subscribers::{HandlerFuture, Received};
pub(crate) use worker::Drainer;
pub use worker::{WorkerHandle, WorkerOptions};

/// A delivery that failed for good.
#[derive(Clone, Debug)]
pub struct DeadDelivery {
    /// The tenant.
    pub tenant: TenantId,
    /// The plugin, or the platform's own subscriber, that could not handle it.
    pub plugin: PluginName,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// How often it was attempted.
    pub attempts: u32,
    /// What it failed with the last time: `code: message`.
    pub error: String,
}

impl DeadDelivery {
    fn new(delivery: &Delivery, error: String) -> Self {
        Self {
            tenant: delivery.tenant.clone(),
            plugin: delivery.plugin.clone(),
            event: delivery.event,
            event_type: delivery.event_type.clone(),
            attempts: delivery.attempt,
            error,
        }
    }
}

/// What was worked off.
#[derive(Clone, Debug, Default)]
pub struct DrainReport {
    /// Events that were numbered.
    pub events: u64,
    /// Deliveries that were handled.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Runs of jobs that were done.
    pub runs: u64,
    /// Runs of jobs that failed for good.
    pub failed_runs: u64,
    /// Fuel that all of it took.
    pub fuel: u64,
    /// Deliveries that failed for good.
    pub dead: Vec<DeadDelivery>,
}

impl DrainReport {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { events, delivered, failed, runs, failed_runs, fuel, dead } = other;
        self.runs += runs;
        self.failed_runs += failed_runs;
        self.events += events;
        self.delivered += delivered;
        self.failed += failed;
        self.fuel += fuel;
        self.dead.extend(dead);
    }
}

impl Inner {
    pub(crate) async fn publish(
        &self,
        identity: Identity,
        event_type: &str,
        key: Option<&str>,
        payload: &str,
    ) -> HostResult<()> {
        let key = key.unwrap_or(identity.tenant.as_str()).to_owned();
        let event = [event_type.to_owned(), key, payload.to_owned()];
        self.at_edge(identity, Mode::Write, &event, |edge, [event_type, key, payload]| {
            Box::pin(edge.publish_in_order(event_type, key, payload.as_bytes()))
        })
        .await?;
        self.published.notify_one();
        Ok(())
    }
}
