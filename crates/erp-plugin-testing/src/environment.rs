//! Time and ids that a test can foresee.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use erp_plugin_model::{Clock, IdGenerator};
use uuid::{Builder, Uuid};

/// Seconds from the epoch to where the clock stands at first: the beginning of 2026.
const START: i64 = 1_767_225_600;

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(crate) struct StandingClock(Mutex<DateTime<Utc>>);

impl Default for StandingClock {
    fn default() -> Self {
        Self(Mutex::new(DateTime::UNIX_EPOCH + TimeDelta::seconds(START)))
    }
}

impl StandingClock {
    pub(crate) fn set(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for StandingClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// UUIDv7 whose random part counts up.
#[derive(Debug, Default)]
pub(crate) struct CountingIds(AtomicU64);

impl IdGenerator for CountingIds {
    fn new_id(&self, now: DateTime<Utc>) -> Uuid {
        let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let mut random = [0; 10];
        let (_, low) = random.split_at_mut(2);
        low.copy_from_slice(&count.to_be_bytes());
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_every_run_and_rise() {
        let clock = StandingClock::default();
        assert_eq!(clock.now().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        let ids = CountingIds::default();
        let made: Vec<Uuid> = (0..300).map(|_| ids.new_id(clock.now())).collect();
        assert_eq!(made[0].to_string(), "019b76da-a800-7000-8000-000000000001");
        assert_eq!(made[0].get_version_num(), 7);
        assert!(made.is_sorted_by(|a, b| a < b));
    }
}
