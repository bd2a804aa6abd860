//! Whose turn it is to have a connection. The pool itself serves first come, first served, which would let one tenant
//! keep all others waiting; so nobody asks it before it is their turn, and it always has one left for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use erp_plugin_model::{TenantId, TenantQueue};
use erp_plugin_storage::ErrorKind;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// So many may go at once.
pub(crate) struct Turns {
    state: Mutex<State>,
}

struct State {
    free: usize,
    waiting: TenantQueue<oneshot::Sender<Turn>>,
}

/// A place, until dropped.
pub(crate) struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: places, waiting: TenantQueue::default() }) })
    }

    /// Takes a place, waiting until the deadline for the tenant's turn.
    pub(crate) async fn take(self: &Arc<Self>, tenant: &TenantId, deadline: Instant) -> Result<Turn> {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push(tenant, sender);
            turn
        };
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Error::Kind(ErrorKind::Unavailable)),
            Err(_) => Err(Error::Kind(ErrorKind::DeadlineExceeded)),
        }
    }

    fn give_back(self: Arc<Self>) {
        let mut turns = self;
        loop {
            let next = {
                let mut state = turns.lock();
                match state.waiting.pop() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        return;
                    }
                }
            };
            // Outside of the lock: a turn that is refused, or that is dropped inside the channel, comes back here.
            match next.send(Turn(Some(turns))) {
                Ok(()) => return,
                Err(mut refused) => match refused.0.take() {
                    Some(back) => turns = back,
                    None => return,
                },
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that may panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    fn soon(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[tokio::test]
    async fn turns_go_round_robin_by_tenant_and_no_place_is_lost() {
        let turns = Turns::new(1);
        let first = turns.take(&tenant("a"), soon(1000)).await.unwrap();
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for name in ["a", "a", "a", "b"] {
            let (turns, sender) = (Arc::clone(&turns), sender.clone());
            tokio::spawn(async move {
                let _turn = turns.take(&tenant(name), soon(10_000)).await.unwrap();
                sender.send(name).unwrap();
            });
            tokio::task::yield_now().await;
        }
        // One who has given up waiting keeps nobody else waiting.
        assert!(turns.take(&tenant("c"), soon(5)).await.is_err());
        drop(first);
        let mut served = String::new();
        for _ in 0..4 {
            served.push_str(order.recv().await.unwrap());
        }
        assert_eq!(served, "abaa");
        assert!(turns.take(&tenant("c"), soon(5000)).await.is_ok());
    }
}
