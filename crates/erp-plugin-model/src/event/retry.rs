//! How often a failed delivery is tried again, and when.

use std::time::Duration;

/// The longest that a stream of the default key is held up by one event, all its retries together: everything else that
/// the tenant has for this subscriber waits behind it.
const LONGEST_ON_DEFAULT_KEY: Duration = Duration::from_mins(1);

/// How a subscription's failed deliveries are tried again: after `first_delay`, then after four times as long as the time
/// before, never after more than `max_delay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often it is tried again before it becomes a dead letter.
    pub retries: u32,
    /// The delay before the first retry.
    pub first_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
}

impl RetryPolicy {
    /// Of a subscription that says nothing: three retries after 2, 8 and 30 seconds.
    pub const DEFAULT: Self =
        Self { retries: 3, first_delay: Duration::from_secs(2), max_delay: Duration::from_secs(30) };

    /// The same as far as the operator lets it go.
    #[must_use]
    pub fn capped_by(&self, caps: &RetryCaps) -> Self {
        let max_delay = self.max_delay.min(caps.max_delay);
        Self {
            retries: self.retries.min(caps.retries),
            first_delay: self.first_delay.min(max_delay),
            max_delay,
        }
    }

    /// How long to wait after the attempt of this number, from 1; `None` when it was the last. `spread` is from 0 to 1
    /// and chosen anew each time, so that what failed together is not tried again together: the delay is between three
    /// and five quarters of what it says.
    ///
    /// `holds_up_all` is whether the stream has the default key. All delays together are then a minute at most.
    #[must_use]
    pub fn delay_after(&self, attempt: u32, holds_up_all: bool, spread: f64) -> Option<Duration> {
        if attempt > self.retries {
            return None;
        }
        let delay = self.nominal(attempt);
        if holds_up_all {
            let before: Duration = (1..attempt).map(|earlier| self.nominal(earlier)).sum();
            if (before + delay).mul_f64(1.25) > LONGEST_ON_DEFAULT_KEY {
                return None;
            }
        }
        Some(delay.mul_f64(0.75 + spread.clamp(0.0, 1.0) / 2.0))
    }

    fn nominal(&self, attempt: u32) -> Duration {
        let factor = 4_u32.saturating_pow(attempt.saturating_sub(1));
        self.first_delay.saturating_mul(factor).min(self.max_delay)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The most that an operator lets a subscription ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryCaps {
    /// The most retries.
    pub retries: u32,
    /// The longest delay.
    pub max_delay: Duration,
}

impl Default for RetryCaps {
    /// Ten retries, an hour.
    fn default() -> Self {
        Self { retries: 10, max_delay: Duration::from_hours(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(policy: &RetryPolicy, holds_up_all: bool, spread: f64) -> Vec<f64> {
        (1..)
            .map_while(|attempt| policy.delay_after(attempt, holds_up_all, spread))
            .map(|delay| delay.as_secs_f64())
            .collect()
    }

    #[test]
    fn delays_grow_up_to_the_longest() {
        assert_eq!(seconds(&RetryPolicy::DEFAULT, true, 0.5), [2.0, 8.0, 30.0]);
        assert_eq!(seconds(&RetryPolicy::DEFAULT, true, 0.0), [1.5, 6.0, 22.5]);
        assert_eq!(seconds(&RetryPolicy::DEFAULT, true, 1.0), [2.5, 10.0, 37.5]);
        let none = RetryPolicy { retries: 0, ..RetryPolicy::DEFAULT };
        assert!(seconds(&none, false, 0.5).is_empty());
    }

    #[test]
    fn nothing_holds_up_a_whole_tenant_for_more_than_a_minute() {
        let patient = RetryPolicy {
            retries: 10,
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_mins(10),
        };
        assert_eq!(seconds(&patient, false, 0.5).len(), 10);
        let all: f64 = seconds(&patient, true, 1.0).iter().sum();
        assert!(all <= 60.0 && all > 20.0, "{all}");
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let asked = RetryPolicy {
            retries: 100,
            first_delay: Duration::from_hours(5),
            max_delay: Duration::from_hours(24),
        };
        let got = asked.capped_by(&RetryCaps::default());
        let hour = Duration::from_hours(1);
        assert_eq!(got, RetryPolicy { retries: 10, first_delay: hour, max_delay: hour });
    }

    #[test]
    fn large_figures_do_not_overflow() {
        let policy = RetryPolicy { retries: u32::MAX, first_delay: Duration::MAX, max_delay: Duration::MAX };
        assert_eq!(RetryPolicy::DEFAULT.delay_after(u32::MAX, false, 0.5), None);
        let capped = policy.capped_by(&RetryCaps::default());
        assert_eq!(capped.delay_after(10, false, f64::INFINITY), Some(Duration::from_secs(4500)));
    }
}
