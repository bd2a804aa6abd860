//! A plugin's life in a tenant.

use erp_plugin_host_api::Cause;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{EventType, Identity, PluginName, TenantId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::ActivationState;
use serde_json::json;

use crate::catalog::Installed;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::{Call, Mark};

/// What a plugin is told when another version of it was enabled in a tenant before, if it subscribes to that.
const UPGRADED: &str = "plugin.upgraded";

/// How often it is tried again to enable or disable a plugin when the transaction is lost.
const RETRIES: u32 = 5;

fn upgraded(plugin: &Installed, from: &semver::Version) -> Option<Export> {
    let event_type = EventType::parse(UPGRADED).ok()?;
    let is_wanted = plugin.subscriptions().iter().any(|own| own.pattern.matches(&event_type));
    let versions = json!({ "from": from.to_string(), "to": plugin.record.version.to_string() });
    is_wanted.then(|| Export::HandleEvent { event_type: UPGRADED.to_owned(), payload: versions.to_string() })
}

impl Inner {
    /// Calls `init` once per (version, tenant), after it `handle-event` where another version was there before and the plugin
    /// wants to know, and `on-tenant-created` once per (plugin, tenant); each marks itself as done in its own transaction.
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
            let before = active.state.as_ref().map(|state| &state.version);
            let upgraded = before.and_then(|from| upgraded(&active.plugin, from));
            // What comes last marks the version: whoever is stopped before begins again.
            let mark = upgraded.is_none().then(|| state(told, told));
            self.lifecycle_call(tenant, plugin, Export::Init, mark).await?;
            if let Some(export) = upgraded {
                self.lifecycle_call(tenant, plugin, export, Some(state(told, told))).await?;
            }
        }
        if !told {
            let export = Export::OnTenantCreated { tenant_id: tenant.to_string() };
            self.lifecycle_call(tenant, plugin, export, Some(state(true, true))).await?;
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
        mark: Option<ActivationState>,
    ) -> HostResult<()> {
        let active = self.active(tenant, plugin).await?;
        let mark = mark.map(|state| self.mark_of(&active.plugin, state));
        let name = match export {
            Export::Init => "init",
            Export::OnTenantCreated { .. } => "on-tenant-created",
            Export::HandleEvent { .. } => UPGRADED,
        };
        let report = self
            .invoke(Call {
                identity: Identity::system(tenant.clone(), self.system.clone(), None),
                active,
                export,
                cause: Cause::Request,
                mark,
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
        let mut retries = 0;
        loop {
            match self.try_set_enabled(tenant, plugin, enabled).await {
                // A job may have been planned in this moment.
                Err(HostFailure::Storage(error)) if error.is_transient() && retries < RETRIES => retries += 1,
                set => {
                    self.activations.forget(tenant, plugin);
                    return set;
                }
            }
        }
    }

    async fn try_set_enabled(&self, tenant: &TenantId, plugin: &PluginName, enabled: bool) -> HostResult<()> {
        let installed = match self.catalog.get(plugin) {
            None if enabled => Some(self.installed(plugin).await?),
            installed => installed,
        };
        let mut own = self.change(tenant).await?;
        match own.activation(plugin).await? {
            Some(state) if state.enabled != enabled => {
                let state = ActivationState { enabled, ..state };
                match installed {
                    // One that is enabled again gets those of the version that runs then.
                    Some(installed) if enabled => self.mark_of(&installed, state).set(&mut *own).await?,
                    // Its jobs stay, so that it is known what was missed.
                    Some(installed) => own.set_activation(&state, &installed.subscriptions()).await?,
                    None => own.set_activation(&state, &[]).await?,
                }
                own.commit(None).await?;
            }
            _ => own.rollback(None).await?,
        }
        Ok(())
    }

    fn mark_of(&self, plugin: &Installed, state: ActivationState) -> Mark {
        let at = to_micros(self.services.clock.now());
        Mark { state, subscriptions: plugin.subscriptions(), jobs: plugin.jobs(at), at }
    }
}
