//! Tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;

use crate::StorageResult;

/// Whether anything is done in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantState {
    /// It has invocations.
    Active,
    /// It has none, and its deliveries wait.
    Suspended,
}

impl TenantState {
    /// Its name, as people and databases have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// The tenants of the platform.
#[async_trait]
pub trait Access: Send {
    /// Adds an active tenant, and returns whether it was new. One that is there stays as it is.
    ///
    /// Held by `access::a_tenant_is_new_once`, `access::a_tenant_is_suspended_and_resumed`.
    async fn create_tenant(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<bool>;

    /// The state of a tenant; `None` if there is no such tenant. Costs the same however many others there are.
    ///
    /// Held by `access::a_tenant_is_looked_up_by_its_very_id`, `access::a_tenant_is_suspended_and_resumed`.
    async fn tenant_state(&mut self, tenant: &TenantId) -> StorageResult<Option<TenantState>>;

    /// Sets the state of a tenant, and returns whether there is such a tenant. Whether an invocation begins in a suspended
    /// one is decided above; that none of its deliveries is claimed is decided here.
    ///
    /// Held by `access::a_tenant_is_suspended_and_resumed`,
    /// `dispatch::a_suspended_tenants_deliveries_wait_until_it_is_resumed`.
    async fn set_tenant_state(&mut self, tenant: &TenantId, state: TenantState) -> StorageResult<bool>;

    /// Every tenant, by id.
    ///
    /// Held by `access::tenants_are_listed_by_id`.
    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>>;

    /// Every tenant that is suspended, by id.
    ///
    /// Held by `access::a_tenant_is_suspended_and_resumed`.
    async fn suspended_tenants(&mut self) -> StorageResult<Vec<TenantId>>;

    /// Removes a tenant from the list of tenants, with what a dispatcher may have made of its events a moment ago, and
    /// returns whether it was there. No row that tenants share names it any more; the next round of claims begins where it
    /// would have begun. Everything else that is a tenant's goes before, with [`Erasure`](crate::Erasure).
    ///
    /// Held by `erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others`,
    /// `erasure::the_turn_goes_on_after_a_tenant_that_is_gone`.
    async fn remove_tenant(&mut self, tenant: &TenantId) -> StorageResult<bool>;
}
