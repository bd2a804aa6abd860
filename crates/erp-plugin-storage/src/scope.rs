//! Proofs of authority. Nothing a guest or a client sends can become one.

use erp_plugin_model::TenantId;

/// The right to touch one tenant's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// Made by the host for a tenant that it has authenticated, and by tests. Never call this with a tenant that a
    /// guest or a request body named.
    #[must_use]
    pub fn granted_by_host(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.0
    }
}

/// The right to touch the system's own tables across tenants: installation, dispatch, administration.
#[derive(Clone, Copy, Debug)]
pub struct PlatformScope(());

impl PlatformScope {
    /// Made by the host for its own work, and by tests.
    #[must_use]
    pub fn granted_by_host() -> Self {
        Self(())
    }
}
