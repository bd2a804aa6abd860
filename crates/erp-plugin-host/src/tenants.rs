//! The tenants of the platform. Whatever names one that was never created is refused: its records would belong to
//! nobody. And nothing is begun in one that is suspended.
//!
//! What is known of a tenant is kept for a moment. Invariants:
//!
//! - A tenant that was suspended or deleted has no new invocation in any process after [`KEPT`], and at once in the process
//!   that did it.
//! - Nothing of a tenant is erased before that moment, and the time that an invocation has, are over, and its jobs have ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::job::RunState;
use erp_plugin_model::{ErrorCode, HostError, TenantId, UserId};
use erp_plugin_storage::erase::{self, Erased, Progress};
use erp_plugin_storage::{AuditEntry, RunFilter, TenantState};

use crate::error::HostResult;
use crate::host::Inner;
use crate::install::TRIAL_TENANT;

/// How long what was read of a tenant is in use, from before it was read.
pub(crate) const KEPT: Duration = Duration::from_secs(1);
/// How often it is looked whether a job has ended.
const LOOK: Duration = Duration::from_millis(100);
/// The tenants of which something is kept at once.
const MOST_KEPT: usize = 100_000;

/// What was done when a tenant was deleted: the only trace of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionReceipt {
    /// The tenant.
    pub tenant: TenantId,
    /// When the last of it was gone.
    pub at: DateTime<Utc>,
    /// What was erased.
    pub erased: Erased,
}

/// Tenants that were seen, and before which moment.
///
/// Whoever reads notes the generation before, and keeps the result only if nothing was forgotten since: else what was
/// true before a change would be kept after it.
#[derive(Default)]
pub(crate) struct KnownTenants(Mutex<Known>);

#[derive(Default)]
struct Known {
    generation: u64,
    states: HashMap<TenantId, (Instant, TenantState)>,
}

impl KnownTenants {
    fn get(&self, tenant: &TenantId, now: Instant) -> (u64, Option<TenantState>) {
        let known = self.lock();
        let state = known.states.get(tenant).copied();
        let state = state.filter(|(began, _)| now.saturating_duration_since(*began) < KEPT);
        (known.generation, state.map(|(_, state)| state))
    }

    fn put(&self, generation: u64, tenant: &TenantId, began: Instant, state: TenantState) {
        let mut known = self.lock();
        if known.generation != generation {
            return;
        }
        if known.states.len() >= MOST_KEPT {
            known.states.clear();
        }
        known.states.insert(tenant.clone(), (began, state));
    }

