//! How long an invocation may go on holding what all other writers wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Until when the invocation may hold the embedded database's writer, for whoever cannot look into the store: a
/// timer that runs while the guest waits for the host.
#[derive(Debug)]
pub struct WriterWatch {
    base: Instant,
    /// Nanoseconds after `base`; zero while it is not held.
    until: AtomicU64,
}

impl Default for WriterWatch {
    /// It is not held.
    fn default() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl WriterWatch {
    pub(crate) fn note(&self, until: Option<Instant>) {
        let nanos = until.map_or(0, |until| {
            u64::try_from(until.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX).max(1)
        });
        self.until.store(nanos, Ordering::Relaxed);
    }

    /// Until when; `None` while it is not held.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self.until.load(Ordering::Relaxed) {
            0 => None,
            nanos => self.base.checked_add(Duration::from_nanos(nanos)),
        }
    }
}
