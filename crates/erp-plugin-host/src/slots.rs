//! Who may have a sandbox: a bounded number per tenant, and round-robin by tenant among those who wait for one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use erp_plugin_model::{ErrorCode, HostError, TenantId, TenantQueue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::budget::TenantLimits;

/// How long an invocation waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most invocations of all tenants that wait for a sandbox.
const MOST_WAITING: usize = 4096;

/// The sandboxes of a host.
pub(crate) struct Slots {
    shared: Arc<Shared>,
    most_waiting: usize,
    limits: TenantLimits,
    tenants: Mutex<HashMap<TenantId, Arc<Line>>>,
}

/// Those of one tenant.
struct Line {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    free: u32,
    waiting: TenantQueue<oneshot::Sender<SlotGuard>>,
}

/// A right to one sandbox; given on when dropped.
pub(crate) struct Permit {
    _slot: SlotGuard,
    _tenant: OwnedSemaphorePermit,
}

struct SlotGuard {
    shared: Arc<Shared>,
}

impl Slots {
    pub(crate) fn new(sandboxes: u32, limits: TenantLimits) -> Self {
        let state = State { free: sandboxes, waiting: TenantQueue::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        Self { shared, most_waiting: MOST_WAITING, limits, tenants: Mutex::default() }
    }

    pub(crate) async fn acquire(&self, tenant: &TenantId) -> Result<Permit, HostError> {
        let give_up = Instant::now() + PATIENCE;
        let busy = |what: String| {
            let seconds = PATIENCE.as_secs();
            HostError::new(ErrorCode::Unavailable, format!("{what} for {seconds} s; try again later"))
        };
        let line = self.line(tenant);
        let _place = Place::in_line(&line, tenant, &self.limits)?;
        // The semaphore is never closed: what fails is the time.
        let permit = Arc::clone(&line.running).acquire_owned();
        let Ok(Ok(own)) = tokio::time::timeout_at(give_up, permit).await else {
            let running = self.limits.concurrent;
            return Err(busy(format!("tenant {tenant} has had {running} invocations running")));
        };
        let waiting = {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.free > 0 {
                state.free -= 1;
                let slot = SlotGuard { shared: Arc::clone(&self.shared) };
                return Ok(Permit { _slot: slot, _tenant: own });
            }
            let (waiting, allowed) = (state.waiting.len(), self.most_waiting);
            if waiting >= allowed {
                return Err(HostError::new(
                    ErrorCode::Unavailable,
                    format!(
                        "every sandbox is busy and {waiting} invocations wait for one, {allowed} are allowed; try again in a \
                         second"
                    ),
                ));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push(tenant, sender);
            receiver
        };
        match tokio::time::timeout_at(give_up, waiting).await {
            Ok(Ok(slot)) => Ok(Permit { _slot: slot, _tenant: own }),
            Ok(Err(_)) | Err(_) => Err(busy("every sandbox has been busy".to_owned())),
        }
    }

    fn line(&self, tenant: &TenantId) -> Arc<Line> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = tenants.get(tenant) {
            return Arc::clone(line);
        }
        let running = Arc::new(Semaphore::new(self.limits.concurrent.max(1)));
        let line = Arc::new(Line { running, waiting: AtomicUsize::new(0) });
        tenants.insert(tenant.clone(), Arc::clone(&line));
        line
    }
}

/// A place in a tenant's line, counted until it is dropped.
struct Place<'l> {
    line: &'l Line,
}

impl<'l> Place<'l> {
    fn in_line(line: &'l Line, tenant: &TenantId, limits: &TenantLimits) -> Result<Self, HostError> {
        let before = line.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self { line };
        let queued = limits.queued;
        if before >= queued.max(1) {
            return Err(HostError::new(
                ErrorCode::Unavailable,
                format!(
                    "tenant {tenant} has {before} invocations waiting, {queued} are allowed; try again in a second"
                ),
            ));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(next) = state.waiting.pop() else {
                state.free += 1;
                return;
            };
            if next.is_closed() {
                continue;
            }
            // Whoever gave up in this very moment drops the guard that it gets, which comes back here: not while
            // the lock is held.
            drop(state);
            drop(next.send(Self { shared: Arc::clone(&self.shared) }));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[tokio::test]
    async fn a_slot_goes_to_the_tenant_whose_turn_it_is() {
        let slots = Arc::new(Slots::new(1, TenantLimits::default()));
        let first = slots.acquire(&tenant("a")).await.unwrap();
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for (count, name) in ["a", "a", "b"].into_iter().enumerate() {
            let (task_slots, sender) = (Arc::clone(&slots), sender.clone());
            tokio::spawn(async move {
                let permit = task_slots.acquire(&tenant(name)).await.unwrap();
                sender.send(name).unwrap();
                drop(permit);
            });
            // Wait until it stands in the queue.
            while slots.shared.state.lock().unwrap().waiting.len() <= count {
                tokio::task::yield_now().await;
            }
        }
        drop(first);
        let mut got = Vec::new();
        for _ in 0..3 {
            got.push(order.recv().await.unwrap());
        }
        assert_eq!(got, ["a", "b", "a"]);
        assert_eq!(slots.shared.state.lock().unwrap().free, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_a_hint_and_loses_no_slot() {
        let slots = Slots::new(1, TenantLimits::default());
        let held = slots.acquire(&tenant("a")).await.unwrap();
        let error = slots.acquire(&tenant("b")).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::Unavailable);
        drop(held);
        assert!(slots.acquire(&tenant("b")).await.is_ok());
    }

    #[tokio::test]
    async fn a_line_of_all_tenants_that_is_too_long_takes_nobody_more() {
        let slots = Arc::new(Slots { most_waiting: 2, ..Slots::new(1, TenantLimits::default()) });
        let held = slots.acquire(&tenant("a")).await.unwrap();
        let waiting = ["b", "c"].map(|name| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move { slots.acquire(&tenant(name)).await.map(drop) })
        });
        while slots.shared.state.lock().unwrap().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        let error = slots.acquire(&tenant("d")).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "unavailable: every sandbox is busy and 2 invocations wait for one, 2 are allowed; try again in a second"
        );
        drop(held);
        for waited in waiting {
            waited.await.unwrap().unwrap();
        }
        assert!(slots.acquire(&tenant("d")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_tenant_does_not_get_every_slot() {
        let slots = Slots::new(100, TenantLimits::default());
        let mut held = Vec::new();
        for _ in 0..TenantLimits::default().concurrent {
            held.push(slots.acquire(&tenant("a")).await.unwrap());
        }
        assert!(slots.acquire(&tenant("a")).await.is_err());
        assert!(slots.acquire(&tenant("b")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_too_long_takes_nobody_more() {
        let limits = TenantLimits { concurrent: 1, queued: 2, ..TenantLimits::default() };
        let slots = Slots::new(100, limits);
        let (a, b) = (tenant("a"), tenant("b"));
        let _held = slots.acquire(&a).await.unwrap();
        let (first, second) = (slots.acquire(&a), slots.acquire(&a));
        let more = async {
            tokio::task::yield_now().await;
            (slots.acquire(&a).await.err().unwrap(), slots.acquire(&b).await.is_ok())
        };
        let (.., (refused, other)) = tokio::join!(first, second, more);
        let text = "unavailable: tenant a has 2 invocations waiting, 2 are allowed; try again in a second";
        assert_eq!((refused.to_string().as_str(), other), (text, true));
    }
}
