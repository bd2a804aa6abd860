//! Jobs of plugins in tenants, and their runs.
//!
//! How far a job was planned is kept beside it, and moves with the runs that are planned, in one transaction: so whoever
//! comes along may plan, and an occasion is planned once. A run has a key of tenant, plugin, job, occasion and kind: there
//! is one of each, whatever the clocks say.
//!
//! A run is in one worker's hands at a time, from its claim until it is done, has failed or is given back, or its worker is
//! [retired](crate::Workers::retire). Two runs of one job are never claimed at once. Whoever ends a run must have the token of
//! the last claim, so that one who was taken for dead does no harm.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::job::{JobRun, RunKind, RunState};
use erp_plugin_model::{JobName, PluginName, RunId, TenantId, WorkerId};

use crate::StorageResult;

/// A job as a plugin declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its name.
    pub job: JobName,
    /// Its schedule, as [`Schedule`](erp_plugin_model::job::Schedule) is displayed; `None` for one that has none.
    pub schedule: Option<String>,
    /// When it is to be planned for the first time; `None` for never.
    pub plan_at: Option<DateTime<Utc>>,
}

/// A job that is to be planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueJob {
    /// The tenant.
    pub tenant: TenantId,
    /// The plugin.
    pub plugin: PluginName,
    /// The job.
    pub job: JobName,
    /// Its schedule.
    pub schedule: String,
    /// Until when it is planned.
    pub planned_until: DateTime<Utc>,
}

/// A run that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// Its id.
    pub id: RunId,
    /// For which moment.
    pub occasion: DateTime<Utc>,
    /// When it may begin.
    pub due_at: DateTime<Utc>,
}

/// What was planned of a job.
#[derive(Clone, Debug)]
pub struct PlannedJob<'a> {
    /// The job as it was read.
    pub due: &'a DueJob,
    /// When it was planned, and until when.
    pub at: DateTime<Utc>,
    /// When it is to be planned again; `None` for never.
    pub plan_at: Option<DateTime<Utc>>,
    /// What runs, in the order of the occasions.
    pub runs: &'a [PlannedRun],
    /// What does not: one entry of the history for all of it, and its note.
    pub missed: Option<(RunId, DateTime<Utc>, &'a str)>,
    /// The note of runs that are passed over because one before them has not ended; `None` if they wait for it.
    pub skip: Option<&'a str>,
}

/// A run that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOff {
    /// Its id.
    pub id: RunId,
    /// The tenant.
    pub tenant: TenantId,
    /// The plugin.
    pub plugin: PluginName,
    /// The job.
    pub job: JobName,
    /// When.
    pub at: DateTime<Utc>,
    /// One JSON value for the plugin.
    pub payload: Option<String>,
}

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// Who asks. A claim is a sign of life.
    pub worker: WorkerId,
    /// When.
    pub at: DateTime<Utc>,
    /// The most runs.
    pub runs: u32,
    /// The most of one tenant.
    pub per_tenant: u32,
    /// Tenants of which nothing is wanted.
    pub full: &'a [TenantId],
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct RunFailure<'a> {
    /// What was attempted.
    pub run: &'a JobRun,
    /// The error, as people read it.
    pub error: &'a str,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// When it is to be tried again; `None` ends the run.
    pub retry_at: Option<DateTime<Utc>>,
}

/// A run as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its id.
    pub id: RunId,
    /// The plugin.
    pub plugin: PluginName,
    /// The job.
    pub job: JobName,
    /// For which moment.
    pub occasion: DateTime<Utc>,
    /// Why it is there.
    pub kind: RunKind,
    /// What came with it.
    pub payload: Option<String>,
    /// How far it is.
    pub state: RunState,
    /// How often it was attempted.
    pub attempts: u32,
    /// When it may begin, or be tried again.
    pub due_at: DateTime<Utc>,
    /// The last error, or why it did not run.
    pub note: Option<String>,
    /// When its last attempt began.
    pub began_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A job as it is kept, and what became of it the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJob {
    /// The plugin.
    pub plugin: PluginName,
    /// The job.
    pub job: JobName,
    /// Its schedule.
    pub schedule: Option<String>,
    /// Until when it is planned.
    pub planned_until: DateTime<Utc>,
    /// Whether its plugin is enabled in the tenant.
    pub enabled: bool,
    /// The run of the latest occasion that has come.
    pub last: Option<StoredRun>,
}

