//! Locks by name: whoever works on one thing waits for those who work on the same thing, and for nobody else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, Weak};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// One lock a key.
pub(crate) struct Locks<K> {
    held: std::sync::Mutex<HashMap<K, Weak<Mutex<()>>>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { held: std::sync::Mutex::default() }
    }
}

impl<K: Eq + Hash> Locks<K> {
    /// Waits for the key's lock.
    pub(crate) async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for any more.
            held.retain(|_, lock| lock.strong_count() > 0);
            let known = held.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::default();
                held.insert(key, Arc::downgrade(&new));
                new
            })
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[tokio::test]
    async fn one_key_is_held_once_and_others_do_not_wait() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        drop(locks.lock("b").await);
        let mut second = Box::pin(locks.lock("a"));
        assert!(poll_once(&mut second).is_none());
        drop(first);
        drop(second.await);
        assert!(locks.held.lock().unwrap().len() <= 1);
    }

    fn poll_once<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }
}
