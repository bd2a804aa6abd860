//! Events of every tenant, for whoever runs the platform: what became of them, dead letters, what is kept no longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::event::Delivery;
use erp_plugin_model::{EventId, TenantId, UserId, WorkerId};
use erp_plugin_storage::{
    AuditEntry, Backlog, DeadLetter, DeadLetterFilter, DeliveryStatus, EventFilter, StoredEvent, WorkerState,
};

use tokio::sync::watch;

use crate::error::HostResult;
use crate::host::{Inner, PluginHost};

/// Dead letters sent again or dropped, and events pruned, in one transaction.
const BATCH: u32 = 500;
/// How often a worker looks for what was kept for long enough.
const PRUNE: Duration = Duration::from_hours(1);
/// How often workers are asked for a sign of life while they are watched.
const LOOK: Duration = Duration::from_millis(100);

/// Events of every tenant. Whether somebody may see them is for the caller to decide.
pub struct Events<'h> {
    host: &'h PluginHost,
}

/// An event, and what became of it.
#[derive(Clone, Debug)]
pub struct EventDetails {
    /// What was published.
    pub event: StoredEvent,
    /// What became of it, by subscriber.
    pub deliveries: Vec<DeliveryStatus>,
    /// The events that led to it, the first of the chain at last. One that was pruned ends the list.
    pub chain: Vec<StoredEvent>,
}

/// How long things are kept; for ever where no time is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events that were delivered to the end, with their deliveries. Default: 7 days.
    pub events: Option<Duration>,
    /// Log lines. Default: 30 days.
    pub log: Option<Duration>,
    /// Runs of jobs that have ended. Default: 90 days.
    pub runs: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { events: Some(7 * DAY), log: Some(30 * DAY), runs: Some(90 * DAY) }
    }
}

/// What was removed because it was kept for long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Log lines.
    pub log_lines: u64,
    /// Runs of jobs.
    pub runs: u64,
}

impl Pruned {
    /// Whether there was no more.
    fn is_last(self) -> bool {
        [self.events, self.log_lines, self.runs].iter().all(|pruned| *pruned < u64::from(BATCH))
    }
}

impl<'h> Events<'h> {
    pub(crate) fn new(host: &'h PluginHost) -> Self {
        Self { host }
    }

    /// At most `limit` events that the dispatcher has seen, in their order from the oldest, or from the newest.
    pub async fn list(&self, filter: EventFilter, newest: bool, limit: u32) -> HostResult<Vec<StoredEvent>> {
        self.host
            .run(|inner| async move {
                let mut platform = inner.look_at_platform().await?;
                let events = platform.events(&filter, newest, limit).await?;
                platform.rollback().await?;
                Ok(events)
            })
            .await
    }

    /// An event of a tenant, with its deliveries and the events that led to it.
    pub async fn get(&self, tenant: &str, event: EventId) -> HostResult<Option<EventDetails>> {
        let tenant = TenantId::parse(tenant)?;
        self.host.run(|inner| async move { inner.event_details(&tenant, event).await }).await
    }

    /// What is still to be done, in one tenant or in all.
    pub async fn backlog(&self, tenant: Option<&str>) -> HostResult<Backlog> {
        let tenant = tenant.map(TenantId::parse).transpose()?;
        self.host
            .run(|inner| async move {
                let mut platform = inner.look_at_platform().await?;
                let backlog = platform.backlog(tenant.as_ref()).await?;
                platform.rollback().await?;
                Ok(backlog)
            })
            .await
    }

    /// The workers that have streams in hand and give no sign of life for this long; the lease of the workers tells the dead
    /// from those that are slow. Returns as soon as all that have anything have given one.
    pub async fn silent_workers(&self, watched: Duration) -> HostResult<Vec<WorkerId>> {
        self.host.run(|inner| async move { inner.silent_workers(watched).await }).await
    }

    /// At most `limit` dead letters, the oldest event first, behind this delivery if one is given.
    pub async fn dead_letters(
        &self,
        filter: DeadLetterFilter,
        after: Option<Delivery>,
        limit: u32,
    ) -> HostResult<Vec<DeadLetter>> {
        self.host
            .run(|inner| async move {
                let mut platform = inner.look_at_platform().await?;
                let letters = platform.dead_letters(&filter, after.as_ref(), limit).await?;
                platform.rollback().await?;
                Ok(letters)
            })
            .await
    }

    /// Sends dead letters again, as if they had not been attempted; returns how many. Each is the next of its stream: what
    /// came after it was handled without it, or waits.
    pub async fn resend(&self, filter: DeadLetterFilter) -> HostResult<u64> {
        let by = self.host.actor().clone();
        self.host.run(|inner| async move { inner.settle(&by, &filter, Settlement::Resend).await }).await
    }

    /// Drops dead letters: nobody gets them any more. Returns how many.
    pub async fn discard(&self, filter: DeadLetterFilter) -> HostResult<u64> {
        let by = self.host.actor().clone();
        self.host.run(|inner| async move { inner.settle(&by, &filter, Settlement::Drop).await }).await
    }

