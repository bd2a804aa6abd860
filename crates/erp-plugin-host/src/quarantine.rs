//! A plugin that keeps failing in a tenant is taken out of use there for a while: its calls are refused, its deliveries wait.
//! When the while is over one call tries again, in one of all processes; if it fails too, the next while is twice as long.
//!
//! What counts is an invocation that ended without an answer: a trap, a limit, a deadline. An error that a plugin returns is
//! its say. An event, or a run of a job, that fails again and again counts once: it has its own end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use erp_plugin_host_api::Cause;
use erp_plugin_model::event::{NewEvent, Publisher};
use erp_plugin_model::{ErrorCode, EventId, EventType, HostError, InvocationId, PluginName, TenantId};
use erp_plugin_storage::{AuditEntry, Quarantine, Transaction};
use serde_json::json;
use uuid::Uuid;

use crate::activation::Active;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::Call;
use crate::report::InvocationReport;

/// When a plugin is taken out of use in a tenant, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineOptions {
    /// After so many invocations in a row that ended without an answer; 0 for never. Default: 10.
    pub failures: u32,
    /// For so long the first time, and twice as long each time that it fails when it is tried again. Default: a minute.
    pub pause: Duration,
    /// At most so long. Default: an hour.
    pub max_pause: Duration,
}

impl Default for QuarantineOptions {
    fn default() -> Self {
        Self { failures: 10, pause: Duration::from_mins(1), max_pause: Duration::from_hours(1) }
    }
}

impl QuarantineOptions {
    /// How long it is out of use the so-many-eth time in a row.
    fn pause(&self, times: u32) -> Duration {
        let doubled = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
        self.pause.saturating_mul(doubled).min(self.max_pause)
    }
}

/// What fails at present in this process.
#[derive(Default)]
pub(crate) struct Failing {
    counts: Mutex<HashMap<(TenantId, PluginName), Count>>,
    /// How many there are: almost always none, and then nobody takes the lock.
    len: AtomicUsize,
}

#[derive(Default)]
struct Count {
    failures: u32,
    /// The event, or the run of a job, that failed last.
    last: Option<Uuid>,
}

impl Failing {
    fn succeeded(&self, tenant: &TenantId, plugin: &PluginName) {
        if self.len.load(Ordering::Relaxed) > 0 {
            let mut counts = self.lock();
            counts.remove(&(tenant.clone(), plugin.clone()));
            self.len.store(counts.len(), Ordering::Relaxed);
        }
    }

    /// Returns how many failures in a row that makes.
    fn failed(&self, tenant: &TenantId, plugin: &PluginName, again: Option<Uuid>) -> u32 {
        let mut counts = self.lock();
        let count = counts.entry((tenant.clone(), plugin.clone())).or_default();
        if again.is_none() || count.last != again {
            count.failures += 1;
            count.last = again;
        }
        let failures = count.failures;
        self.len.store(counts.len(), Ordering::Relaxed);
        failures
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, PluginName), Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call of a plugin whose time out of use is over.
pub(crate) struct Trial {
    before: Quarantine,
    /// What it stays out of use with if the trial fails.
    now: Quarantine,
}

/// What is tried again when it fails: an event, a run of a job.
fn tried_again(cause: &Cause) -> Option<Uuid> {
    match cause {
        Cause::Request => None,
        Cause::Delivery(delivery) => Some(delivery.event.0),
        Cause::Run(run) => Some(run.id.0),
    }
}

impl Inner {
    /// Refuses a call of a plugin that is out of use. One whose time is over is tried.
    pub(crate) async fn pass_quarantine(&self, active: &Active) -> HostResult<Option<Trial>> {
        let Some(own) = active.state.as_ref().and_then(|state| state.quarantine.as_ref()) else {
            return Ok(None);
        };
        let (tenant, plugin, now) = (&active.tenant, active.plugin.name(), self.services.clock.now());
        if own.until > now {
            return Err(HostFailure::Busy(out_of_use(tenant, plugin, own)));
        }
        let times = own.times.saturating_add(1);
        let next = Quarantine { until: now + self.quarantine.pause(times), times, ..own.clone() };
        let mut transaction = self.change(tenant).await?;
        // Of all processes one tries, and whoever dies doing it has failed.
        let is_first = transaction.set_quarantine(plugin, Some(own.until), Some(&next)).await?;
        if is_first {
            transaction.commit(None).await?;
        } else {
            transaction.rollback(None).await?;
        }
        self.activations.forget(tenant, plugin);
        if is_first {
            Ok(Some(Trial { before: own.clone(), now: next }))
        } else {
            Err(HostFailure::Busy(out_of_use(tenant, plugin, &next)))
        }
    }

    /// Counts how an invocation ended, and takes its plugin out of use when that was once too often. One that did not take
    /// place, or ended with what is no fault of the plugin's, tells nothing.
    pub(crate) async fn note_ending(
        &self,
        call: &Call,
        ran: &HostResult<InvocationReport>,
        trial: Option<&Trial>,
    ) -> HostResult<()> {
        let active = &call.active;
        let (tenant, plugin) = (&active.tenant, active.plugin.name());
        let report = match (ran, trial) {
            (Ok(report), _) if report.fault.is_none() => report,
            (_, Some(trial)) => return self.take_back(active, trial).await,
            (_, None) => return Ok(()),
        };
        let Some(failure) = &report.failure else {
            self.failing.succeeded(tenant, plugin);
            return match trial {
                Some(trial) => self.release_from_quarantine(active, &trial.now).await,
                None => Ok(()),
            };
        };
        if self.quarantine.failures == 0 {
            return Ok(());
        }
        let failures = self.failing.failed(tenant, plugin, tried_again(&call.cause));
        if trial.is_some() || failures < self.quarantine.failures {
            return Ok(());
        }
        self.failing.succeeded(tenant, plugin);
        tracing::debug!(%tenant, %plugin, ?failure, failures, "once too often");
        let error = report.outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let now = self.services.clock.now();
        let quarantine = Quarantine { since: now, until: now + self.quarantine.pause(1), times: 1, error };
        self.take_out_of_use_in(active, &quarantine, failures).await
    }

