//! One claimed delivery: handled by its plugin or by the platform's own subscriber, and what becomes of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use erp_plugin_host_api::Cause;
use erp_plugin_model::event::{Delivery, RetryPolicy};
use erp_plugin_model::{ErrorCode, HostError, Identity};
use erp_plugin_runtime::Export;
use erp_plugin_storage::{Failure, Mode};
use futures_util::FutureExt as _;

use super::{DeadDelivery, DrainReport, Handler};
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::{Call, EdgeCall, LIFECYCLE_DEADLINE};

/// How an attempt ended.
enum Attempt {
    Done {
        fuel: u64,
    },
    Failed {
        fuel: u64,
        error: HostError,
    },
    /// The plugin was disabled in this moment, or the tenant suspended, or has used up its minute: it waits until that is
    /// over.
    Left,
}

/// What became of a delivery's claim.
pub(super) enum Handled {
    /// It was handled, and the next one can be.
    Done(DrainReport),
    /// The claim ended with it.
    Ended(DrainReport),
}

impl Inner {
    /// Attempts a delivery. `Err` is a fault of the platform, which uses up nobody's attempts.
    pub(super) async fn deliver(&self, delivery: &Delivery) -> HostResult<Handled> {
        let policy = self.retry_policy(delivery);
        let mut report = DrainReport::default();
        let error = if delivery.attempt > policy.retries + 1 {
            // Attempts are counted when they begin, and failures end here at the last one.
            let error = format!("{} attempts ended with the process that made them", delivery.attempt - 1);
            HostError::new(ErrorCode::Internal, error)
        } else {
            match self.attempt(delivery).await? {
                Attempt::Done { fuel } => {
                    return Ok(Handled::Done(DrainReport { delivered: 1, fuel, ..report }));
                }
                Attempt::Left => {
                    self.release(delivery).await?;
                    return Ok(Handled::Ended(report));
                }
                Attempt::Failed { fuel, error } => {
                    report.fuel = fuel;
                    error
                }
            }
        };
        report.failed = 1;
        report.dead.extend(self.fail(delivery, &policy, &error).await?);
        Ok(Handled::Ended(report))
    }

    /// Gives a delivery back that was not attempted, with what was claimed behind it.
    pub(super) async fn release(&self, delivery: &Delivery) -> HostResult<()> {
        let mut platform = self.change_platform().await?;
        platform.release(delivery).await?;
        Ok(platform.commit().await?)
    }

    /// Keeps a failure, and says so if it was the last.
    async fn fail(
        &self,
        delivery: &Delivery,
        policy: &RetryPolicy,
        error: &HostError,
    ) -> HostResult<Option<DeadDelivery>> {
        let text = error.to_string();
        let at = self.services.clock.now();
        let holds_up_all = delivery.key == delivery.tenant.as_str();
        let delay = policy.delay_after(delivery.attempt, holds_up_all, self.spread());
        let retry_at = delay.map(|delay| at + delay);
        let mut platform = self.change_platform().await?;
        let ours = platform.record_failure(Failure { delivery, error: &text, at, retry_at }).await?;
        platform.commit().await?;
        let (tenant, plugin, event_type) = (&delivery.tenant, &delivery.plugin, &delivery.event_type);
        if !ours || retry_at.is_some() {
            let attempt = delivery.attempt;
            tracing::debug!(%tenant, %plugin, %event_type, attempt, error = %text, "a delivery failed");
            return Ok(None);
        }
        tracing::warn!(%tenant, %plugin, %event_type, event = %delivery.event, error = %text, "a delivery failed for good");
        Ok(Some(DeadDelivery::new(delivery, text)))
    }

    /// From 0 to 1, another each time.
    pub(crate) fn spread(&self) -> f64 {
        let id = self.services.ids.new_id(self.services.clock.now());
        let [.., a, b, c, d] = *id.as_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }

    fn retry_policy(&self, delivery: &Delivery) -> RetryPolicy {
        let own = self
            .catalog
            .get_in(&delivery.tenant, &delivery.plugin)
            .map(|plugin| plugin.retry_policy(&delivery.event_type));
        own.unwrap_or_default().capped_by(&self.retry_caps)
    }

