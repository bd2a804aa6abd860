//! A backend that loses count of what was planned, or who runs it.

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use erp_plugin_model::event::ClaimToken;
use erp_plugin_model::job::JobRun;
use erp_plugin_storage::{
    PlannedJob, PlatformTransaction, RunFailure, RunRequest, StorageResult, WorkerState,
};

use crate::intercept::{Interceptor, Opened};

/// How far a job is planned is not looked at.
#[derive(Default)]
pub(super) struct PlansWhatWasPlanned(Mutex<Option<DateTime<Utc>>>);

#[async_trait]
impl Interceptor for PlansWhatWasPlanned {
    async fn plan_job(
        &self,
        inner: &mut dyn PlatformTransaction,
        planned: &PlannedJob<'_>,
    ) -> StorageResult<bool> {
        let mut due = planned.due.clone();
        due.planned_until = self.0.lock().unwrap().replace(planned.at).unwrap_or(due.planned_until);
        inner.plan_job(&PlannedJob { due: &due, ..planned.clone() }).await
    }
}

/// Whoever has a run in hand is no reason to wait.
pub(super) struct RunsOverlap;

#[async_trait]
impl Interceptor for RunsOverlap {
    async fn claim_runs(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &RunRequest<'_>,
    ) -> StorageResult<Vec<JobRun>> {
        let busy = inner.workers().await?.into_iter().filter(|state| state.is_busy);
        for state in busy.collect::<Vec<WorkerState>>() {
            inner.retire(state).await?;
        }
        inner.claim_runs(request).await
    }
}

/// The end of a run looks at the run and not at the token of the claim.
#[derive(Default)]
pub(super) struct NoToken(Mutex<Option<ClaimToken>>);

impl NoToken {
    fn with_the_last_token(&self, run: &JobRun) -> JobRun {
        JobRun { token: self.0.lock().unwrap().unwrap_or(run.token), ..run.clone() }
    }
}

#[async_trait]
impl Interceptor for NoToken {
    async fn claim_runs(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &RunRequest<'_>,
    ) -> StorageResult<Vec<JobRun>> {
        let claimed = inner.claim_runs(request).await?;
        if let Some(run) = claimed.last() {
            *self.0.lock().unwrap() = Some(run.token);
        }
        Ok(claimed)
    }

    async fn mark_run_done(
        &self,
        opened: &mut Opened,
        run: &JobRun,
        at: DateTime<Utc>,
    ) -> StorageResult<bool> {
        opened.inner().mark_run_done(&self.with_the_last_token(run), at).await
    }

    async fn fail_run(
        &self,
        inner: &mut dyn PlatformTransaction,
        failure: RunFailure<'_>,
    ) -> StorageResult<bool> {
        inner.fail_run(RunFailure { run: &self.with_the_last_token(failure.run), ..failure }).await
    }
}

/// What is due in an hour is due.
pub(super) struct ClaimsAhead;

#[async_trait]
impl Interceptor for ClaimsAhead {
    async fn is_run_due(
        &self,
        inner: &mut dyn PlatformTransaction,
        at: DateTime<Utc>,
    ) -> StorageResult<bool> {
        inner.is_run_due(at + Duration::hours(1)).await
    }

    async fn claim_runs(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &RunRequest<'_>,
    ) -> StorageResult<Vec<JobRun>> {
        inner.claim_runs(&RunRequest { at: request.at + Duration::hours(1), ..*request }).await
    }
}

/// Every occasion waits.
pub(super) struct SkipsNothing;

#[async_trait]
impl Interceptor for SkipsNothing {
    async fn plan_job(
        &self,
        inner: &mut dyn PlatformTransaction,
        planned: &PlannedJob<'_>,
    ) -> StorageResult<bool> {
        inner.plan_job(&PlannedJob { skip: None, ..planned.clone() }).await
    }
}

/// A run that was given back counts as an attempt.
pub(super) struct ReleaseCounts;

#[async_trait]
impl Interceptor for ReleaseCounts {
    async fn release_run(
        &self,
        inner: &mut dyn PlatformTransaction,
        run: &JobRun,
        due_at: DateTime<Utc>,
    ) -> StorageResult<bool> {
        let failure = RunFailure { run, error: "released", at: DateTime::UNIX_EPOCH, retry_at: Some(due_at) };
        inner.fail_run(failure).await
    }
}
