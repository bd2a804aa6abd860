//! Stops a read that runs past its deadline.
//!
//! SQLite calls the handler every thousand steps of its virtual machine. The alarm is set around reads only: an
//! interrupted write would roll back the whole transaction, and with it the invocations that share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rusqlite::Connection;

/// Steps between two looks at the clock: 7 µs of a search through columns, and 5 ms at the worst, where each step looks
/// for a key in the longest document that there may be. A search is not slower for it, nor would it be with 100.
const STEPS: i32 = 1_000;

/// When the running read must stop.
pub(crate) struct Alarm {
    base: Instant,
    /// Nanoseconds after `base`; zero is never.
    at: Arc<AtomicU64>,
}

impl Alarm {
    /// Installs the handler, with no time set.
    pub(crate) fn install(connection: &mut Connection) -> rusqlite::Result<Self> {
        let (base, at) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let seen = Arc::clone(&at);
        let handler = move || {
            let at = seen.load(Ordering::Relaxed);
            at != 0 && nanos(base.elapsed()) >= at
        };
        connection.progress_handler(STEPS, Some(handler))?;
        Ok(Self { base, at })
    }

    /// Does a read that is stopped at the deadline.
    pub(crate) fn around<T>(&self, deadline: Instant, read: impl FnOnce() -> T) -> T {
        let after = nanos(deadline.saturating_duration_since(self.base)).max(1);
        self.at.store(after, Ordering::Relaxed);
        // Also when the read panics.
        let _off = Off(&self.at);
        read()
    }
}

struct Off<'a>(&'a AtomicU64);

impl Drop for Off<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