/// Which runs of a tenant are meant: those to which all of this applies.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this plugin.
    pub plugin: Option<PluginName>,
    /// Of this job.
    pub job: Option<JobName>,
    /// In this state.
    pub state: Option<RunState>,
}

/// What an invocation does with jobs of the transaction's tenant.
#[async_trait]
pub trait Jobs: Send {
    /// Has a plugin have these jobs here and no others. One that is new, or has another schedule, is planned until this
    /// moment. So is one that was planned further than that: a clock was wrong. Runs of a job that is gone are passed over,
    /// with this note.
    ///
    /// Held by `jobs::a_job_with_another_schedule_is_planned_anew`, `jobs::a_job_that_is_gone_has_nothing_to_run`.
    async fn set_jobs(
        &mut self,
        plugin: &PluginName,
        jobs: &[NewJob],
        at: DateTime<Utc>,
        gone: &str,
    ) -> StorageResult<()>;

    /// Marks a run as done, and returns whether it was still this claim's to mark. On `false` the caller must roll back.
    ///
    /// Held by `jobs::a_done_mark_is_part_of_its_transaction`, `jobs::a_stale_claim_of_a_run_cannot_end_it`,
    /// `jobs::another_tenant_cannot_end_a_run`.
    async fn mark_run_done(&mut self, run: &JobRun, at: DateTime<Utc>) -> StorageResult<bool>;
}

/// The planners' and workers' side of jobs, and that of whoever runs the platform.
#[async_trait]
pub trait JobRuns: Send {
    /// At most `limit` jobs that are to be planned at this moment, those that wait the longest first: of plugins that are
    /// enabled, in tenants that are not suspended.
    ///
    /// Held by `jobs::what_is_due_is_planned_once`, `jobs::nothing_is_planned_or_claimed_where_nothing_is_done`.
    async fn due_jobs(&mut self, at: DateTime<Utc>, limit: u32) -> StorageResult<Vec<DueJob>>;

