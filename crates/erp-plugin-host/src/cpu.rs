//! Who may compute: as many guests at once as there are processors, round-robin by tenant among those who want to.
//!
//! A guest gives its processor back whenever it waits for the host and at each tick of the epoch, and queues again behind
//! its tenant. While another tenant was there within the last second, none has every processor: whoever comes next begins
//! at once, not at the next tick. Whoever holds the embedded database's writer is waited for by all others, and goes on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use erp_plugin_host_api::WriterWatch;
use erp_plugin_model::{TenantId, TenantQueue};

/// How long a processor is kept free for a tenant that was there.
const EXPECTED: Duration = Duration::from_secs(1);

/// The processors of a host.
pub(crate) struct Cpu {
    state: Mutex<State>,
}

struct State {
    shares: Shares,
    waiting: TenantQueue<Arc<Waiter>>,
}

/// Who has how many of them.
struct Shares {
    slots: usize,
    /// Whose guests compute, one entry each.
    holders: Vec<TenantId>,
    /// The last two tenants that computed, the later one first, and when.
    last: [Option<(TenantId, Instant)>; 2],
}

struct Waiter {
    tenant: TenantId,
    turn: Mutex<Turn>,
}

enum Turn {
    Waits(Waker),
    Granted,
    /// Nobody waits any more.
    Gone,
}

impl Cpu {
    pub(crate) fn new(slots: usize) -> Self {
        let shares = Shares { slots: slots.max(1), holders: Vec::new(), last: [None, None] };
        Self { state: Mutex::new(State { shares, waiting: TenantQueue::default() }) }
    }

    /// Runs a guest's work, each piece of it on a processor of its tenant's turn.
    pub(crate) async fn computing<F: Future>(
        &self,
        tenant: &TenantId,
        writer: &WriterWatch,
        work: F,
    ) -> F::Output {
        let mut work = pin!(work);
        let mut queued = Queued { cpu: self, waiter: None };
        poll_fn(|context| {
            if writer.until().is_some() {
                return work.as_mut().poll(context);
            }
            if !queued.take(tenant, context) {
                return Poll::Pending;
            }
            let _held = Held { cpu: self, tenant };
            work.as_mut().poll(context)
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a processor back, and on to whoever is next.
    fn give(&self, tenant: &TenantId) {
        let mut state = self.lock();
        state.shares.release(tenant);
        state.grant(Instant::now());
    }
}

impl Shares {
    fn release(&mut self, tenant: &TenantId) {
        if let Some(at) = self.holders.iter().position(|holder| holder == tenant) {
            self.holders.swap_remove(at);
        }
    }

    /// Whether this tenant may have one more.
    fn may_have(&self, tenant: &TenantId, now: Instant) -> bool {
        if self.holders.len() >= self.slots {
            return false;
        }
        let held = self.holders.iter().filter(|holder| *holder == tenant).count();
        held == 0 || held + 1 < self.slots || !self.expects_another(tenant, now)
    }

    /// Whether another tenant was there a moment ago.
    fn expects_another(&self, tenant: &TenantId, now: Instant) -> bool {
        self.last
            .iter()
            .flatten()
            .any(|(other, at)| other != tenant && now.saturating_duration_since(*at) < EXPECTED)
    }

    fn note(&mut self, tenant: &TenantId, now: Instant) {
        match &mut self.last {
            [Some((last, at)), _] if last == tenant => *at = now,
            [last, before] => {
                std::mem::swap(last, before);
                *last = Some((tenant.clone(), now));
            }
        }
    }

    fn hold(&mut self, tenant: &TenantId, now: Instant) {
        self.note(tenant, now);
        self.holders.push(tenant.clone());
    }
}

impl State {
    /// Gives what is free to those who wait, as far as they may have it.
    fn grant(&mut self, now: Instant) {
        loop {
            let Self { shares, waiting } = self;
            let Some(next) = waiting.pop_where(|tenant| shares.may_have(tenant, now)) else { return };
            let mut turn = next.turn.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *turn, Turn::Granted) {
                Turn::Waits(waker) => {
                    self.shares.hold(&next.tenant, now);
                    waker.wake();
                }
                Turn::Granted => {}
                Turn::Gone => *turn = Turn::Gone,
            }
        }
    }
}

/// A place in the queue, given up when dropped.
struct Queued<'c> {
    cpu: &'c Cpu,
    waiter: Option<Arc<Waiter>>,
}

impl Queued<'_> {
    /// Whether the processor is there; if not, the task is woken when it is.
    fn take(&mut self, tenant: &TenantId, context: &Context<'_>) -> bool {
        if let Some(waiter) = &self.waiter {
            let mut turn = waiter.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Turn::Waits(waker) = &mut *turn {
                waker.clone_from(context.waker());
                return false;
            }
            drop(turn);
            self.waiter = None;
            return true;
        }
        let now = Instant::now();
        let mut state = self.cpu.lock();
        if state.waiting.is_empty() && state.shares.may_have(tenant, now) {
            state.shares.hold(tenant, now);
            return true;
        }
        let waiter = Arc::new(Waiter {
            tenant: tenant.clone(),
            turn: Mutex::new(Turn::Waits(context.waker().clone())),
        });
        state.waiting.push(tenant, Arc::clone(&waiter));
        // What is free may be somebody else's, who waits because this tenant has enough, or this one's own.
        state.grant(now);
        drop(state);
        let turn = waiter.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = matches!(*turn, Turn::Granted);
        drop(turn);
        if !granted {
            self.waiter = Some(waiter);
        }
        granted
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else { return };
        let turn =
            std::mem::replace(&mut *waiter.turn.lock().unwrap_or_else(PoisonError::into_inner), Turn::Gone);
        if matches!(turn, Turn::Granted) {
            self.cpu.give(&waiter.tenant);
        }
    }
}