    /// Removes what was kept for long enough, in batches. What is undelivered stays, dead letters as well.
    pub async fn prune(&self, retention: Retention) -> HostResult<Pruned> {
        self.host.run(|inner| async move { inner.prune(&retention).await }).await
    }
}

/// What becomes of a dead letter.
#[derive(Clone, Copy)]
enum Settlement {
    Resend,
    Drop,
}

impl Inner {
    async fn silent_workers(&self, watched: Duration) -> HostResult<Vec<WorkerId>> {
        let begun = Instant::now();
        let mut silent: Vec<WorkerState> = self.workers().await?;
        silent.retain(|state| state.is_busy);
        while !silent.is_empty() && begun.elapsed() < watched {
            tokio::time::sleep(LOOK).await;
            let now = self.workers().await?;
            silent.retain(|seen| now.contains(seen));
        }
        Ok(silent.into_iter().map(|state| state.worker).collect())
    }

    async fn workers(&self) -> HostResult<Vec<WorkerState>> {
        let mut platform = self.look_at_platform().await?;
        let workers = platform.workers().await?;
        platform.rollback().await?;
        Ok(workers)
    }

    async fn settle(
        &self,
        by: &UserId,
        filter: &DeadLetterFilter,
        settlement: Settlement,
    ) -> HostResult<u64> {
        let mut settled = 0;
        // What fails meanwhile once more is not meant.
        let now = self.services.clock.now();
        let until = Some(filter.until.map_or(now, |until| until.min(now)));
        let filter = DeadLetterFilter { until, ..filter.clone() };
        loop {
            let mut platform = self.change_platform().await?;
            let (action, batch) = match settlement {
                Settlement::Resend => ("dead-letters.resent", platform.resend(&filter, BATCH).await?),
                Settlement::Drop => {
                    ("dead-letters.dropped", platform.drop_dead_letters(&filter, BATCH).await?)
                }
            };
            if batch > 0 {
                let entry = AuditEntry {
                    tenant: filter.tenant.clone(),
                    plugin: filter.plugin.clone(),
                    detail: Some(batch.to_string()),
                    ..self.done(by, action)
                };
                platform.note_platform_audit(&entry).await?;
            }
            platform.commit().await?;
            self.published.notify_one();
            settled += batch;
            if batch < u64::from(BATCH) {
                return Ok(settled);
            }
        }
    }

    async fn event_details(&self, tenant: &TenantId, event: EventId) -> HostResult<Option<EventDetails>> {
        let mut platform = self.look_at_platform().await?;
        let Some(found) = platform.event(tenant, event).await? else { return Ok(None) };
        let deliveries = platform.deliveries(tenant, event).await?;
        let mut chain = Vec::new();
        let mut parent = found.event.parent;
        // A chain has a depth; a row that was tampered with might name itself.
        while let Some(id) = parent
            && chain.len() <= found.event.depth as usize
            && let Some(next) = platform.event(tenant, id).await?
        {
            parent = next.event.parent;
            chain.push(next);
        }
        platform.rollback().await?;
        Ok(Some(EventDetails { event: found, deliveries, chain }))
    }

    /// Removes everything that was kept for long enough.
    async fn prune(&self, retention: &Retention) -> HostResult<Pruned> {
        let mut pruned = Pruned::default();
        loop {
            let batch = self.prune_some(retention).await?;
            pruned.events += batch.events;
            pruned.log_lines += batch.log_lines;
            pruned.runs += batch.runs;
            if batch.is_last() {
                return Ok(pruned);
            }
        }
    }

    /// Removes what was kept for long enough, time and again until it is told to stop. Whatever that fails with is nobody
    /// else's: deliveries go on.
    pub(crate) async fn keep_pruning(
        self: Arc<Self>,
        retention: Retention,
        mut stopped: watch::Receiver<bool>,
    ) {
        while !*stopped.borrow() {
            let pause = match self.prune_some(&retention).await {
                Ok(pruned) if pruned.is_last() => PRUNE,
                // In batches, and others in between.
                Ok(_) => LOOK,
                Err(fault) => {
                    tracing::warn!(error = %fault, "what was kept for long enough could not be removed; trying again in an hour");
                    PRUNE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => {}
            }
        }
    }

    /// Removes some of what was kept for long enough, and keeps nobody waiting for long.
    async fn prune_some(&self, retention: &Retention) -> HostResult<Pruned> {
        let now = self.services.clock.now();
        let before = |kept: Option<Duration>| now.checked_sub_signed(chrono::Duration::from_std(kept?).ok()?);
        let mut pruned = Pruned::default();
        if let Some(before) = before(retention.events) {
            let mut platform = self.change_platform().await?;
            pruned.events = platform.prune_events(before, BATCH).await?;
            platform.commit().await?;
        }
        if let Some(before) = before(retention.log) {
            let mut platform = self.change_platform().await?;
            pruned.log_lines = platform.prune_log(before, BATCH).await?;
            platform.commit().await?;
        }
        if let Some(before) = before(retention.runs) {
            let mut platform = self.change_platform().await?;
            pruned.runs = platform.prune_runs(before, BATCH).await?;
            platform.commit().await?;
        }
        Ok(pruned)
    }
}
