//! Tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;

use crate::StorageResult;

/// The tenants of the platform.
#[async_trait]
pub trait Access: Send {
    /// Adds a tenant, and returns whether it was new.
    ///
    /// Held by `access::a_tenant_is_new_once`.
    async fn create_tenant(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<bool>;

    /// Whether there is this tenant. Costs the same however many others there are.
    ///
    /// Held by `access::a_tenant_is_looked_up_by_its_very_id`.
    async fn tenant_exists(&mut self, tenant: &TenantId) -> StorageResult<bool>;

    /// Every tenant, by id.
    ///
    /// Held by `access::tenants_are_listed_by_id`.
    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>>;
}
