//! Connections that are lent to one transaction at a time, and the queue of those who wait for one.
//!
//! Waiters are served round-robin by tenant. A lease that is dropped, wherever and why ever, gives its connection
//! back, and one that was sent to a waiter who has gone away comes back through the failed send or through its own
//! drop inside the channel: no path loses a connection. What has to happen to it between two loans (an open
//! transaction to end, a group to commit) is [`Lendable::settle`], outside of the lock.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use erp_plugin_model::{TenantId, TenantQueue};
use erp_plugin_storage::ErrorKind;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Where a loan ends, which decides whether the thread may be kept waiting with notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoanEnd {
    /// In a task that ended its transaction.
    InTask,
    /// In a destructor: perhaps while a panic unwinds or a runtime shuts down, where nothing may be asked of Tokio.
    InDrop,
}

/// What a pool lends.
pub(crate) trait Lendable: Send + 'static {
    /// Makes it ready for the next borrower, who is waiting already or not.
    fn settle(&mut self, somebody_waits: bool, end: LoanEnd);
}

/// Lends things to those who wait for them.
pub(crate) struct Pool<T: Lendable> {
    state: Mutex<State<T>>,
}

struct State<T: Lendable> {
    idle: Vec<Box<T>>,
    waiting: TenantQueue<oneshot::Sender<Lease<T>>>,
}

impl<T: Lendable> Pool<T> {
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Arc<Self> {
        let idle = items.into_iter().map(Box::new).collect();
        Arc::new(Self { state: Mutex::new(State { idle, waiting: TenantQueue::default() }) })
    }

    /// Borrows one, waiting until the deadline for the tenant's turn.
    pub(crate) async fn acquire(self: &Arc<Self>, tenant: &TenantId, deadline: Instant) -> Result<Lease<T>> {
        let turn = {
            let mut state = self.lock();
            if let Some(item) = state.idle.pop() {
                return Ok(Lease { item: Some(item), pool: Arc::clone(self) });
            }
            let (sender, turn) = oneshot::channel();
            state.waiting.push(tenant, sender);
            turn
        };
        match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(Error::Kind(ErrorKind::Unavailable)),
            Err(_) => Err(Error::Kind(ErrorKind::DeadlineExceeded)),
        }
    }

    fn give_back(self: Arc<Self>, mut item: Box<T>, end: LoanEnd) {
        loop {
            let somebody_waits = !self.lock().waiting.is_empty();
            item.settle(somebody_waits, end);
            let next = {
                let mut state = self.lock();
                match state.waiting.pop() {
                    Some(next) => next,
                    // Those who waited were served by another item; settle this one again for nobody.
                    None if somebody_waits => continue,
                    None => return state.idle.push(item),
                }
            };
            match next.send(Lease { item: Some(item), pool: Arc::clone(&self) }) {
                Ok(()) => return,
                Err(mut refused) => match refused.item.take() {
                    Some(returned) => item = returned,
                    None => return,
                },
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that may panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use one of the pool's things, until dropped.
pub(crate) struct Lease<T: Lendable> {
    item: Option<Box<T>>,
    pool: Arc<Pool<T>>,
}

impl<T: Lendable> Lease<T> {
    /// Gives it back from a task, which may be kept waiting.
    pub(crate) fn give_back(mut self) {
        if let Some(item) = self.item.take() {
            Arc::clone(&self.pool).give_back(item, LoanEnd::InTask);
        }
    }
}

impl<T: Lendable> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            Arc::clone(&self.pool).give_back(item, LoanEnd::InDrop);
        }
    }
}

#[expect(clippy::expect_used, reason = "the item is taken only where the lease itself ends")]
impl<T: Lendable> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("a lease holds its item")
    }
}

#[expect(clippy::expect_used, reason = "the item is taken only where the lease itself ends")]
impl<T: Lendable> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("a lease holds its item")
    }
}