/// A processor while a guest computes on it.
struct Held<'c> {
    cpu: &'c Cpu,
    tenant: &'c TenantId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.cpu.give(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn shares(slots: usize) -> Shares {
        Shares { slots, holders: Vec::new(), last: [None, None] }
    }

    #[test]
    fn a_processor_is_kept_free_for_whoever_was_there_a_moment_ago() {
        let (mut shares, now) = (shares(2), Instant::now());
        let (a, b) = (tenant("a"), tenant("b"));
        shares.hold(&a, now);
        assert!(shares.may_have(&a, now), "nobody else was there");
        shares.hold(&b, now);
        assert!(!shares.may_have(&tenant("c"), now), "both are taken");
        shares.release(&b);
        let later = now + EXPECTED / 2;
        assert!(
            !shares.may_have(&a, later) && shares.may_have(&b, later) && shares.may_have(&tenant("c"), later)
        );
        assert!(shares.may_have(&a, now + EXPECTED));
        // However few there are, everybody may have one.
        let mut shares = self::shares(1);
        shares.hold(&b, now);
        shares.release(&b);
        assert!(shares.may_have(&a, now));
    }

    /// Computes for so many pieces, noting each.
    async fn guest(name: &'static str, pieces: usize, noted: &Mutex<Vec<&'static str>>) {
        for _ in 0..pieces {
            noted.lock().unwrap().push(name);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn guests_take_turns_by_tenant() {
        let (cpu, noted) = (Cpu::new(1), Mutex::default());
        let (a, b) = (tenant("a"), tenant("b"));
        let free = WriterWatch::default();
        // A guest of a's computes; the others queue behind it.
        cpu.lock().shares.hold(&a, Instant::now());
        let ended = async {
            tokio::task::yield_now().await;
            cpu.give(&a);
        };
        tokio::join!(
            cpu.computing(&a, &free, guest("a1", 1, &noted)),
            cpu.computing(&a, &free, guest("a2", 1, &noted)),
            cpu.computing(&b, &free, guest("b", 1, &noted)),
            ended,
        );
        assert_eq!(*noted.lock().unwrap(), ["a1", "b", "a2"]);
        let state = cpu.lock();
        assert!(state.shares.holders.is_empty() && state.waiting.is_empty());
    }

    #[tokio::test]
    async fn whoever_goes_away_loses_no_turn_of_the_others() {
        let (cpu, noted) = (Arc::new(Cpu::new(1)), Arc::new(Mutex::default()));
        let running = |name: &'static str| {
            let (cpu, noted) = (Arc::clone(&cpu), Arc::clone(&noted));
            tokio::spawn(async move {
                cpu.computing(&tenant("a"), &WriterWatch::default(), guest(name, 1_000_000, &noted)).await;
            })
        };
        let (first, second) = (running("a1"), running("a2"));
        while noted.lock().unwrap().len() < 10 {
            tokio::task::yield_now().await;
        }
        for task in [first, second] {
            task.abort();
            assert!(task.await.is_err());
        }
        cpu.computing(&tenant("b"), &WriterWatch::default(), guest("b", 3, &noted)).await;
        assert!(cpu.lock().shares.holders.is_empty());
    }
}
