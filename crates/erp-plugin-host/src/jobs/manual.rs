//! A run that somebody asks for at once, and waits for.

use std::pin::pin;

use erp_plugin_model::time::to_micros;
use erp_plugin_model::{ErrorCode, HostError, JobName, PluginName, RunId, TenantId, UserId, WorkerId};
use erp_plugin_storage::{AuditEntry, OneOff};

use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::report::InvocationReport;

/// A run that has ended.
#[derive(Debug)]
pub struct RanJob {
    /// Its id in the history.
    pub run: RunId,
    /// What it did.
    pub report: InvocationReport,
}

impl Inner {
    pub(super) async fn run_at_once(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
        job: &JobName,
    ) -> HostResult<RanJob> {
        let active = self.active_with_job(tenant, plugin, job).await?;
        let now = to_micros(self.services.clock.now());
        let id = RunId(self.services.ids.new_id(now));
        let one_off = OneOff {
            id,
            tenant: tenant.clone(),
            plugin: plugin.clone(),
            job: job.clone(),
            at: now,
            payload: None,
        };
        // A name of its own: what ends with this process is taken over as a worker's is.
        let worker = self.new_worker();
        let mut platform = self.change_platform().await?;
        let Some(run) = platform.start_run(worker, &one_off).await? else {
            platform.rollback().await?;
            return Err(HostError::new(
                ErrorCode::Conflict,
                format!("a run of {plugin}'s job {job} is under way in {tenant}; wait for its end"),
            )
            .into());
        };
        let entry = AuditEntry {
            tenant: Some(tenant.clone()),
            plugin: Some(plugin.clone()),
            detail: Some(format!("{job}, as run {id}")),
            ..self.done(by, "job.started")
        };
        platform.note_platform_audit(&entry).await?;
        platform.commit().await?;
        let ran = self.living(worker, self.invoke_run(&run, active)).await;
        let failure = match &ran {
            Ok(report) => report.outcome.clone().err(),
            Err(HostFailure::Refused(error) | HostFailure::Busy(error)) => Some(error.clone()),
            Err(failure) => Some(HostError::new(failure.code(), failure.to_string())),
        };
        if let Some(error) = failure {
            self.fail_run(&run, &error, None, 0).await?;
        }
        self.retire_worker(worker).await?;
        Ok(RanJob { run: id, report: ran? })
    }

    /// Waits for work, and gives signs of life meanwhile.
    async fn living<T>(&self, worker: WorkerId, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(self.worker_options.lease / 8) => {
                    if let Err(fault) = self.beat(worker).await {
                        tracing::warn!(error = %fault, "a job that was asked for could not give a sign of life");
                    }
                }
            }
        }
    }

    pub(super) async fn beat(&self, worker: WorkerId) -> HostResult<()> {
        let mut platform = self.change_platform().await?;
        platform.beat(worker).await?;
        Ok(platform.commit().await?)
    }

    /// Has a worker be gone; whatever it has in hand is for others.
    pub(super) async fn retire_worker(&self, worker: WorkerId) -> HostResult<()> {
        let mut platform = self.change_platform().await?;
        let own = platform.workers().await?.into_iter().find(|state| state.worker == worker);
        match own {
            Some(own) => {
                platform.retire(own).await?;
                Ok(platform.commit().await?)
            }
            None => Ok(platform.rollback().await?),
        }
    }
}
