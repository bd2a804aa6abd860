//! Whoever runs jobs: plans what is due, claims runs, attempts them side by side.
//!
//! It is a worker beside the one of deliveries, with a name of its own, and those who watch that one watch this one too. What
//! it has in hand stays its own as long as it gives signs of life. A commit whose answer was lost may have claimed runs that
//! it does not know of: it then ends what it knows, and gives everything back as if it had died.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use erp_plugin_model::job::JobRun;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{ErrorCode, HostError, TenantId, WorkerId};
use erp_plugin_storage::RunRequest;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::delivery::{DrainReport, WorkerOptions};
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;

pub(crate) struct Runner {
    inner: Arc<Inner>,
    options: WorkerOptions,
    id: WorkerId,
    running: JoinSet<Ended>,
    in_hand: HashMap<Id, JobRun>,
    /// Runs whose end could not be kept: to be given back, or to fail with this.
    unkept: Vec<(JobRun, Option<HostError>)>,
    /// Whether there may be claims that it does not know of.
    unsure: bool,
    last_beat: Instant,
    report: DrainReport,
}

/// How a task with a run ended.
struct Ended {
    report: DrainReport,
    /// The run, if it is still in hand.
    unkept: Option<JobRun>,
    fault: Option<HostFailure>,
}

impl Runner {
    pub(crate) fn new(inner: Arc<Inner>, options: WorkerOptions, id: WorkerId) -> Self {
        Self {
            inner,
            options,
            id,
            running: JoinSet::new(),
            in_hand: HashMap::new(),
            unkept: Vec::new(),
            unsure: false,
            last_beat: Instant::now(),
            report: DrainReport::default(),
        }
    }

    /// Works until it is told to stop, and then until what has begun has ended.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> DrainReport {
        let mut pause = self.options.poll;
        while !*stopped.borrow() {
            match self.turn(&mut stopped).await {
                Ok(()) => pause = self.options.poll,
                Err(fault) => {
                    tracing::warn!(error = %fault, "jobs could not be run; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stopped.changed() => {}
                    }
                    pause = (pause * 2).min(self.options.lease);
                }
            }
        }
        while !self.running.is_empty() {
            tokio::select! {
                ended = self.running.join_next_with_id() => self.note(ended),
                () = tokio::time::sleep(self.options.lease / 8) => {}
            }
            if let Err(fault) = self.beat().await {
                tracing::warn!(error = %fault, "a worker with runs in hand could give no sign of life");
            }
        }
        if let Err(fault) = self.leave().await {
            tracing::warn!(error = %fault, "a worker's runs could not be given up; others take them when its lease ends");
        }
        self.report
    }

    /// Does what there is to do, and waits for more.
    async fn turn(&mut self, stopped: &mut watch::Receiver<bool>) -> HostResult<()> {
        self.beat().await?;
        if !self.round().await? {
            let inner = Arc::clone(&self.inner);
            tokio::select! {
                ended = self.running.join_next_with_id(), if !self.running.is_empty() => self.note(ended),
                () = tokio::time::sleep(self.options.poll) => {}
                () = inner.run_added.notified() => {}
                _ = stopped.changed() => {}
            }
        }
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.note(Some(ended));
        }
        Ok(())
    }

    /// Plans and claims what is due. Returns whether there may be more at once.
    async fn round(&mut self) -> HostResult<bool> {
        self.keep_ends().await?;
        if self.unsure && self.running.is_empty() {
            self.inner.retire_worker(self.id).await?;
            self.unsure = false;
        }
        let now = to_micros(self.inner.services.clock.now());
        let planned = self.inner.plan_jobs(now).await?;
        let room = (self.options.runs as usize).saturating_sub(self.running.len());
        if planned.is_run_due && room > 0 && !self.unsure {
            let full = self.full();
            let request = RunRequest {
                worker: self.id,
                at: now,
                runs: u32::try_from(room).unwrap_or(u32::MAX),
                per_tenant: self.options.runs_per_tenant,
                full: &full,
            };
            let mut platform = self.inner.change_platform().await?;
            let runs = platform.claim_runs(&request).await?;
            if runs.is_empty() {
                platform.rollback().await?;
                return Ok(planned.is_full());
            }
            if let Err(error) = platform.commit().await {
                self.unsure = true;
                return Err(error.into());
            }
            self.last_beat = Instant::now();
            for run in runs {
                let task = self.running.spawn(attempt(Arc::clone(&self.inner), run.clone()));
                self.in_hand.insert(task.id(), run);
            }
        }
        Ok(planned.is_full())
    }

    /// The tenants that have as much in hand as they may, or have used up their minute.
    fn full(&self) -> Vec<TenantId> {
        let mut counts: HashMap<&TenantId, u32> = HashMap::new();
        for run in self.in_hand.values() {
            *counts.entry(&run.tenant).or_default() += 1;
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= self.options.runs_per_tenant);
        let mut full: Vec<TenantId> = full.map(|(tenant, _)| tenant.clone()).collect();
        full.extend(self.inner.budgets.used_up(Instant::now()));
        full
    }

    /// A run that met with a fault of the platform is given back, to be tried again after a while; the others go on.
    fn note(&mut self, ended: Option<Result<(Id, Ended), JoinError>>) {
        match ended {
            None => {}
            Some(Ok((id, Ended { report, unkept, fault }))) => {
                self.in_hand.remove(&id);
                self.report.add(report);
                if let (Some(run), Some(fault)) = (&unkept, fault) {
                    let JobRun { tenant, plugin, job, .. } = run;
                    tracing::warn!(%tenant, %plugin, %job, error = %fault, "a job could not be run; trying again");
                }
                self.unkept.extend(unkept.map(|run| (run, None)));
            }
            Some(Err(ended)) => {
                tracing::error!("the task of a job's run panicked; it counts as an attempt");
                let error = HostError::new(ErrorCode::Internal, "the host panicked");
                self.unkept.extend(self.in_hand.remove(&ended.id()).map(|run| (run, Some(error))));
            }
        }
    }

    /// Keeps what could not be kept before.
    async fn keep_ends(&mut self) -> HostResult<()> {
        while let Some((run, error)) = self.unkept.last() {
            match error {
                None => self.inner.release_run(run).await?,
                Some(error) => {
                    let delay = Some(self.options.lease);
                    let report = self.inner.fail_run(run, error, delay, 0).await?;
                    self.report.add(report);
                }
            }
            self.unkept.pop();
        }
        Ok(())
    }

    /// Gives a sign of life if it is time for one.
    async fn beat(&mut self) -> HostResult<()> {
        if self.in_hand.is_empty() || self.last_beat.elapsed() < self.options.lease / 8 {
            return Ok(());
        }
        self.inner.beat(self.id).await?;
        self.last_beat = Instant::now();
        Ok(())
    }

    /// Gives up what has ended, and is gone.
    async fn leave(&mut self) -> HostResult<()> {
        let kept = self.keep_ends().await;
        self.inner.retire_worker(self.id).await?;
        kept
    }
}

async fn attempt(inner: Arc<Inner>, run: JobRun) -> Ended {
    match inner.attempt_run(&run).await {
        Ok(report) => Ended { report, unkept: None, fault: None },
        Err(fault) => Ended { report: DrainReport::default(), unkept: Some(run), fault: Some(fault) },
    }
}
