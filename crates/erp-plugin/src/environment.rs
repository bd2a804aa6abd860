//! The real clock and real randomness: what a composition root passes to everything below.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use erp_plugin_model::{Clock, IdGenerator};
use uuid::{ContextV7, Timestamp, Uuid};

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everything else is passed")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// UUIDv7 from the system's randomness; ids made by one process rise even within a millisecond and when the clock
/// goes back.
#[derive(Debug)]
pub struct SystemIds(Mutex<ContextV7>);

impl Default for SystemIds {
    fn default() -> Self {
        Self(Mutex::new(ContextV7::new()))
    }
}

impl IdGenerator for SystemIds {
    fn new_id(&self, now: DateTime<Utc>) -> Uuid {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
    }
}

/// Bytes for a new secret key, from the system.
///
/// # Panics
///
/// When the system has no randomness: nothing that needs a key may go on then.
#[must_use]
#[allow(clippy::expect_used, reason = "a key without randomness would be no key")]
pub fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the system has no randomness");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_within_a_millisecond_and_when_the_clock_goes_back() {
        let ids = SystemIds::default();
        let now: DateTime<Utc> = "2026-01-31T09:30:00Z".parse().unwrap();
        let earlier = now - chrono::Duration::seconds(5);
        let made: Vec<Uuid> =
            (0..1000).map(|_| ids.new_id(now)).chain((0..1000).map(|_| ids.new_id(earlier))).collect();
        assert!(made.is_sorted());
    }
}
