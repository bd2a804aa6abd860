//! A plugin's life in a tenant. The version that runs there is the one whose `init` was committed there last.

use std::sync::Arc;

use erp_plugin_host_api::Cause;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{EventType, HostError, Identity, PluginName, TenantId, UserId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::{ActivationState, AuditEntry};
use serde_json::json;

use crate::activation::Active;
use crate::catalog::Installed;
use crate::core::check_plugin;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::{Call, Mark, Purpose};

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

/// Whether to try again after a transaction that was lost: a job may have been planned in this moment.
fn is_lost(done: &HostResult<()>, retries: &mut u32) -> bool {
    *retries += 1;
    *retries <= RETRIES && matches!(done, Err(HostFailure::Storage(error)) if error.is_transient())
}

/// What it is called when another version comes in the place of one.
pub(crate) fn replacing(from: &semver::Version, to: &semver::Version) -> &'static str {
    if to >= from { "plugin.upgraded" } else { "plugin.rolled-back" }
}

impl Inner {
    /// Enables a plugin in a tenant: at the version that is active, or at the one that was chosen for the tenant.
    pub(crate) async fn enable(&self, by: &UserId, tenant: &TenantId, plugin: &PluginName) -> HostResult<()> {
        check_plugin(plugin)?;
        self.check_open(tenant).await?;
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        // Another process may have changed it, or archived the plugin.
        self.read_catalog().await?;
        let state = self.state_in(tenant, plugin).await?;
        let chosen = state.as_ref().filter(|state| state.pinned).and_then(|state| {
            let here = self.catalog.get_in(tenant, plugin)?;
            (here.fits && here.record.version == state.version).then_some(here)
        });
        let pinned = chosen.is_some();
        let installed = match chosen {
            Some(chosen) => chosen,
            None => self.installed(plugin).await?,
        };
        self.enter(by, tenant, &installed, state, pinned).await
    }

