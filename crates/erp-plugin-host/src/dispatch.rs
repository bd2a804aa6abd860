//! Events: published into the outbox, worked off from it.

use std::sync::Arc;

use erp_plugin_host_api::Cause;
use erp_plugin_model::event::Delivery;
use erp_plugin_model::{ErrorCode, EventId, EventType, HostError, Identity, PluginName, TenantId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::{Failure, Mode};
use tokio::task::JoinSet;

use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::Call;
use crate::report::InvocationReport;

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
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// How often it was attempted.
    pub attempts: u32,
    /// What it failed with the last time: `code: message`.
    pub error: String,
}

impl ParkedDelivery {
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
    Done {
        fuel: u64,
    },
    Failed {
        fuel: u64,
        parked: Option<ParkedDelivery>,
    },
    /// The plugin was disabled in this moment, or the tenant suspended: it waits until that is over.
    Left,
}

/// How an attempt ended.
enum Attempt {
    Done { fuel: u64 },
    Failed { fuel: u64, error: HostError },
    Left,
}

impl DrainReport {
    fn add(&mut self, handled: Handled) {
        match handled {
            Handled::Done { fuel } => {
                self.delivered += 1;
                self.fuel += fuel;
            }
            Handled::Failed { fuel, parked } => {
                self.failed += 1;
                self.fuel += fuel;
                self.parked.extend(parked);
            }
            Handled::Left => {}
        }
    }
}

impl Inner {
    pub(crate) async fn publish(
        &self,
        identity: Identity,
        event_type: &str,
        payload: &str,
    ) -> HostResult<()> {
        let event = [event_type.to_owned(), payload.to_owned()];
        self.at_edge(identity, Mode::Write, &event, |edge, [event_type, payload]| {
            Box::pin(edge.publish(event_type, payload.as_bytes()))
        })
        .await
    }

    /// In rounds: there are no leases yet, so what was claimed must be done before a stream is claimed again.
    pub(crate) async fn drain(self: &Arc<Self>) -> HostResult<DrainReport> {
        let _alone = self.draining.lock().await;
        let mut report = DrainReport::default();
        loop {
            let mut platform = self.change_platform().await?;
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
            // A fault of one ends the drain, but none of the others half-way.
            let (mut fault, mut panicked) = (None, None);
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok(Ok(handled)) => report.add(handled),
                    Ok(Err(error)) => fault = Some(error),
                    Err(ended) => match ended.try_into_panic() {
                        Ok(panic) => panicked = Some(panic),
                        Err(_) => fault = Some(HostFailure::ShuttingDown),
                    },
                }
            }
            if let Some(panic) = panicked {
                std::panic::resume_unwind(panic);
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
    }

    /// Deliveries that were set aside, the oldest first.
    pub(crate) async fn parked(&self, limit: u32) -> HostResult<Vec<ParkedDelivery>> {
        let mut platform = self.look_at_platform().await?;
        let parked = platform.parked(limit).await?;
        platform.rollback().await?;
        Ok(parked.into_iter().map(|parked| ParkedDelivery::new(&parked.delivery, parked.error)).collect())
    }

    async fn deliver(&self, delivery: Delivery) -> HostResult<Handled> {
        let (error, fuel) = if delivery.attempt > RETRIES + 1 {
            // Attempts are counted when they begin, and failures end here at the last one.
            let error = format!("{} attempts ended with the process that made them", delivery.attempt - 1);
            (HostError::new(ErrorCode::Internal, error), 0)
        } else {
            match self.attempt(&delivery).await? {
                Attempt::Done { fuel } => return Ok(Handled::Done { fuel }),
                Attempt::Left => return Ok(Handled::Left),
                Attempt::Failed { fuel, error } => (error, fuel),
            }
        };
        let park = delivery.attempt > RETRIES;
        let text = error.to_string();
        let at = self.services.clock.now();
        let mut platform = self.change_platform().await?;
        let ours = platform.record_failure(Failure { delivery: &delivery, error: &text, park, at }).await?;
        platform.commit().await?;
        let parked = (park && ours).then(|| ParkedDelivery::new(&delivery, text));
        Ok(Handled::Failed { fuel, parked })
    }

    /// Calls the plugin. `Err` is a fault of the platform, for which the plugin's attempts are not used up.
    async fn attempt(&self, delivery: &Delivery) -> HostResult<Attempt> {
        let ended = self.handle(delivery).await;
        match ended {
            Ok(Some(report)) => match report.outcome {
                Ok(()) => Ok(Attempt::Done { fuel: report.usage.fuel }),
                Err(error) if report.platform_fault => self.give_back(delivery, error.into()).await,
                Err(error) => Ok(Attempt::Failed { fuel: report.usage.fuel, error }),
            },
            Ok(None) => {
                self.release(delivery).await?;
                Ok(Attempt::Left)
            }
            // What was installed cannot be loaded: no reason to stop everybody else's deliveries.
            Err(HostFailure::Load(error)) => Ok(Attempt::Failed {
                fuel: 0,
                error: HostError::new(ErrorCode::Unavailable, error.to_string()),
            }),
            Err(fault) => self.give_back(delivery, fault).await,
        }
    }

    /// Gives a delivery back that the platform itself could not attempt.
    async fn give_back(&self, delivery: &Delivery, fault: HostFailure) -> HostResult<Attempt> {
        // The fault is worth telling, not that the database it came from also fails at this.
        drop(self.release(delivery).await);
        Err(fault)
    }

    async fn release(&self, delivery: &Delivery) -> HostResult<()> {
        let mut platform = self.change_platform().await?;
        platform.release(delivery).await?;
        Ok(platform.commit().await?)
    }

    /// Calls the plugin; `None` if it is not enabled, or its tenant is suspended.
    async fn handle(&self, delivery: &Delivery) -> HostResult<Option<InvocationReport>> {
        let Delivery { tenant, plugin, .. } = delivery;
        let mut active = match self.active(tenant, plugin).await {
            Err(HostFailure::Refused(error)) if error.code == ErrorCode::NotFound => {
                // It was archived while it was enabled here by somebody who did not know.
                self.set_enabled(tenant, plugin, false).await?;
                return Ok(None);
            }
            active => active?,
        };
        if !active.is_enabled() {
            // It was when the delivery was claimed, perhaps by another process's doing.
            self.activations.forget(tenant, plugin);
            active = self.active(tenant, plugin).await?;
        }
        // What was claimed before its tenant was suspended waits; what is known of the tenant may be older than the claim.
        let is_left = match self.check_open(tenant).await {
            Ok(()) => false,
            Err(_) => self.is_suspended(tenant).await?,
        };
        if !active.is_enabled() || is_left {
            return Ok(None);
        }
        let call = Call {
            identity: Identity::system(tenant.clone(), self.system.clone(), delivery.caused_by.clone()),
            active,
            export: Export::HandleEvent {
                event_type: delivery.event_type.to_string(),
                payload: delivery.payload.clone(),
            },
            cause: Cause::Delivery(Box::new(delivery.clone())),
            mark: None,
        };
        Ok(Some(self.invoke(call).await?))
    }
}