    /// Keeps what was planned of a job, and returns whether it was still as it was read, its plugin enabled and its tenant not
    /// suspended. An occasion that has a run already gets no other.
    ///
    /// Held by `jobs::what_is_due_is_planned_once`, `jobs::an_occasion_has_one_run_whatever_the_clock_says`,
    /// `jobs::an_occasion_is_skipped_while_the_run_before_it_has_not_ended`, `jobs::what_was_missed_is_told_in_the_history`,
    /// `jobs::nothing_is_planned_or_claimed_where_nothing_is_done`.
    async fn plan_job(&mut self, planned: &PlannedJob<'_>) -> StorageResult<bool>;

    /// Has a job that could not be planned be looked at again at this moment.
    ///
    /// Held by `jobs::what_cannot_be_planned_is_put_off`.
    async fn put_off(&mut self, due: &DueJob, plan_at: DateTime<Utc>) -> StorageResult<()>;

    /// Whether a run may be claimed at this moment, as a reader sees it.
    ///
    /// Held by `jobs::a_run_is_claimed_when_it_is_due`, `jobs::nothing_is_planned_or_claimed_where_nothing_is_done`.
    async fn is_run_due(&mut self, at: DateTime<Utc>) -> StorageResult<bool>;

    /// Claims runs that are due, as many of one tenant as of another, those that wait the longest first; raises the token of
    /// each and counts the attempt. Of one job the earliest occasion comes first, and no other while one is claimed.
    ///
    /// Passes over the jobs of plugins that are disabled or out of use in the tenant, and tenants that are suspended. What
    /// failed waits for its time; if the clock says that it has not failed yet, it is tried at once.
    ///
    /// Held by `jobs::a_run_is_claimed_when_it_is_due`, `jobs::a_run_is_in_one_workers_hands`,
    /// `jobs::runs_of_one_job_come_one_after_the_other`, `jobs::claims_of_runs_leave_room_for_other_tenants`,
    /// `jobs::a_failed_run_waits_for_its_time`, `jobs::who_is_retired_has_no_run_in_hand`,
    /// `jobs::nothing_is_planned_or_claimed_where_nothing_is_done`, `jobs::a_run_waits_while_its_plugin_is_out_of_use`.
    async fn claim_runs(&mut self, request: &RunRequest<'_>) -> StorageResult<Vec<JobRun>>;

    /// Adds a run that somebody asks for; `false` if there is one for that moment already.
    ///
    /// Held by `jobs::a_one_off_brings_its_payload`.
    async fn add_run(&mut self, one_off: &OneOff) -> StorageResult<bool>;

    /// Adds a run that somebody asks for and claims it for this worker at once; `None` if a run of that job is in somebody's
    /// hands, or there is one for that moment already. It is a sign of life.
    ///
    /// Held by `jobs::a_run_at_once_comes_alone`.
    async fn start_run(&mut self, worker: WorkerId, one_off: &OneOff) -> StorageResult<Option<JobRun>>;

    /// Records a failed attempt, and returns whether the run was still this claim's.
    ///
    /// Held by `jobs::a_failed_run_waits_for_its_time`, `jobs::a_stale_claim_of_a_run_cannot_end_it`.
    async fn fail_run(&mut self, failure: RunFailure<'_>) -> StorageResult<bool>;

    /// Gives back a run whose attempt did not take place and is not counted, until this moment; returns whether it was still
    /// this claim's.
    ///
    /// Held by `jobs::a_run_that_is_given_back_was_not_attempted`.
    async fn release_run(&mut self, run: &JobRun, due_at: DateTime<Utc>) -> StorageResult<bool>;

    /// The jobs of a tenant, by plugin and name, as they stand at this moment.
    ///
    /// Held by `jobs::jobs_are_listed_with_their_last_run`.
    async fn jobs(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<Vec<StoredJob>>;

    /// At most `limit` runs of a tenant, the latest occasion first.
    ///
    /// Held by `jobs::runs_are_found_by_what_is_known_of_them`.
    async fn runs(
        &mut self,
        tenant: &TenantId,
        filter: &RunFilter,
        limit: u32,
    ) -> StorageResult<Vec<StoredRun>>;

    /// A run of a tenant.
    ///
    /// Held by `jobs::runs_are_found_by_what_is_known_of_them`.
    async fn run(&mut self, tenant: &TenantId, run: RunId) -> StorageResult<Option<StoredRun>>;

    /// Has a run that failed, or waits to be tried again, be tried at this moment, as if it had not been attempted. `false` for
    /// any other.
    ///
    /// Held by `jobs::a_run_is_retried_or_cancelled_by_hand`.
    async fn retry_run(&mut self, tenant: &TenantId, run: RunId, at: DateTime<Utc>) -> StorageResult<bool>;

    /// Passes over a run that waits, with this note. `false` for any other.
    ///
    /// Held by `jobs::a_run_is_retried_or_cancelled_by_hand`.
    async fn cancel_run(
        &mut self,
        tenant: &TenantId,
        run: RunId,
        at: DateTime<Utc>,
        note: &str,
    ) -> StorageResult<bool>;

    /// Removes at most `limit` runs that ended before this, and returns how many.
    ///
    /// Held by `jobs::runs_that_ended_long_ago_are_pruned`.
    async fn prune_runs(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64>;
}
