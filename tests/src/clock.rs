//! A clock that stands still until somebody sets it.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use erp_plugin::Clock;

/// The time of every host that has a copy of it.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<DateTime<Utc>>>);

impl TestClock {
    /// A clock that shows this: `2026-01-31T09:30:00Z`.
    #[must_use]
    pub fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.parse().unwrap())))
    }

    /// Sets it, forward or back.
    pub fn set(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}