    fn forget(&self, tenant: &TenantId) {
        let mut known = self.lock();
        known.generation += 1;
        known.states.remove(tenant);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(crate) async fn create_tenant(&self, by: &UserId, tenant: &TenantId) -> HostResult<bool> {
        if tenant.as_str() == TRIAL_TENANT {
            return Err(HostError::invalid(format!(
                "the tenant id {tenant} is the host's own; choose another"
            ))
            .into());
        }
        let mut platform = self.change_platform().await?;
        let new = platform.create_tenant(tenant, self.services.clock.now()).await?;
        if new {
            let entry = AuditEntry { tenant: Some(tenant.clone()), ..self.done(by, "tenant.created") };
            platform.note_platform_audit(&entry).await?;
        }
        platform.commit().await?;
        Ok(new)
    }

    pub(crate) async fn tenants(&self) -> HostResult<Vec<TenantId>> {
        let mut platform = self.look_at_platform().await?;
        let tenants = platform.tenants().await?;
        platform.rollback().await?;
        Ok(tenants)
    }

    pub(crate) async fn tenant_states(&self) -> HostResult<Vec<(TenantId, TenantState)>> {
        let mut platform = self.look_at_platform().await?;
        let (tenants, suspended) = (platform.tenants().await?, platform.suspended_tenants().await?);
        platform.rollback().await?;
        let state = |tenant: &TenantId| match suspended.binary_search(tenant) {
            Ok(_) => TenantState::Suspended,
            Err(_) => TenantState::Active,
        };
        Ok(tenants.into_iter().map(|tenant| (tenant.clone(), state(&tenant))).collect())
    }

    /// Suspends or resumes a tenant; returns the state that it had.
    pub(crate) async fn set_tenant_state(
        &self,
        by: &UserId,
        tenant: &TenantId,
        state: TenantState,
    ) -> HostResult<TenantState> {
        let mut platform = self.change_platform().await?;
        let was = platform.tenant_state(tenant).await?.ok_or_else(|| unknown(tenant))?;
        platform.set_tenant_state(tenant, state).await?;
        if was != state {
            let action = match state {
                TenantState::Active => "tenant.resumed",
                TenantState::Suspended => "tenant.suspended",
            };
            let entry = AuditEntry { tenant: Some(tenant.clone()), ..self.done(by, action) };
            platform.note_platform_audit(&entry).await?;
        }
        let committed = platform.commit().await;
        // However it ended: it may have happened.
        self.known_tenants.forget(tenant);
        committed?;
        Ok(was)
    }

    /// Takes a tenant and everything of it away, for good. One that was active until now is waited for: other processes
    /// notice, and what had begun ends.
    pub(crate) async fn delete_tenant(
        &self,
        by: &UserId,
        tenant: &TenantId,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> HostResult<DeletionReceipt> {
        match self.set_tenant_state(by, tenant, TenantState::Suspended).await {
            Ok(TenantState::Active) => {
                tokio::time::sleep(KEPT + self.caps.deadline()).await;
                self.wait_for_jobs(tenant).await?;
            }
            Ok(TenantState::Suspended) => {}
            // Of one that an earlier deletion took away something may be left.
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
        let erased = erase::erase(&*self.services.storage, tenant, progress).await;
        self.known_tenants.forget(tenant);
        self.activations.forget_all();
        if let Some(roles) = &self.stored_roles {
            roles.forget(tenant);
        }
        let erased = erased?;
        if !erased.was_there && erased.total() == 0 {
            return Err(
                HostError::not_found(format!("no tenant {tenant}; there is nothing to delete")).into()
            );
        }
        // Nothing that is kept names it.
        let mut platform = self.change_platform().await?;
        platform.note_platform_audit(&self.done(by, "tenant.deleted")).await?;
        platform.commit().await?;
        Ok(DeletionReceipt { tenant: tenant.clone(), at: self.services.clock.now(), erased })
    }

    /// Waits for the end of what jobs do in a tenant in which none begins any more. One that a dead process had in hand has
    /// ended when its time is over.
    async fn wait_for_jobs(&self, tenant: &TenantId) -> HostResult<()> {
        let begun = Instant::now();
        let running = RunFilter { state: Some(RunState::Running), ..RunFilter::default() };
        while begun.elapsed() < self.job_caps.deadline() {
            let mut platform = self.look_at_platform().await?;
            let runs = platform.runs(tenant, &running, 1).await?;
            platform.rollback().await?;
            if runs.is_empty() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Refuses a tenant that does not exist.
    pub(crate) async fn check_tenant(&self, tenant: &TenantId) -> HostResult<()> {
        self.state_of(tenant).await.map(drop)
    }

    /// Refuses a tenant that does not exist, or in which nothing is done.
    pub(crate) async fn check_open(&self, tenant: &TenantId) -> HostResult<()> {
        match self.state_of(tenant).await? {
            TenantState::Active => Ok(()),
            TenantState::Suspended => Err(HostError::new(
                ErrorCode::Unavailable,
                format!(
                    "tenant {tenant} is suspended, and nothing is done in it; resume it first: \
                     erp-plugin tenants resume {tenant}"
                ),
            )
            .into()),
        }
    }

    /// Whether nothing is done in a tenant, as the database says in this moment.
    pub(crate) async fn is_suspended(&self, tenant: &TenantId) -> HostResult<bool> {
        let mut platform = self.look_at_platform().await?;
        let state = platform.tenant_state(tenant).await?;
        platform.rollback().await?;
        Ok(state == Some(TenantState::Suspended))
    }

    async fn state_of(&self, tenant: &TenantId) -> HostResult<TenantState> {
        let began = Instant::now();
        let (generation, known) = self.known_tenants.get(tenant, began);
        if let Some(state) = known {
            return Ok(state);
        }
        let mut platform = self.look_at_platform().await?;
        let state = platform.tenant_state(tenant).await?;
        platform.rollback().await?;
        let state = state.ok_or_else(|| unknown(tenant))?;
        self.known_tenants.put(generation, tenant, began, state);
        Ok(state)
    }
}

fn unknown(tenant: &TenantId) -> HostError {
    HostError::not_found(format!("no tenant {tenant}; create it first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_in_use_for_a_second_and_not_after_a_change() {
        let (known, began) = (KnownTenants::default(), Instant::now());
        let tenant = TenantId::parse("acme").unwrap();
        known.put(0, &tenant, began, TenantState::Active);
        let late = began + KEPT - Duration::from_millis(1);
        assert_eq!(known.get(&tenant, late), (0, Some(TenantState::Active)));
        assert_eq!(known.get(&tenant, began + KEPT).1, None);
        known.forget(&tenant);
        assert_eq!(known.get(&tenant, began), (1, None));
        known.put(0, &tenant, began, TenantState::Active);
        assert_eq!(known.get(&tenant, began).1, None, "it was read before the change");
    }
}
