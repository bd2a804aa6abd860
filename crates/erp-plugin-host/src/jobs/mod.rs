//! Jobs: what plugins do at times of their own, and what becomes of it.
//!
//! `planner` turns schedules into runs, `runner` claims runs and has them attempted, `attempt` is one of them, `manual` one
//! that somebody asks for at once. What is planned and claimed the storage keeps; nothing of it is in this process.

mod attempt;
mod manual;
mod planner;
mod runner;

use chrono::{DateTime, Utc};
use erp_plugin_model::job::Schedule;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{ErrorCode, HostError, JobName, PluginName, RunId, TenantId, UserId};
use erp_plugin_storage::{AuditEntry, OneOff, RunFilter, StoredJob, StoredRun};

use crate::activation::Active;
use crate::error::HostResult;
use crate::host::{Inner, PluginHost};

pub use manual::RanJob;
pub(crate) use runner::Runner;

/// Jobs of every tenant. Whether somebody may see or run them is for the caller to decide.
pub struct Jobs<'h> {
    host: &'h PluginHost,
}

/// A job in a tenant.
#[derive(Clone, Debug)]
pub struct JobStatus {
    /// The plugin.
    pub plugin: PluginName,
    /// The job.
    pub job: JobName,
    /// When it runs; `None` for one that runs only when somebody asks for it.
    pub schedule: Option<Schedule>,
    /// Whether its plugin is enabled in the tenant.
    pub enabled: bool,
    /// The next moment of its schedule.
    pub next: Option<DateTime<Utc>>,
    /// The run of the latest moment that has come.
    pub last: Option<StoredRun>,
}

impl<'h> Jobs<'h> {
    pub(crate) fn new(host: &'h PluginHost) -> Self {
        Self { host }
    }

    /// The jobs of a tenant, by plugin and name.
    pub async fn list(&self, tenant: &str) -> HostResult<Vec<JobStatus>> {
        let tenant = TenantId::parse(tenant)?;
        self.host.run(|inner| async move { inner.list_jobs(&tenant).await }).await
    }

    /// Runs a job at once, and waits for its end; the history shows it. What failed is not tried again by itself. Refused as
    /// `conflict` while a run of this job is under way in the tenant.
    pub async fn run(&self, tenant: &str, plugin: &str, job: &str) -> HostResult<RanJob> {
        let (tenant, plugin, job) =
            (TenantId::parse(tenant)?, PluginName::parse(plugin)?, JobName::parse(job)?);
        let by = self.host.actor().clone();
        self.host.run(|inner| async move { inner.run_at_once(&by, &tenant, &plugin, &job).await }).await
    }

    /// Has a job run once at a moment; if that has come, as soon as a worker is free. The payload, if there is one, is in the
    /// plugin's event under `payload`.
    pub async fn schedule(
        &self,
        tenant: &str,
        plugin: &str,
        job: &str,
        at: DateTime<Utc>,
        payload: Option<&serde_json::Value>,
    ) -> HostResult<RunId> {
        let (tenant, plugin, job) =
            (TenantId::parse(tenant)?, PluginName::parse(plugin)?, JobName::parse(job)?);
        let (payload, by) = (payload.map(ToString::to_string), self.host.actor().clone());
        self.host
            .run(|inner| async move { inner.schedule_run(&by, tenant, plugin, job, at, payload).await })
            .await
    }

    /// At most `limit` runs of a tenant's jobs, the latest moment first: those that wait, and what became of the others.
    pub async fn history(&self, tenant: &str, filter: RunFilter, limit: u32) -> HostResult<Vec<StoredRun>> {
        let tenant = TenantId::parse(tenant)?;
        self.host
            .run(|inner| async move {
                inner.check_tenant(&tenant).await?;
                let mut platform = inner.look_at_platform().await?;
                let runs = platform.runs(&tenant, &filter, limit).await?;
                platform.rollback().await?;
                Ok(runs)
            })
            .await
    }

    /// Has a run that failed, or waits to be tried again, be tried again now, with all its attempts before it.
    pub async fn retry(&self, tenant: &str, run: RunId) -> HostResult<()> {
        let tenant = TenantId::parse(tenant)?;
        let by = self.host.actor().clone();
        self.host.run(|inner| async move { inner.change_run(&by, &tenant, run, Change::Retry).await }).await
    }

    /// Passes over a run that waits for its time, or to be tried again.
    pub async fn cancel(&self, tenant: &str, run: RunId) -> HostResult<()> {
        let tenant = TenantId::parse(tenant)?;
        let by = self.host.actor().clone();
        self.host.run(|inner| async move { inner.change_run(&by, &tenant, run, Change::Cancel).await }).await
    }
}

/// What becomes of a run by hand.
#[derive(Clone, Copy)]
enum Change {
    Retry,
    Cancel,
}

