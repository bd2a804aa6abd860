//! The tenants of the platform. Whatever names one that was never created is refused: its records would belong to
//! nobody.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use erp_plugin_model::{HostError, TenantId};

use crate::error::HostResult;
use crate::host::Inner;
use crate::install::TRIAL_TENANT;

/// Tenants that were seen; there is no way for one to go.
#[derive(Default)]
pub(crate) struct KnownTenants(RwLock<HashSet<TenantId>>);

impl KnownTenants {
    fn contains(&self, tenant: &TenantId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(tenant)
    }

    fn learn(&self, tenant: TenantId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(tenant);
    }
}

impl Inner {
    pub(crate) async fn create_tenant(&self, tenant: &TenantId) -> HostResult<bool> {
        if tenant.as_str() == TRIAL_TENANT {
            return Err(HostError::invalid(format!(
                "the tenant id {tenant} is the host's own; choose another"
            ))
            .into());
        }
        let mut platform = self.change_platform().await?;
        let new = platform.create_tenant(tenant, self.services.clock.now()).await?;
        platform.commit().await?;
        self.known_tenants.learn(tenant.clone());
        Ok(new)
    }

    pub(crate) async fn tenants(&self) -> HostResult<Vec<TenantId>> {
        let mut platform = self.look_at_platform().await?;
        let tenants = platform.tenants().await?;
        platform.rollback().await?;
        Ok(tenants)
    }

    /// Refuses a tenant that does not exist.
    pub(crate) async fn check_tenant(&self, tenant: &TenantId) -> HostResult<()> {
        if self.known_tenants.contains(tenant) {
            return Ok(());
        }
        let mut platform = self.look_at_platform().await?;
        let exists = platform.tenant_exists(tenant).await?;
        platform.rollback().await?;
        if !exists {
            return Err(HostError::not_found(format!("no tenant {tenant}; create it first")).into());
        }
        self.known_tenants.learn(tenant.clone());
        Ok(())
    }
}
