//! One claimed run: an invocation, and what becomes of it.

use std::sync::Arc;

use chrono::{Duration, SecondsFormat};
use erp_plugin_host_api::{Cause, escape_control};
use erp_plugin_model::job::JobRun;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{ErrorCode, HostError, Identity};
use erp_plugin_runtime::Export;
use erp_plugin_storage::RunFailure;
use serde_json::json;
use serde_json::value::RawValue;

use crate::activation::Active;
use crate::delivery::DrainReport;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::Call;
use crate::report::InvocationReport;

/// How long a run waits whose attempt could not take place.
const PAUSE: Duration = Duration::seconds(1);
/// The longest error that the history keeps, in bytes.
const LONGEST_NOTE: usize = 4096;

impl Inner {
    /// Attempts a run. `Err` is a fault of the platform, which uses up nobody's attempts.
    pub(super) async fn attempt_run(&self, run: &JobRun) -> HostResult<DrainReport> {
        let Some(active) = self.active_for(run).await? else {
            self.release_run(run).await?;
            return Ok(DrainReport::default());
        };
        let Some(policy) = active.plugin.job(&run.job).map(|job| job.retry.capped_by(&self.retry_caps))
        else {
            let error = HostError::not_found(format!("{} has no job {} any more", run.plugin, run.job));
            return self.fail_run(run, &error, None, 0).await;
        };
        // Attempts are counted when they begin.
        if run.attempt > policy.retries + 1 {
            let error = format!("{} attempts ended with the process that made them", run.attempt - 1);
            return self.fail_run(run, &HostError::new(ErrorCode::Internal, error), None, 0).await;
        }
        let (error, fuel) = match self.invoke_run(run, active).await {
            Ok(report) => match report.outcome {
                Ok(()) => {
                    return Ok(DrainReport { runs: 1, fuel: report.usage.fuel, ..DrainReport::default() });
                }
                Err(error) if report.fault.is_some() => return Err(error.into()),
                Err(error) => (error, report.usage.fuel),
            },
            // It waits for its tenant's turn.
            Err(HostFailure::Busy(_)) => {
                self.release_run(run).await?;
                return Ok(DrainReport::default());
            }
            // What was installed cannot be loaded.
            Err(HostFailure::Load(error)) => (HostError::new(ErrorCode::Unavailable, error.to_string()), 0),
            Err(fault) => return Err(fault),
        };
        let delay = policy.delay_after(run.attempt, false, self.spread());
        self.fail_run(run, &error, delay, fuel).await
    }

    /// Calls the plugin for a run: what it does and that the run is done are one transaction.
    pub(super) async fn invoke_run(&self, run: &JobRun, active: Active) -> HostResult<InvocationReport> {
        let call = Call {
            identity: Arc::new(Identity::system(run.tenant.clone(), self.system.clone(), None)),
            active,
            export: Export::HandleEvent { event_type: format!("job.{}", run.job), payload: payload_of(run)? },
            cause: Cause::Run(Box::new(run.clone())),
        };
        self.invoke(call).await
    }

    /// The plugin in the run's tenant; `None` if it is disabled there by now, or the tenant is suspended.
    async fn active_for(&self, run: &JobRun) -> HostResult<Option<Active>> {
        let JobRun { tenant, plugin, .. } = run;
        let is_left = match self.check_open(tenant).await {
            Ok(()) => false,
            Err(_) => self.is_suspended(tenant).await?,
        };
        if is_left {
            return Ok(None);
        }
        match self.ready(tenant, plugin).await {
            Err(HostFailure::Refused(error)) if error.code == ErrorCode::NotFound => {
                // It was archived while it was enabled here by somebody who did not know.
                self.stop(&self.system, tenant, plugin, Some(error.to_string())).await?;
                Ok(None)
            }
            Ok(Some(active)) if active.plugin.job(&run.job).is_none() => {
                // Another process may have installed another version.
                self.look_again().await?;
                self.ready(tenant, plugin).await
            }
            ready => ready,
        }
    }

    /// Gives a run back that was not attempted.
    pub(super) async fn release_run(&self, run: &JobRun) -> HostResult<()> {
        let due_at = to_micros(self.services.clock.now()) + PAUSE;
        let mut platform = self.change_platform().await?;
        platform.release_run(run, due_at).await?;
        Ok(platform.commit().await?)
    }

    /// Keeps a failure, and says so if it was the last.
    pub(super) async fn fail_run(
        &self,
        run: &JobRun,
        error: &HostError,
        delay: Option<std::time::Duration>,
        fuel: u64,
    ) -> HostResult<DrainReport> {
        let text = escape_control(&error.to_string(), LONGEST_NOTE);
        let at = to_micros(self.services.clock.now());
        let retry_at = delay.map(|delay| to_micros(at + delay));
        let mut platform = self.change_platform().await?;
        let ours = platform.fail_run(RunFailure { run, error: &text, at, retry_at }).await?;
        platform.commit().await?;
        let JobRun { tenant, plugin, job, id, attempt, .. } = run;
        let mut report = DrainReport { fuel, ..DrainReport::default() };
        if ours && retry_at.is_none() {
            report.failed_runs = 1;
            tracing::warn!(%tenant, %plugin, %job, run = %id, error = %text, "a job failed for good");
        } else {
            tracing::debug!(%tenant, %plugin, %job, run = %id, attempt, error = %text, "a job failed");
        }
        Ok(report)
    }
}

/// What the plugin is told.
fn payload_of(run: &JobRun) -> HostResult<String> {
    let mut payload = json!({
        "scheduled_for": run.occasion.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "attempt": run.attempt,
    })
    .to_string();
    if let Some(own) = &run.payload {
        // As it was spelled, which a JSON tree does not keep.
        let own: &RawValue = serde_json::from_str(own).map_err(|error| {
            HostError::new(ErrorCode::Internal, format!("the payload of run {} is not JSON: {error}", run.id))
        })?;
        payload.truncate(payload.len().saturating_sub(1));
        payload = format!("{payload},\"payload\":{own}}}");
    }
    Ok(payload)
}