    async fn attempt(&self, delivery: &Delivery) -> HostResult<Attempt> {
        if let Some(handlers) = self.subscribed.of(delivery) {
            return self.hand_over(delivery, &handlers).await;
        }
        match self.call_plugin(delivery).await {
            // What was installed cannot be loaded: no reason to stop everybody else's deliveries.
            Err(HostFailure::Load(error)) => Ok(Attempt::Failed {
                fuel: 0,
                error: HostError::new(ErrorCode::Unavailable, error.to_string()),
            }),
            // It waits for its tenant's turn, or until its plugin is in use again.
            Err(HostFailure::Busy(_)) => Ok(Attempt::Left),
            other => other,
        }
    }

    /// Calls the plugin, unless it is not enabled or its tenant is suspended.
    async fn call_plugin(&self, delivery: &Delivery) -> HostResult<Attempt> {
        let Delivery { tenant, plugin, .. } = delivery;
        if self.is_left(delivery).await? {
            return Ok(Attempt::Left);
        }
        let active = match self.ready(tenant, plugin).await {
            Err(HostFailure::Refused(error)) if error.code == ErrorCode::NotFound => {
                // It was archived while it was enabled here by somebody who did not know.
                self.stop(&self.system, tenant, plugin, Some(error.to_string())).await?;
                return Ok(Attempt::Left);
            }
            active => active?,
        };
        let Some(active) = active else { return Ok(Attempt::Left) };
        let call = Call {
            identity: Arc::new(self.identity_of(delivery)),
            active,
            export: Export::HandleEvent {
                event_type: delivery.event_type.to_string(),
                payload: delivery.payload.clone(),
            },
            cause: Cause::Delivery(Box::new(delivery.clone())),
        };
        let report = self.invoke(call).await?;
        match report.outcome {
            Ok(()) => Ok(Attempt::Done { fuel: report.usage.fuel }),
            Err(error) if report.fault.is_some() => Err(error.into()),
            Err(error) => Ok(Attempt::Failed { fuel: report.usage.fuel, error }),
        }
    }

    /// Hands an event to the platform's own subscriber: its handlers and the delivery's mark are one transaction.
    async fn hand_over(&self, delivery: &Delivery, handlers: &[Handler]) -> HostResult<Attempt> {
        if self.is_left(delivery).await? {
            return Ok(Attempt::Left);
        }
        if handlers.is_empty() {
            // It was made for a subscription that was taken back since.
            let error = format!(
                "{} handles no {} any more; subscribe to it and send it again",
                delivery.plugin, delivery.event_type
            );
            return Ok(Attempt::Failed { fuel: 0, error: HostError::new(ErrorCode::Unavailable, error) });
        }
        self.refresh().await?;
        let call = EdgeCall {
            identity: self.identity_of(delivery),
            mode: Mode::Write,
            cause: Cause::Delivery(Box::new(delivery.clone())),
            deadline: Instant::now() + LIFECYCLE_DEADLINE,
        };
        let event = (delivery, handlers);
        let handled = self.edge_invocation(call, &event, |edge, (delivery, handlers)| {
            Box::pin(async move {
                for handler in *handlers {
                    handler(edge, delivery).await?;
                }
                Ok(())
            })
        });
        // A handler's panic is its own failure.
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(ended) => match ended? {
                Ok(()) => Ok(Attempt::Done { fuel: 0 }),
                Err(failure) if failure.platform_fault => Err(failure.error.into()),
                Err(failure) => Ok(Attempt::Failed { fuel: 0, error: failure.error }),
            },
            Err(_) => Ok(Attempt::Failed {
                fuel: 0,
                error: HostError::new(ErrorCode::Internal, "the handler panicked"),
            }),
        }
    }

    /// Whether the tenant was suspended since the claim. What is known of the tenant may be older than that.
    async fn is_left(&self, delivery: &Delivery) -> HostResult<bool> {
        match self.check_open(&delivery.tenant).await {
            Ok(()) => Ok(false),
            Err(_) => self.is_suspended(&delivery.tenant).await,
        }
    }

    fn identity_of(&self, delivery: &Delivery) -> Identity {
        Identity::system(delivery.tenant.clone(), self.system.clone(), delivery.caused_by.clone())
    }
}