    pub(crate) async fn disable(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> HostResult<()> {
        self.check_tenant(tenant).await?;
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        if self.state_in(tenant, plugin).await?.is_none() {
            self.installed(plugin).await?;
        }
        self.stop(by, tenant, plugin, None).await
    }

    /// Takes a tenant in which a plugin is enabled to a version of it.
    pub(crate) async fn go_to(
        &self,
        by: &UserId,
        tenant: &TenantId,
        installed: &Arc<Installed>,
        pinned: bool,
    ) -> HostResult<()> {
        self.check_open(tenant).await?;
        let plugin = installed.name();
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        let state = self.state_in(tenant, plugin).await?;
        if !state.as_ref().is_some_and(|state| state.enabled) {
            return Err(HostError::not_found(format!(
                "{plugin} is not enabled in {tenant}; enable it there first"
            ))
            .into());
        }
        self.enter(by, tenant, installed, state, pinned).await
    }

    /// Calls `init` once per (version, tenant), after it `handle-event` where another version was there before and the plugin
    /// wants to know, and `on-tenant-created` once per (plugin, tenant); each marks itself as done in its own transaction.
    async fn enter(
        &self,
        by: &UserId,
        tenant: &TenantId,
        installed: &Arc<Installed>,
        before: Option<ActivationState>,
        pinned: bool,
    ) -> HostResult<()> {
        let (plugin, version) = (installed.name(), &installed.record.version);
        let told = before.as_ref().is_some_and(|state| state.tenant_told);
        let initialised = before.as_ref().is_some_and(|state| state.version == *version);
        if initialised && told {
            return self.go_on(by, tenant, installed, pinned).await;
        }
        let from = before.as_ref().map(|state| &state.version);
        let action = match from.filter(|_| before.as_ref().is_some_and(|state| state.enabled)) {
            Some(from) => replacing(from, version),
            None => "plugin.enabled",
        };
        let entry = AuditEntry {
            plugin: Some(plugin.clone()),
            from: from.map(ToString::to_string),
            to: Some(version.to_string()),
            ..self.done(by, action)
        };
        let at = to_micros(self.services.clock.now());
        let mark = |is_last: bool| Mark {
            state: ActivationState {
                enabled: told || is_last,
                tenant_told: told || is_last,
                pinned,
                ..ActivationState::enabled(plugin.clone(), version.clone())
            },
            subscriptions: installed.subscriptions(),
            jobs: installed.jobs(at),
            at,
            entry: (told || is_last).then(|| entry.clone()),
        };
        if !initialised {
            let upgraded = from.and_then(|from| upgraded(installed, from));
            // What comes last marks the version: whoever is stopped before begins again.
            let own = upgraded.is_none().then(|| mark(false));
            self.lifecycle_call(tenant, installed, Export::Init, own).await?;
            if let Some(export) = upgraded {
                self.lifecycle_call(tenant, installed, export, Some(mark(false))).await?;
            }
        }
        if !told {
            let export = Export::OnTenantCreated { tenant_id: tenant.to_string() };
            self.lifecycle_call(tenant, installed, export, Some(mark(true))).await?;
        }
        Ok(())
    }

    async fn lifecycle_call(
        &self,
        tenant: &TenantId,
        installed: &Arc<Installed>,
        export: Export,
        mark: Option<Mark>,
    ) -> HostResult<()> {
        let active = self.resolve(tenant, Arc::clone(installed), None).await?;
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
                purpose: Purpose::Lifecycle(mark),
            })
            .await?;
        self.activations.forget(tenant, installed.name());
        report.outcome.map_err(|error| HostFailure::Lifecycle {
            plugin: installed.name().to_string(),
            export: name,
            error,
        })
    }

    /// Where a plugin stands in a tenant, as the database says in this moment.
    pub(crate) async fn state_in(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> HostResult<Option<ActivationState>> {
        let mut own = self.look(tenant).await?;
        let state = own.activation(plugin).await?;
        own.rollback(None).await?;
        Ok(state)
    }

    /// Enables a plugin whose calls were all made before, and ends what kept it from being called.
    async fn go_on(
        &self,
        by: &UserId,
        tenant: &TenantId,
        installed: &Installed,
        pinned: bool,
    ) -> HostResult<()> {
        let (mut done, mut retries) = (self.try_go_on(by, tenant, installed, pinned).await, 0);
        while is_lost(&done, &mut retries) {
            done = self.try_go_on(by, tenant, installed, pinned).await;
        }
        self.activations.forget(tenant, installed.name());
        done
    }

    async fn try_go_on(
        &self,
        by: &UserId,
        tenant: &TenantId,
        installed: &Installed,
        pinned: bool,
    ) -> HostResult<()> {
        let plugin = installed.name();
        let at = to_micros(self.services.clock.now());
        let mut own = self.change(tenant).await?;
        let state = own.activation(plugin).await?;
        let is_other =
            |state: &ActivationState| !state.enabled || state.pinned != pinned || state.quarantine.is_some();
        if let Some(state) = state.filter(is_other) {
            let action = match (&state.quarantine, state.enabled) {
                (_, false) => "plugin.enabled",
                (Some(_), true) => "plugin.released",
                (None, true) => "plugin.pinned",
            };
            let entry = AuditEntry {
                plugin: Some(plugin.clone()),
                to: Some(state.version.to_string()),
                detail: (action == "plugin.pinned").then(|| pinned.to_string()),
                ..self.done(by, action)
            };
            let mark = Mark {
                state: ActivationState { enabled: true, pinned, quarantine: None, ..state },
                subscriptions: installed.subscriptions(),
                jobs: installed.jobs(at),
                at,
                entry: Some(entry),
            };
            mark.set(&mut *own).await?;
            own.commit(None).await?;
        } else {
            own.rollback(None).await?;
        }
        Ok(())
    }

    /// Disables a plugin in a tenant, if it is enabled there.
    pub(crate) async fn stop(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
        why: Option<String>,
    ) -> HostResult<()> {
        let (mut done, mut retries) = (self.try_stop(by, tenant, plugin, why.as_deref()).await, 0);
        while is_lost(&done, &mut retries) {
            done = self.try_stop(by, tenant, plugin, why.as_deref()).await;
        }
        self.activations.forget(tenant, plugin);
        done
    }

    /// Its jobs stay, so that it is known what was missed.
    async fn try_stop(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
        why: Option<&str>,
    ) -> HostResult<()> {
        // One that is enabled again gets those of the version that runs then.
        let here = self.catalog.get_in(tenant, plugin);
        let subscriptions = here.map(|installed| installed.subscriptions()).unwrap_or_default();
        let mut own = self.change(tenant).await?;
        match own.activation(plugin).await? {
            Some(state) if state.enabled => {
                let entry = AuditEntry {
                    plugin: Some(plugin.clone()),
                    from: Some(state.version.to_string()),
                    detail: why.map(str::to_owned),
                    ..self.done(by, "plugin.disabled")
                };
                own.note_audit(&entry).await?;
                let state = ActivationState { enabled: false, quarantine: None, ..state };
                own.set_activation(&state, &subscriptions).await?;
                own.commit(None).await?;
            }
            _ => own.rollback(None).await?,
        }
        Ok(())
    }

    /// A plugin that can be called in a tenant; `None` where it is not enabled. Where the version that it was enabled at
    /// cannot work on its tables any more, and nobody has called `init` of the one that is active, that is done first.
    pub(crate) async fn ready(&self, tenant: &TenantId, plugin: &PluginName) -> HostResult<Option<Active>> {
        let mut active = self.active(tenant, plugin).await?;
        if active.is_ready() {
            return Ok(Some(active));
        }
        // It may have been enabled, or upgraded, in this moment.
        self.activations.forget(tenant, plugin);
        active = self.active(tenant, plugin).await?;
        if active.is_enabled() && !active.is_ready() {
            match self.enable(&self.system, tenant, plugin).await {
                Ok(()) => {}
                Err(failure @ HostFailure::Lifecycle { .. }) => {
                    let why =
                        format!("{failure}; {} does not fit its tables any more", active.version_there());
                    tracing::warn!(%tenant, %plugin, %why, "a plugin was disabled");
                    self.stop(&self.system, tenant, plugin, Some(why)).await?;
                    return Ok(None);
                }
                // No fault of the plugin's.
                Err(fault) => return Err(fault),
            }
            active = self.active(tenant, plugin).await?;
        }
        Ok(active.is_ready().then_some(active))
    }
}