impl Inner {
    async fn list_jobs(&self, tenant: &TenantId) -> HostResult<Vec<JobStatus>> {
        self.check_tenant(tenant).await?;
        let now = to_micros(self.services.clock.now());
        let mut platform = self.look_at_platform().await?;
        let jobs = platform.jobs(tenant, now).await?;
        platform.rollback().await?;
        let status = |job: StoredJob| {
            let schedule = job.schedule.as_deref().and_then(|text| Schedule::from_text(text).ok());
            let next = schedule.as_ref().and_then(|schedule| schedule.next_after(now.max(job.planned_until)));
            JobStatus {
                plugin: job.plugin,
                job: job.job,
                schedule,
                enabled: job.enabled,
                next,
                last: job.last,
            }
        };
        Ok(jobs.into_iter().map(status).collect())
    }

    async fn schedule_run(
        &self,
        by: &UserId,
        tenant: TenantId,
        plugin: PluginName,
        job: JobName,
        at: DateTime<Utc>,
        payload: Option<String>,
    ) -> HostResult<RunId> {
        self.active_with_job(&tenant, &plugin, &job).await?;
        if let Some(bytes) =
            payload.as_ref().map(String::len).filter(|bytes| *bytes as u64 > self.limits.event_bytes)
        {
            let most = self.limits.event_bytes;
            let error = format!("the payload of job {job} has {bytes} bytes, {most} are allowed; give less");
            return Err(HostError::invalid(error).into());
        }
        let id = RunId(self.services.ids.new_id(self.services.clock.now()));
        let at = to_micros(at);
        let one_off = OneOff { id, tenant, plugin, job, at, payload };
        let mut platform = self.change_platform().await?;
        if !platform.add_run(&one_off).await? {
            platform.rollback().await?;
            let OneOff { tenant, plugin, job, .. } = one_off;
            return Err(HostError::new(
                ErrorCode::AlreadyExists,
                format!("{plugin} has a run of {job} in {tenant} at {at} already; choose another moment"),
            )
            .into());
        }
        let OneOff { tenant, plugin, job, at, .. } = one_off;
        let entry = AuditEntry {
            tenant: Some(tenant),
            plugin: Some(plugin),
            detail: Some(format!("{job} at {at}, as run {id}")),
            ..self.done(by, "job.scheduled")
        };
        platform.note_platform_audit(&entry).await?;
        platform.commit().await?;
        self.run_added.notify_one();
        Ok(id)
    }

    /// The plugin in a tenant in which its job can run.
    async fn active_with_job(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        job: &JobName,
    ) -> HostResult<Active> {
        self.check_open(tenant).await?;
        let active = self.active(tenant, plugin).await?;
        if active.plugin.job(job).is_none() {
            let jobs = active.plugin.manifest.iter().flat_map(|manifest| &manifest.jobs);
            let names: Vec<&str> = jobs.map(|own| own.name.as_str()).collect();
            let known = if names.is_empty() { "it has none".to_owned() } else { names.join(", ") };
            return Err(
                HostError::not_found(format!("{plugin} declares no job {job}; its jobs: {known}")).into()
            );
        }
        self.ready(tenant, plugin).await?.ok_or_else(|| {
            HostError::not_found(format!("{plugin} is not enabled in {tenant}; enable it there first")).into()
        })
    }

    async fn change_run(&self, by: &UserId, tenant: &TenantId, run: RunId, change: Change) -> HostResult<()> {
        let now = to_micros(self.services.clock.now());
        let mut platform = self.change_platform().await?;
        if matches!(change, Change::Retry)
            && let Some(stored) = platform.run(tenant, run).await?
            && !platform
                .jobs(tenant, now)
                .await?
                .iter()
                .any(|own| own.plugin == stored.plugin && own.job == stored.job)
        {
            platform.rollback().await?;
            let StoredRun { plugin, job, .. } = stored;
            let error = format!(
                "run {run} is one of {plugin}'s job {job}, which it does not declare any more; nobody would run it"
            );
            return Err(HostError::new(ErrorCode::Rejected, error).into());
        }
        let changed = match change {
            Change::Retry => platform.retry_run(tenant, run, now).await?,
            Change::Cancel => platform.cancel_run(tenant, run, now, "cancelled by hand").await?,
        };
        if changed {
            let action = match change {
                Change::Retry => "job.retried",
                Change::Cancel => "job.cancelled",
            };
            let entry = AuditEntry {
                tenant: Some(tenant.clone()),
                detail: Some(format!("run {run}")),
                ..self.done(by, action)
            };
            platform.note_platform_audit(&entry).await?;
            platform.commit().await?;
            self.run_added.notify_one();
            return Ok(());
        }
        let found = platform.run(tenant, run).await?;
        platform.rollback().await?;
        Err(match found {
            None => HostError::not_found(format!("{tenant} has no run {run}; it may have been pruned")),
            Some(found) => {
                let what = match change {
                    Change::Retry => "only one that failed, or waits to be tried again, can be tried again",
                    Change::Cancel => "only one that waits can be cancelled",
                };
                HostError::new(ErrorCode::Rejected, format!("run {run} is {}; {what}", found.state.as_str()))
            }
        }
        .into())
    }
}
