//! What a tenant may use in a minute, all of its invocations together.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use erp_plugin_model::{ErrorCode, HostError, TenantId};

const MINUTE: Duration = Duration::from_mins(1);

/// What one tenant may have of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// The most invocations at once. Default: 16.
    pub concurrent: usize,
    /// The most that wait for that; who comes then is told to come back. Default: 256.
    pub queued: usize,
    /// The most fuel in a minute, in this process. Default: 20,000,000,000, some twenty seconds of a processor.
    pub fuel_per_minute: u64,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { concurrent: 16, queued: 256, fuel_per_minute: 20_000_000_000 }
    }
}

/// What each tenant has used of its minute.
pub(crate) struct Budgets {
    fuel: u64,
    minutes: Mutex<HashMap<TenantId, Minute>>,
}

struct Minute {
    begun: Instant,
    used: u64,
}

impl Budgets {
    pub(crate) fn new(fuel: u64) -> Self {
        Self { fuel, minutes: Mutex::default() }
    }

    /// Refuses a tenant that has used up its minute, and says when the next one begins.
    pub(crate) fn check(&self, tenant: &TenantId, now: Instant) -> Result<(), HostError> {
        let minutes = self.lock();
        let Some(minute) = minutes.get(tenant).filter(|minute| self.is_used_up(minute, now)) else {
            return Ok(());
        };
        let left = MINUTE.saturating_sub(now.saturating_duration_since(minute.begun));
        Err(HostError::new(
            ErrorCode::Unavailable,
            format!(
                "tenant {tenant} has used {} of fuel, {} are allowed in a minute; try again in {} s",
                minute.used,
                self.fuel,
                left.as_secs() + 1
            ),
        ))
    }

    pub(crate) fn charge(&self, tenant: &TenantId, fuel: u64, now: Instant) {
        let mut minutes = self.lock();
        match minutes.get_mut(tenant) {
            Some(minute) if now.saturating_duration_since(minute.begun) < MINUTE => {
                minute.used = minute.used.saturating_add(fuel);
            }
            Some(minute) => *minute = Minute { begun: now, used: fuel },
            None => {
                minutes.insert(tenant.clone(), Minute { begun: now, used: fuel });
            }
        }
    }

    /// The tenants that have used up their minute.
    pub(crate) fn used_up(&self, now: Instant) -> Vec<TenantId> {
        let mut minutes = self.lock();
        // Whoever was idle for a minute is forgotten.
        minutes.retain(|_, minute| now.saturating_duration_since(minute.begun) < MINUTE);
        let used_up = minutes.iter().filter(|(_, minute)| self.is_used_up(minute, now));
        used_up.map(|(tenant, _)| tenant.clone()).collect()
    }

    fn is_used_up(&self, minute: &Minute, now: Instant) -> bool {
        minute.used >= self.fuel && now.saturating_duration_since(minute.begun) < MINUTE
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Minute>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_that_used_up_its_minute_waits_for_the_next_one() {
        let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
        let budgets = Budgets::new(100);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        budgets.charge(&acme, 60, at(0));
        assert!(budgets.check(&acme, at(1)).is_ok());
        budgets.charge(&acme, 60, at(10));
        let error = budgets.check(&acme, at(20)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unavailable: tenant acme has used 120 of fuel, 100 are allowed in a minute; try again in 41 s"
        );
        assert!(budgets.check(&globex, at(20)).is_ok());
        assert_eq!(budgets.used_up(at(20)), std::slice::from_ref(&acme));
        assert!(budgets.check(&acme, at(60)).is_ok() && budgets.used_up(at(60)).is_empty());
        budgets.charge(&acme, 1, at(60));
        assert!(budgets.check(&acme, at(61)).is_ok());
    }
}
