//! A plugin's life in a tenant.

use erp_plugin_host_api::Cause;
use erp_plugin_model::{Identity, PluginName, TenantId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::ActivationState;

use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::Call;

impl Inner {
    /// Calls `init` once per (version, tenant) and `on-tenant-created` once per (plugin, tenant); each marks itself
    /// as done in its own transaction.
    pub(crate) async fn enable(&self, tenant: &TenantId, plugin: &PluginName) -> HostResult<()> {
        self.check_open(tenant).await?;
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        // Another process may have changed it, or archived the plugin.
        self.read_catalog().await?;
        self.activations.forget(tenant, plugin);
        let active = self.active(tenant, plugin).await?;
        let version = active.plugin.record.version.clone();
        let told = active.state.as_ref().is_some_and(|state| state.tenant_told);
        let initialised = active.state.as_ref().is_some_and(|state| state.version == version);
        if initialised && told {
            return self.set_enabled(tenant, plugin, true).await;
        }
        let state = |enabled: bool, tenant_told: bool| ActivationState {
            plugin: plugin.clone(),
            version: version.clone(),
            enabled,
            tenant_told,
        };
        if !initialised {
            self.lifecycle_call(tenant, plugin, Export::Init, state(told, told)).await?;
        }
        if !told {
            let export = Export::OnTenantCreated { tenant_id: tenant.to_string() };
            self.lifecycle_call(tenant, plugin, export, state(true, true)).await?;
        }
        Ok(())
    }

    pub(crate) async fn disable(&self, tenant: &TenantId, plugin: &PluginName) -> HostResult<()> {
        self.check_tenant(tenant).await?;
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        let mut own = self.look(tenant).await?;
        let was_there = own.activation(plugin).await?.is_some();
        own.rollback(None).await?;
        if !was_there {
            self.installed(plugin).await?;
        }
        self.set_enabled(tenant, plugin, false).await
    }

    async fn lifecycle_call(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        export: Export,
        state: ActivationState,
    ) -> HostResult<()> {
        let active = self.active(tenant, plugin).await?;
        let subscriptions = active.plugin.subscriptions();
        let name = if matches!(export, Export::Init) { "init" } else { "on-tenant-created" };
        let report = self
            .invoke(Call {
                identity: Identity::system(tenant.clone(), self.system.clone(), None),
                active,
                export,
                cause: Cause::Request,
                mark: Some((state, subscriptions)),
            })
            .await?;
        self.activations.forget(tenant, plugin);
        report.outcome.map_err(|error| HostFailure::Lifecycle {
            plugin: plugin.to_string(),
            export: name,
            error,
        })
    }

    pub(crate) async fn set_enabled(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        enabled: bool,
    ) -> HostResult<()> {
        // One that is enabled again gets those of the version that runs then.
        let subscriptions = match self.catalog.get(plugin) {
            Some(installed) => installed.subscriptions(),
            None if enabled => self.installed(plugin).await?.subscriptions(),
            None => Vec::new(),
        };
        let mut own = self.change(tenant).await?;
        match own.activation(plugin).await? {
            Some(state) if state.enabled != enabled => {
                own.set_activation(&ActivationState { enabled, ..state }, &subscriptions).await?;
                own.commit(None).await?;
            }
            _ => own.rollback(None).await?,
        }
        self.activations.forget(tenant, plugin);
        Ok(())
    }
}
