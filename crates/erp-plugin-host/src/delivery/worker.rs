//! Whoever works off deliveries: numbers events, claims streams, handles them side by side.
//!
//! What a worker has in hand stays its own as long as it gives signs of life. A commit whose answer was lost may have
//! claimed streams that it does not know of: it then ends what it knows, and gives everything back as if it had died.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::event::Delivery;
use erp_plugin_model::{TenantId, WorkerId};
use erp_plugin_storage::ClaimRequest;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::DrainReport;
use super::attempt::Handled;
use super::liveness::Liveness;
use crate::error::{HostFailure, HostResult};
use crate::events::Retention;
use crate::host::{Inner, PluginHost};
use crate::jobs::Runner;

/// Events numbered in one go.
const DISPATCH_BATCH: u32 = 256;
/// How long a stream is worked on in one go: others wait for their turn.
const STREAM_TURN: Duration = Duration::from_millis(100);
/// How long a worker looks for more while it has something in hand.
const ROUND: Duration = Duration::from_millis(5);
/// How often a drain asks whether others are dead when nothing else is left.
const LOOK: Duration = Duration::from_millis(100);

/// How deliveries and runs of jobs are worked off.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The most streams in hand. Default: 32.
    pub streams: u32,
    /// The most deliveries of one stream that are claimed in one go. Default: 64.
    pub batch: u32,
    /// The most streams of one tenant that are claimed in one go. One that has as many in hand gets no more. Default: 8.
    pub streams_per_tenant: u32,
    /// How often it is looked for what other processes have published when there is nothing to do. Default: 250 ms.
    pub poll: Duration,
    /// After how long without a sign of life others take a worker's deliveries. Default: 10 s.
    pub lease: Duration,
    /// The most runs of jobs in hand. Default: 8.
    pub runs: u32,
    /// The most runs of one tenant's jobs that are claimed in one go. Default: 2.
    pub runs_per_tenant: u32,
    /// How long what was worked off is kept. A worker that runs removes what is older, once an hour.
    pub retention: Retention,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            streams: 32,
            batch: 64,
            streams_per_tenant: 8,
            poll: Duration::from_millis(250),
            lease: Duration::from_secs(10),
            runs: 8,
            runs_per_tenant: 2,
            retention: Retention::default(),
        }
    }
}

/// A worker that runs until it is stopped.
pub struct WorkerHandle {
    stop: watch::Sender<bool>,
    tasks: Option<[tokio::task::JoinHandle<DrainReport>; 2]>,
    pruning: tokio::task::JoinHandle<()>,
}

impl WorkerHandle {
    pub(crate) fn start(host: &PluginHost, options: WorkerOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let inner = host.inner();
        let id = inner.new_worker();
        // Beside one another, each in a name of its own: a job that takes a minute has nothing to do with deliveries.
        let runner = Runner::new(Arc::clone(&inner), options.clone(), inner.new_worker());
        let pruning = Arc::clone(&inner).keep_pruning(options.retention.clone(), stopped.clone());
        let pruning = host.executor().spawn(pruning);
        let worker = Worker::new(inner, options, id);
        let tasks =
            [host.executor().spawn(worker.run(stopped.clone())), host.executor().spawn(runner.run(stopped))];
        Self { stop, tasks: Some(tasks), pruning }
    }