    async fn take_out_of_use_in(&self, active: &Active, own: &Quarantine, failures: u32) -> HostResult<()> {
        let (tenant, plugin) = (&active.tenant, active.plugin.name());
        let mut transaction = self.change(tenant).await?;
        if !transaction.set_quarantine(plugin, None, Some(own)).await? {
            return Ok(transaction.rollback(None).await?);
        }
        let detail = format!("{failures} failures in a row, the last: {}", own.error);
        self.tell_of(&mut *transaction, active, "plugin.quarantined", &detail, Some(own.until)).await?;
        transaction.commit(None).await?;
        self.published.notify_one();
        self.activations.forget(tenant, plugin);
        tracing::warn!(%tenant, %plugin, failures, error = %own.error, until = %own.until, "a plugin is out of use");
        Ok(())
    }

    /// Has a trial not have been one: the next call is it.
    async fn take_back(&self, active: &Active, trial: &Trial) -> HostResult<()> {
        let (tenant, plugin) = (&active.tenant, active.plugin.name());
        let mut transaction = self.change(tenant).await?;
        transaction.set_quarantine(plugin, Some(trial.now.until), Some(&trial.before)).await?;
        transaction.commit(None).await?;
        self.activations.forget(tenant, plugin);
        Ok(())
    }

    async fn release_from_quarantine(&self, active: &Active, tried: &Quarantine) -> HostResult<()> {
        let (tenant, plugin) = (&active.tenant, active.plugin.name());
        let mut transaction = self.change(tenant).await?;
        if !transaction.set_quarantine(plugin, Some(tried.until), None).await? {
            return Ok(transaction.rollback(None).await?);
        }
        self.tell_of(&mut *transaction, active, "plugin.released", "a trial went well", None).await?;
        transaction.commit(None).await?;
        self.published.notify_one();
        self.activations.forget(tenant, plugin);
        tracing::info!(%tenant, %plugin, "a plugin is in use again");
        Ok(())
    }

    /// Notes it in the audit trail, and publishes it in the tenant.
    async fn tell_of(
        &self,
        transaction: &mut dyn Transaction,
        active: &Active,
        what: &str,
        detail: &str,
        until: Option<DateTime<Utc>>,
    ) -> HostResult<()> {
        let (tenant, plugin, now) = (&active.tenant, active.plugin.name(), self.services.clock.now());
        let version = active.plugin.record.version.to_string();
        let entry = AuditEntry {
            plugin: Some(plugin.clone()),
            to: Some(version.clone()),
            detail: Some(detail.to_owned()),
            ..self.done(&self.system, what)
        };
        transaction.note_audit(&entry).await?;
        let payload = json!({ "plugin": plugin.as_str(), "version": version, "until": until.map(|until| until.to_rfc3339()), "detail": detail });
        let event = NewEvent {
            id: EventId(self.services.ids.new_id(now)),
            event_type: EventType::parse(what)?,
            key: tenant.to_string(),
            payload: payload.to_string(),
            publisher: Publisher::Platform,
            invocation: InvocationId(self.services.ids.new_id(now)),
            ordinal: 0,
            caused_by: None,
            parent: None,
            depth: 0,
            published_at: now,
        };
        Ok(transaction.publish(&[event]).await?)
    }
}

fn out_of_use(tenant: &TenantId, plugin: &PluginName, own: &Quarantine) -> HostError {
    HostError::new(
        ErrorCode::Unavailable,
        format!(
            "{plugin} is out of use in {tenant} until {}, because it kept failing: {}; enable it there to try at once",
            own.until.format("%Y-%m-%dT%H:%M:%SZ"),
            own.error
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_it_takes_twice_as_long_up_to_the_longest() {
        let options = QuarantineOptions::default();
        let minutes = |times| options.pause(times).as_secs() / 60;
        assert_eq!([1, 2, 3, 6, 7, 40, u32::MAX].map(minutes), [1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn failures_in_a_row_count_and_one_event_counts_once() {
        let failing = Failing::default();
        let (tenant, plugin) = (TenantId::parse("acme").unwrap(), PluginName::parse("inventory").unwrap());
        let event = |number| Some(Uuid::from_u128(number));
        let failed = |event| failing.failed(&tenant, &plugin, event);
        assert_eq!(
            [failed(event(1)), failed(event(1)), failed(event(2)), failed(None), failed(None)],
            [1, 1, 2, 3, 4]
        );
        let other = TenantId::parse("other").unwrap();
        assert_eq!(failing.failed(&other, &plugin, None), 1);
        failing.succeeded(&tenant, &plugin);
        assert_eq!(failed(event(2)), 1);
        assert_eq!(failing.failed(&other, &plugin, None), 2);
    }
}
