//! A backend from which a tenant does not leave alone, or not quite.

use async_trait::async_trait;
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{PlatformTransaction, StorageResult, TenantScope, TenantState};

use crate::fixture::{BETA, tenant};
use crate::intercept::{Interceptor, Opened};

/// A table that somebody forgot.
pub(super) struct ForgetsATable(pub(super) &'static str);

#[async_trait]
impl Interceptor for ForgetsATable {
    async fn tenant_tables(&self, opened: &mut Opened) -> StorageResult<Vec<String>> {
        let mut tables = opened.inner().tenant_tables().await?;
        tables.retain(|table| table != self.0);
        Ok(tables)
    }
}

/// What was put aside is nobody's any more.
pub(super) struct ForgetsWhatWasPutAside;

#[async_trait]
impl Interceptor for ForgetsWhatWasPutAside {
    async fn tenant_tables(&self, opened: &mut Opened) -> StorageResult<Vec<String>> {
        let mut tables = opened.inner().tenant_tables().await?;
        tables.retain(|table| !table.contains("__old"));
        Ok(tables)
    }
}

/// `DELETE FROM t` without the tenant.
pub(super) struct ErasesOthers;

#[async_trait]
impl Interceptor for ErasesOthers {
    async fn erase(&self, opened: &mut Opened, table: &str, limit: u32) -> StorageResult<u64> {
        let erased = opened.inner().erase(table, limit).await?;
        let (own, options) = (opened.scope().clone(), opened.options());
        let other = TenantScope::granted_by_host(tenant(BETA));
        if erased > 0 && own != other {
            opened.exchange(&other, options).await?;
            opened.inner().erase(table, limit).await?;
            opened.exchange(&own, options).await?;
        }
        Ok(erased)
    }
}

/// `LIKE 'suite%'`.
pub(super) struct ErasesNamesakes;

#[async_trait]
impl Interceptor for ErasesNamesakes {
    async fn erase_plugin(&self, opened: &mut Opened, plugin: &PluginName, limit: u32) -> StorageResult<u64> {
        let namesake = PluginName::parse(&format!("{plugin}-two")).expect("it is short");
        let erased = opened.inner().erase_plugin(&namesake, limit).await?;
        Ok(erased + opened.inner().erase_plugin(plugin, limit).await?)
    }
}

/// A batch is the whole table.
pub(super) struct ErasesAllAtOnce;

#[async_trait]
impl Interceptor for ErasesAllAtOnce {
    async fn erase(&self, opened: &mut Opened, table: &str, _limit: u32) -> StorageResult<u64> {
        opened.inner().erase(table, 100_000).await
    }
}

/// The state is written where claims do not look.
pub(super) struct ClaimsOfSuspended;

#[async_trait]
impl Interceptor for ClaimsOfSuspended {
    async fn set_tenant_state(
        &self,
        inner: &mut dyn PlatformTransaction,
        tenant: &TenantId,
        _state: TenantState,
    ) -> StorageResult<bool> {
        Ok(inner.tenant_state(tenant).await?.is_some())
    }
}