    /// Claims nothing more, waits until everything in hand has ended, and tells what was worked off.
    pub async fn stop(mut self) -> HostResult<DrainReport> {
        self.stop.send_replace(true);
        let Some([deliveries, jobs]) = self.tasks.take() else { return Err(HostFailure::ShuttingDown) };
        let (deliveries, jobs) = (deliveries.await, jobs.await);
        let pruned = (&mut self.pruning).await;
        pruned.map_err(|_| HostFailure::ShuttingDown)?;
        let mut report = deliveries.map_err(|_| HostFailure::ShuttingDown)?;
        report.add(jobs.map_err(|_| HostFailure::ShuttingDown)?);
        Ok(report)
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

pub(crate) struct Worker {
    inner: Arc<Inner>,
    options: WorkerOptions,
    id: WorkerId,
    running: JoinSet<Ended>,
    /// What each task has in hand: the last delivery of its claim.
    in_hand: HashMap<Id, Delivery>,
    /// Claims that have ended and are to be given up, by their last delivery.
    ended: Vec<Delivery>,
    /// Whether there may be claims that it does not know of.
    unsure: bool,
    /// What tasks ended with that nobody has looked at.
    faults: Vec<(TenantId, HostFailure)>,
    /// Tenants whose deliveries met with a fault.
    resting: HashMap<TenantId, Rest>,
    others: Liveness,
    last_beat: Instant,
    next_look: Instant,
    report: DrainReport,
    /// A panic of the host's own code, which is for whoever waits to see.
    panicked: Option<Box<dyn Any + Send>>,
}

/// Until when nothing of a tenant is claimed.
struct Rest {
    until: Instant,
    pause: Duration,
}

/// How a task with a claim ended.
struct Ended {
    report: DrainReport,
    /// What is to be given up still; `None` where it was.
    claim: Option<Delivery>,
    fault: Option<HostFailure>,
}

/// What a round found to do.
#[derive(Default)]
struct Found {
    events: u64,
    claims: usize,
}

impl Worker {
    pub(crate) fn new(inner: Arc<Inner>, options: WorkerOptions, id: WorkerId) -> Self {
        Self {
            inner,
            options,
            id,
            running: JoinSet::new(),
            in_hand: HashMap::new(),
            ended: Vec::new(),
            unsure: false,
            faults: Vec::new(),
            resting: HashMap::new(),
            others: Liveness::default(),
            last_beat: Instant::now(),
            next_look: Instant::now(),
            report: DrainReport::default(),
            panicked: None,
        }
    }

    /// Works until nothing is left that can be done now; what failed is tried again without waiting. Others' deliveries are
    /// waited for only until it is known whether those live.
    async fn drain(mut self, unsure: &mut bool) -> HostResult<DrainReport> {
        self.unsure = *unsure;
        let drained = self.work_off().await;
        // Whatever kept it from going on: what is in hand ends.
        while !self.running.is_empty() {
            drop(self.wait().await);
        }
        if let Some(panic) = self.panicked.take() {
            std::panic::resume_unwind(panic);
        }
        match drained {
            // It has nothing in hand, and comes back under the same name.
            Ok(()) => {
                *unsure = false;
                Ok(self.report)
            }
            Err(fault) => {
                // The fault is worth telling, not that the database it came from also fails at this.
                *unsure = self.leave().await.is_err();
                Err(fault)
            }
        }
    }

    async fn work_off(&mut self) -> HostResult<()> {
        loop {
            let found = self.round(DateTime::<Utc>::MAX_UTC).await?;
            if !self.running.is_empty() {
                self.wait().await?;
            } else if found.events == 0 && found.claims == 0 && self.ended.is_empty() {
                if !self.look_at_others().await? {
                    return Ok(());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) -> DrainReport {
        let mut is_quiet = false;
        let mut pause = self.options.poll;
        while !*stopped.borrow() {
            match self.turn(is_quiet, &mut stopped).await {
                Ok(quiet) => (is_quiet, pause) = (quiet, self.options.poll),
                Err(fault) => {
                    tracing::warn!(error = %fault, "deliveries could not be worked off; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stopped.changed() => {}
                    }
                    pause = (pause * 2).min(self.options.lease);
                }
            }
        }
        while !self.running.is_empty() {
            if let Err(fault) = self.wait().await {
                tracing::warn!(error = %fault, "a delivery could not be ended");
            }
        }
        if let Err(fault) = self.leave().await {
            tracing::warn!(error = %fault, "a worker's claims could not be given up; others take them when its lease ends");
        }
        self.report
    }

    /// Waits for something to do and does it. Returns whether there was nothing.
    async fn turn(&mut self, is_quiet: bool, stopped: &mut watch::Receiver<bool>) -> HostResult<bool> {
        let published = Arc::clone(&self.inner);
        let pause = if is_quiet { self.options.poll } else { ROUND };
        if self.running.is_empty() {
            if is_quiet {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = published.published.notified() => {}
                    _ = stopped.changed() => return Ok(true),
                }
            }
        } else {
            let is_full = self.running.len() >= self.options.streams as usize;
            tokio::select! {
                ended = self.running.join_next_with_id() => self.note(ended),
                () = tokio::time::sleep(pause), if !is_full => {}
                () = published.published.notified(), if !is_full => {}
                () = tokio::time::sleep(self.options.lease / 8) => {}
                _ = stopped.changed() => return Ok(true),
            }
            self.note_all();
            self.let_rest();
        }
        self.beat().await?;
        if self.next_look <= Instant::now() {
            self.look_at_others().await?;
            self.next_look = Instant::now() + self.options.lease / 8;
        }
        let now = self.inner.services.clock.now();
        let found = self.round(now).await?;
        Ok(found.events == 0 && found.claims == 0)
    }

    /// Numbers what was published, gives up what has ended, claims what waits.
    async fn round(&mut self, due: DateTime<Utc>) -> HostResult<Found> {
        if self.unsure && self.running.is_empty() {
            self.start_over().await?;
        }
        let mut found = Found::default();
        let room = (self.options.streams as usize).saturating_sub(self.running.len());
        let room = if self.unsure { 0 } else { u32::try_from(room).unwrap_or(u32::MAX) };
        let full = self.full();
        // One transaction, which has the dispatcher's lease from its beginning: no two of them lock streams at once.
        let mut platform = self.inner.change_platform().await?;
        let request = ClaimRequest {
            worker: self.id,
            at: due,
            now: self.inner.services.clock.now(),
            streams: room,
            batch: self.options.batch,
            per_tenant: self.options.streams_per_tenant,
            full: &full,
            subscribers: &self.inner.subscribers_here(&mut *platform).await?,
        };
        if !self.in_hand.is_empty() || !self.ended.is_empty() {
            // Before any stream, as whoever retires a worker takes its row first.
            platform.beat(self.id).await?;
        }
        found.events = platform.dispatch(DISPATCH_BATCH).await?.events;
        if !self.ended.is_empty() {
            platform.end_claims(self.id, &self.ended.iter().collect::<Vec<_>>()).await?;
        }
        let claims = if room > 0 { platform.claim(&request).await? } else { Vec::new() };
        // Nothing needs to last that did nothing.
        if found.events == 0 && claims.is_empty() && self.ended.is_empty() {
            platform.rollback().await?;
            return Ok(found);
        }
        if let Err(error) = platform.commit().await {
            self.unsure = true;
            return Err(error.into());
        }
        self.report.events += found.events;
        self.last_beat = Instant::now();
        self.ended.clear();
        found.claims = claims.len();
        for claim in claims {
            let Some(last) = claim.last().cloned() else { continue };
            let task = self.running.spawn(handle(Arc::clone(&self.inner), claim));
            self.in_hand.insert(task.id(), last);
        }
        Ok(found)
    }

    /// The tenants that have as much in hand as they may, have used up their minute, or rest.
    fn full(&self) -> Vec<TenantId> {
        let mut counts: HashMap<&TenantId, u32> = HashMap::new();
        for delivery in self.in_hand.values() {
            *counts.entry(&delivery.tenant).or_default() += 1;
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= self.options.streams_per_tenant);
        let mut full: Vec<TenantId> = full.map(|(tenant, _)| tenant.clone()).collect();
        let now = Instant::now();
        full.extend(self.inner.budgets.used_up(now));
        full.extend(
            self.resting.iter().filter(|(_, rest)| rest.until > now).map(|(tenant, _)| tenant.clone()),
        );
        full
    }

    /// Waits until a task has ended or a sign of life is due, and gives that: those that take long are nobody else's meanwhile.
    async fn wait(&mut self) -> HostResult<()> {
        tokio::select! {
            ended = self.running.join_next_with_id() => self.note(ended),
            () = tokio::time::sleep(self.options.lease / 8) => {}
        }
        self.note_all();
        match self.faults.pop() {
            Some((_, fault)) => Err(fault),
            None => self.beat().await,
        }
    }

    /// Notes what else has ended.
    fn note_all(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.note(Some(ended));
        }
    }

    fn note(&mut self, ended: Option<Result<(Id, Ended), JoinError>>) {
        match ended {
            None => {}
            Some(Ok((id, Ended { report, claim, fault }))) => {
                if let Some(last) = self.in_hand.remove(&id) {
                    match fault {
                        Some(fault) => self.faults.push((last.tenant, fault)),
                        None if report.delivered > 0 => drop(self.resting.remove(&last.tenant)),
                        None => {}
                    }
                }
                self.report.add(report);
                self.ended.extend(claim);
            }
            Some(Err(ended)) => {
                // Its attempts stay counted, as those of a process that died.
                if let Some(last) = self.in_hand.remove(&ended.id()) {
                    self.faults.push((last.tenant.clone(), HostFailure::ShuttingDown));
                    self.ended.push(last);
                }
                if let Ok(panic) = ended.try_into_panic() {
                    tracing::error!("a delivery's task panicked; it counts as an attempt");
                    self.panicked = Some(panic);
                }
            }
        }
    }

    /// Has tenants rest whose deliveries met with a fault of the platform, longer each time. The others go on: what fails for
    /// all fails in the worker's own rounds too.
    fn let_rest(&mut self) {
        let now = Instant::now();
        for (tenant, fault) in self.faults.drain(..) {
            tracing::warn!(%tenant, error = %fault, "a tenant's deliveries could not be worked off; trying again");
            let first = Rest { until: now, pause: self.options.poll };
            let rest = self.resting.entry(tenant).or_insert(first);
            if rest.until <= now {
                rest.until = now + rest.pause;
                rest.pause = (rest.pause * 2).min(self.options.lease);
            }
        }
    }

    /// Gives a sign of life if it is time for one.
    async fn beat(&mut self) -> HostResult<()> {
        if self.in_hand.is_empty() || self.last_beat.elapsed() < self.options.lease / 8 {
            return Ok(());
        }
        let mut platform = self.inner.change_platform().await?;
        platform.beat(self.id).await?;
        platform.commit().await?;
        self.last_beat = Instant::now();
        Ok(())
    }

    /// Takes those for dead that gave no sign of life for a lease. Returns whether somebody may still turn out to be.
    async fn look_at_others(&mut self) -> HostResult<bool> {
        let mut platform = self.inner.look_at_platform().await?;
        let workers = platform.workers().await?;
        platform.rollback().await?;
        let verdict = self.others.look(&workers, self.id, Instant::now(), self.options.lease);
        for state in &verdict.dead {
            let mut platform = self.inner.change_platform().await?;
            let retired = platform.retire(*state).await?;
            platform.commit().await?;
            if retired && state.is_busy {
                tracing::warn!(worker = %state.worker, "a worker gave no sign of life; others take what it has in hand");
            }
        }
        Ok(verdict.is_open || !verdict.dead.is_empty())
    }

    /// Gives up everything, as if it had died: there may be claims that it does not know of.
    async fn start_over(&mut self) -> HostResult<()> {
        self.give_up().await?;
        self.ended.clear();
        self.unsure = false;
        Ok(())
    }

    /// Gives up what has ended, and is gone.
    async fn leave(&mut self) -> HostResult<()> {
        if !self.ended.is_empty() {
            let mut platform = self.inner.change_platform().await?;
            platform.end_claims(self.id, &self.ended.iter().collect::<Vec<_>>()).await?;
            platform.commit().await?;
            self.ended.clear();
        }
        self.give_up().await
    }

    async fn give_up(&mut self) -> HostResult<()> {
        let mut platform = self.inner.change_platform().await?;
        let own = platform.workers().await?.into_iter().find(|state| state.worker == self.id);
        match own {
            Some(own) => {
                platform.retire(own).await?;
                Ok(platform.commit().await?)
            }
            None => Ok(platform.rollback().await?),
        }
    }
}

/// Handles a stream's deliveries one after the other.
async fn handle(inner: Arc<Inner>, claim: Vec<Delivery>) -> Ended {
    let begun = Instant::now();
    let mut report = DrainReport::default();
    let mut last = None;
    for delivery in claim {
        if last.is_some() && begun.elapsed() > STREAM_TURN {
            let released = inner.release(&delivery).await;
            // One that cannot be given back is given up, with its attempt counted.
            let claim = released.is_err().then_some(delivery);
            return Ended { report, claim, fault: released.err() };
        }
        match inner.deliver(&delivery).await {
            Ok(Handled::Done(own)) => report.add(own),
            Ok(Handled::Ended(own)) => {
                report.add(own);
                return Ended { report, claim: None, fault: None };
            }
            Err(fault) => {
                let released = inner.release(&delivery).await;
                let claim = released.is_err().then_some(delivery);
                return Ended { report, claim, fault: Some(fault) };
            }
        }
        last = Some(delivery);
    }
    Ended { report, claim: last, fault: None }
}

/// Who drains, one after the other.
pub(crate) struct Drainer {
    id: WorkerId,
    /// Whether there may be claims that it does not know of.
    unsure: bool,
}

impl Drainer {
    pub(crate) fn new(id: WorkerId) -> Self {
        Self { id, unsure: false }
    }
}

impl Inner {
    pub(crate) fn new_worker(&self) -> WorkerId {
        WorkerId(self.services.ids.new_id(self.services.clock.now()))
    }

    /// One drain after the other: whoever asks is told of everything that was there.
    pub(crate) async fn drain(self: Arc<Self>) -> HostResult<DrainReport> {
        let mut drainer = self.draining.lock().await;
        let Drainer { id, unsure } = &mut *drainer;
        Worker::new(Arc::clone(&self), self.worker_options.clone(), *id).drain(unsure).await
    }
}
