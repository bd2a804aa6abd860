//! By how much a run comes later than its occasion: the same in every process, another for each tenant.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::ids::{JobName, PluginName, TenantId};

/// The delay of an occasion, less than `most`: made of whose it is and when, so that whoever computes it agrees.
#[must_use]
pub fn spread(
    tenant: &TenantId,
    plugin: &PluginName,
    job: &JobName,
    occasion: DateTime<Utc>,
    most: Duration,
) -> Duration {
    let Ok(most @ 1..) = u64::try_from(most.as_millis()) else { return Duration::ZERO };
    // FNV-1a. No name has a slash.
    let names = [tenant.as_str(), plugin.as_str(), job.as_str()].join("/");
    let time = occasion.timestamp_micros().to_be_bytes();
    let hash = names.bytes().chain(time).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The lowest bits depend on the last bytes alone.
    Duration::from_millis((hash ^ (hash >> 32)) % most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(tenant: &str, day: u32) -> Duration {
        let (plugin, job) = (PluginName::parse("inventory").unwrap(), JobName::parse("reorder").unwrap());
        let occasion = format!("2026-01-{day:02}T06:00:00Z").parse().unwrap();
        spread(&TenantId::parse(tenant).unwrap(), &plugin, &job, occasion, Duration::from_mins(5))
    }

    #[test]
    fn a_delay_is_fixed_and_differs_between_tenants_and_occasions() {
        assert_eq!(delay("acme", 1), delay("acme", 1));
        assert_ne!(delay("acme", 1), delay("globex", 1));
        assert_ne!(delay("acme", 1), delay("acme", 2));
        // Whoever changes this has processes of two releases disagree.
        assert_eq!(delay("acme", 1), Duration::from_millis(3813));
    }

    #[test]
    fn delays_are_spread_over_the_whole_time() {
        let delays: Vec<Duration> = (0..1000).map(|n| delay(&format!("t{n}"), 1)).collect();
        assert!(delays.iter().all(|delay| *delay < Duration::from_mins(5)));
        for minute in 0..5 {
            let (from, to) = (Duration::from_mins(minute), Duration::from_mins(minute + 1));
            let within = delays.iter().filter(|delay| (from..to).contains(delay)).count();
            assert!((120..280).contains(&within), "{within} in minute {minute}");
        }
    }

    #[test]
    fn without_jitter_there_is_no_delay() {
        let (plugin, job) = (PluginName::parse("inventory").unwrap(), JobName::parse("reorder").unwrap());
        let tenant = TenantId::parse("acme").unwrap();
        let none = spread(&tenant, &plugin, &job, DateTime::UNIX_EPOCH, Duration::ZERO);
        assert_eq!(none, Duration::ZERO);
    }
}
