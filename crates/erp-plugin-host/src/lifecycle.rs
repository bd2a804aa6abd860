//! A plugin's life in a tenant. The version that runs there is the one whose `init` was committed there last.

use std::sync::Arc;

use erp_plugin_host_api::Cause;
use erp_plugin_model::time::to_micros;
use erp_plugin_model::{ErrorCode, EventType, HostError, Identity, PluginName, TenantId, UserId};
use erp_plugin_runtime::Export;
use erp_plugin_storage::{ActivationState, AuditEntry};
use serde_json::json;

use crate::activation::Active;
use crate::catalog::Installed;
use crate::core::check_plugin;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;
use crate::invoke::{Call, Mark, Step};
use crate::report::Fault;

/// What a plugin is told when another version of it was enabled in a tenant before, if it subscribes to that.
pub(crate) const UPGRADED: &str = "plugin.upgraded";

/// How often it is tried again to enable or disable a plugin when the transaction is lost, or somebody else is faster.
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

fn too_many_hands(tenant: &TenantId, plugin: &PluginName) -> HostFailure {
    let others = "others enable, disable or upgrade it";
    let error = format!(
        "{plugin} cannot be enabled in {tenant}: {others} again and again; try again when they are done"
    );
    HostFailure::Busy(HostError::new(ErrorCode::Unavailable, error))
}

/// What it is called when another version comes in the place of one.
pub(crate) fn replacing(from: &semver::Version, to: &semver::Version) -> &'static str {
    if to >= from { UPGRADED } else { "plugin.rolled-back" }
}

impl Inner {
    /// Enables a plugin in a tenant: at the version that is active, or at the one that was chosen for the tenant.
    pub(crate) async fn enable(&self, by: &UserId, tenant: &TenantId, plugin: &PluginName) -> HostResult<()> {
        check_plugin(plugin)?;
        self.check_open(tenant).await?;
        let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
        for _ in 0..RETRIES {
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
            if self.enter(by, tenant, &installed, state, pinned).await? {
                return Ok(());
            }
        }
        Err(too_many_hands(tenant, plugin))
    }

    pub(crate) async fn disable(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> HostResult<()> {
        check_plugin(plugin)?;
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
        for _ in 0..RETRIES {
            let state = self.state_in(tenant, plugin).await?;
            if !state.as_ref().is_some_and(|state| state.enabled) {
                return Err(HostError::not_found(format!(
                    "{plugin} is not enabled in {tenant}; enable it there first"
                ))
                .into());
            }
            if self.enter(by, tenant, installed, state, pinned).await? {
                return Ok(());
            }
        }
        Err(too_many_hands(tenant, plugin))
    }

    /// Calls `init` once per (version, tenant), and in its transaction `handle-event` where another version was there before
    /// and the plugin wants to know; and `on-tenant-created` once per (plugin, tenant). Each marks itself as done in its own
    /// transaction. Returns `false` when the plugin does not stand where it stood `before`.
    async fn enter(
        &self,
        by: &UserId,
        tenant: &TenantId,
        installed: &Arc<Installed>,
        before: Option<ActivationState>,
        pinned: bool,
    ) -> HostResult<bool> {
        let (plugin, version) = (installed.name(), &installed.record.version);
        let told = before.as_ref().is_some_and(|state| state.tenant_told);
        let initialised = before.as_ref().is_some_and(|state| state.version == *version);
        if initialised && told {
            self.go_on(by, tenant, installed, pinned).await?;
            return Ok(true);
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
        let mut before = before;
        if !initialised {
            let then = before.as_ref().and_then(|state| upgraded(installed, &state.version));
            let step = Step { before, then, mark: mark(false) };
            before = Some(step.mark.state.clone());
            if !self.take_step(tenant, installed, Export::Init, step).await? {
                return Ok(false);
            }
        }
        if !told {
            let export = Export::OnTenantCreated { tenant_id: tenant.to_string() };
            let step = Step { before, then: None, mark: mark(true) };
            return self.take_step(tenant, installed, export, step).await;
        }
        Ok(true)
    }

    /// Calls what belongs to a step, and takes it. Returns `false` when somebody else took one meanwhile.
    async fn take_step(
        &self,
        tenant: &TenantId,
        installed: &Arc<Installed>,
        export: Export,
        step: Step,
    ) -> HostResult<bool> {
        let active = self.resolve(tenant, Arc::clone(installed), None).await?;
        let identity = Arc::new(Identity::system(tenant.clone(), self.system.clone(), None));
        let call = Call { identity, active, export, cause: Cause::Request };
        let report = self.run_invocation(&call, Some(&step)).await?;
        self.activations.forget(tenant, installed.name());
        let error = match (report.outcome, report.fault) {
            (Ok(()), _) => return Ok(true),
            (Err(_), Some(Fault::Overtaken)) => return Ok(false),
            // No fault of the plugin's.
            (Err(error), Some(Fault::Storage | Fault::Stale)) => return Err(error.into()),
            (Err(error), None) => error,
        };
        let export = match call.export {
            _ if report.failed_then => UPGRADED,
            Export::OnTenantCreated { .. } => "on-tenant-created",
            Export::Init | Export::HandleEvent { .. } => "init",
        };
        Err(HostFailure::Lifecycle { plugin: installed.name().to_string(), export, error })
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
