//! From schedules to runs. Every process plans; the storage sees to it that each occasion is planned once.

use chrono::{DateTime, Duration, Utc};
use erp_plugin_model::RunId;
use erp_plugin_model::job::{self, CatchUp, Job, Missed, Overlap, Plan};
use erp_plugin_storage::{DueJob, PlannedJob, PlannedRun};

use crate::error::HostResult;
use crate::host::Inner;

/// Jobs looked at in one go.
const BATCH: u32 = 100;
/// After how long a job is looked at again whose plugin's manifest says something else than the database: another version of
/// it is being enabled.
const PUT_OFF: Duration = Duration::minutes(1);

/// What there was to plan.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planned {
    /// Jobs looked at.
    pub(super) jobs: usize,
    /// Whether a run may be claimed.
    pub(super) is_run_due: bool,
}

impl Planned {
    /// Whether there may be more.
    pub(super) fn is_full(self) -> bool {
        self.jobs == BATCH as usize
    }
}

impl Inner {
    /// Plans what is due at this moment.
    pub(super) async fn plan_jobs(&self, now: DateTime<Utc>) -> HostResult<Planned> {
        let mut platform = self.look_at_platform().await?;
        let due = platform.due_jobs(now, BATCH).await?;
        let mut is_run_due = platform.is_run_due(now).await?;
        platform.rollback().await?;
        for job in &due {
            is_run_due |= self.plan_job(job, now).await?;
        }
        Ok(Planned { jobs: due.len(), is_run_due })
    }

    /// Plans one job, and returns whether something is to run.
    async fn plan_job(&self, due: &DueJob, now: DateTime<Utc>) -> HostResult<bool> {
        let declared = self.declared_job(due).await?;
        let planned = declared.as_ref().and_then(|job| {
            let schedule = job.schedule.as_ref()?;
            Some((job, job::plan(schedule, job.catch_up, due.planned_until, now)?))
        });
        let mut platform = self.change_platform().await?;
        let Some((job, plan)) = planned else {
            platform.put_off(due, now + PUT_OFF).await?;
            platform.commit().await?;
            return Ok(false);
        };
        let runs: Vec<PlannedRun> = plan.runs.iter().map(|run| self.planned_run(due, job, *run)).collect();
        let missed =
            plan.missed.map(|missed| (self.new_run(), missed.last, note_of(job.catch_up, &plan, missed)));
        if let Some((_, _, note)) = &missed {
            let DueJob { tenant, plugin, job, .. } = due;
            tracing::info!(%tenant, %plugin, %job, "{note}");
        }
        let skip = match job.overlap {
            Overlap::Skip => Some("the run before it had not ended (overlap = \"skip\")"),
            Overlap::Wait => None,
        };
        let planned = PlannedJob {
            due,
            at: now,
            plan_at: plan.next,
            runs: &runs,
            missed: missed.as_ref().map(|(id, last, note)| (*id, *last, note.as_str())),
            skip,
        };
        let is_new = platform.plan_job(&planned).await?;
        if is_new {
            platform.commit().await?;
        } else {
            platform.rollback().await?;
        }
        Ok(is_new && !runs.is_empty())
    }

    /// The job as the plugin declares it, if the database has the same schedule.
    async fn declared_job(&self, due: &DueJob) -> HostResult<Option<Job>> {
        let find = || {
            let plugin = self.catalog.get_in(&due.tenant, &due.plugin)?;
            let job = plugin.job(&due.job)?.clone();
            let schedule = job.schedule.as_ref().map(ToString::to_string);
            (schedule.as_deref() == Some(&due.schedule)).then_some(job)
        };
        if let Some(job) = find() {
            return Ok(Some(job));
        }
        // Another process may have installed another version.
        self.look_again().await?;
        Ok(find())
    }

    fn planned_run(&self, due: &DueJob, job: &Job, occasion: DateTime<Utc>) -> PlannedRun {
        let spread = job::spread(&due.tenant, &due.plugin, &due.job, occasion, job.jitter);
        PlannedRun { id: self.new_run(), occasion, due_at: occasion + spread }
    }

    fn new_run(&self) -> RunId {
        RunId(self.services.ids.new_id(self.services.clock.now()))
    }
}

fn note_of(catch_up: CatchUp, plan: &Plan, missed: Missed) -> String {
    let Missed { first, last } = missed;
    let what = if first == last {
        format!("{first} was missed")
    } else {
        format!("everything from {first} to {last} was missed")
    };
    let policy = catch_up.as_str();
    match plan.runs.len() {
        0 => format!("{what} and does not run (catch-up = \"{policy}\")"),
        1 => format!("{what}; only what came after it runs (catch-up = \"{policy}\")"),
        runs => format!("{what}; only the {runs} that came after it run (catch-up = \"{policy}\")"),
    }
}
