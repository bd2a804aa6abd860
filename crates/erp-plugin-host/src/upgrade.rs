//! From version to version: in all tenants, or in those in which a version is tried first.
//!
//! A tenant goes to another version in the transaction of its `init`. Where that fails the version that it had goes on, as
//! long as the plugin's tables are such that it can. A version that is tried in some tenants shares its tables with the one
//! that runs in the others: they only get what both can live with.

use std::sync::Arc;

use erp_plugin_model::manifest::Capabilities;
use erp_plugin_model::{ErrorCode, HostError, PluginName, TenantId, UserId, evolution};
use erp_plugin_storage::AuditEntry;

use crate::catalog::Installed;
use crate::core::is_core;
use crate::error::{HostFailure, HostResult};
use crate::host::{Inner, PluginSummary};
use crate::lifecycle::replacing;

impl Inner {
    /// Has a version run in every tenant where its plugin is enabled, and be the one that others begin with. Where `init`
    /// fails the note says so.
    pub(crate) async fn upgrade(
        &self,
        by: &UserId,
        installed: &Arc<Installed>,
        summary: &mut PluginSummary,
    ) -> HostResult<()> {
        let (plugin, version) = (installed.name(), &installed.record.version);
        let mut suspended = Vec::new();
        for tenant in self.enabled_in(plugin).await? {
            let Some(state) = self.state_in(&tenant, plugin).await? else { continue };
            if state.version != *version && self.is_suspended(&tenant).await? {
                summary.notes.push(format!("in {tenant}: it is suspended; upgrade again when it is resumed"));
                suspended.push(tenant);
                continue;
            }
            let here = self.catalog.get_in(&tenant, plugin);
            let goes_on = here.is_some_and(|here| here.fits && here.record.version == state.version);
            if state.version != *version
                && goes_on
                && let Err(failure) = self.go_to(by, &tenant, installed, false).await
            {
                summary.notes.push(format!("in {tenant}: {failure}; {} goes on there", state.version));
                summary.not_in.push(tenant);
            }
        }
        self.activate(by, installed).await?;
        self.read_catalog().await?;
        for tenant in self.enabled_in(plugin).await? {
            let Some(state) = self.state_in(&tenant, plugin).await? else { continue };
            if summary.not_in.contains(&tenant)
                || suspended.contains(&tenant)
                || (state.version == *version && !state.pinned)
            {
                continue;
            }
            if let Err(failure) = self.go_to(by, &tenant, installed, false).await {
                if !matches!(failure, HostFailure::Lifecycle { .. }) {
                    // No fault of the plugin's. Whoever calls it next there does it.
                    summary.notes.push(format!("in {tenant}: {failure}; its init is still due"));
                    summary.not_in.push(tenant);
                    continue;
                }
                let why = format!("{failure}; {} does not fit its tables any more", state.version);
                summary.notes.push(format!("in {tenant}: {why}: it is disabled there"));
                self.stop(by, &tenant, plugin, Some(why)).await?;
                summary.not_in.push(tenant);
            }
        }
        self.tell_others().await
    }

    /// Has a version run in these tenants alone.
    pub(crate) async fn try_in(
        &self,
        by: &UserId,
        tenants: &[TenantId],
        installed: &Arc<Installed>,
    ) -> HostResult<()> {
        let active = self.installed(installed.name()).await?;
        let pinned = active.record.version != installed.record.version;
        for tenant in tenants {
            self.go_to(by, tenant, installed, pinned).await?;
        }
        self.read_catalog().await?;
        self.tell_others().await
    }

    /// Refuses tenants in which a plugin is not enabled: there is nothing to be tried.
    pub(crate) async fn check_enabled(&self, plugin: &PluginName, tenants: &[TenantId]) -> HostResult<()> {
        for tenant in tenants {
            self.check_open(tenant).await?;
            if !self.state_in(tenant, plugin).await?.is_some_and(|state| state.enabled) {
                return Err(HostError::not_found(format!(
                    "{plugin} is not enabled in {tenant}; enable it there first"
                ))
                .into());
            }
        }
        Ok(())
    }

    /// Makes the tables of a plugin such that a version can run beside those that run.
    pub(crate) async fn evolve_alongside(&self, installed: &Installed) -> HostResult<()> {
        let (plugin, version) = (installed.name(), &installed.record.version);
        let mut platform = self.look_at_platform().await?;
        let found = platform.entities(plugin).await?;
        platform.rollback().await?;
        let declared = installed.declared();
        let wanted = evolution::alongside(&found, &declared);
        let others = self.catalog.versions_of(plugin);
        let obstacle = others.iter().find_map(|other| {
            let step = evolution::obstacle(&wanted, &other.declared())?;
            Some((other.record.version.to_string(), step))
        });
        let renaming = || Some(("others".to_owned(), evolution::renaming(&found, &declared)?));
        if let Some((other, step)) = obstacle.or_else(renaming) {
            return Err(HostError::new(
                ErrorCode::Rejected,
                format!(
                    "{plugin} {version} cannot be tried in single tenants: {}, {step}: {other} cannot work on such \
                     tables; upgrade all tenants, or make the change in two versions",
                    step.subject()
                ),
            )
            .into());
        }
        self.evolve(plugin, version, &wanted, &[]).await
    }

    /// Makes a version the active one.
    pub(crate) async fn activate(&self, by: &UserId, installed: &Installed) -> HostResult<()> {
        let (name, version) = (installed.name(), &installed.record.version);
        let mut platform = self.change_platform().await?;
        let before = platform.active_versions().await?.into_iter().find(|own| own.0 == *name);
        let before = before.map(|(_, before)| before);
        let is_later = |before: &semver::Version| before > version;
        // The platform's own goes forward only: an older process of it works on what a newer one has declared.
        if before.as_ref() == Some(version) || (is_core(name) && before.as_ref().is_some_and(is_later)) {
            return Ok(platform.rollback().await?);
        }
        platform.activate(name, version).await?;
        // Whoever archives it meanwhile has put its tables aside, or waits for them from here on and then sees that it runs.
        platform.set_version(name, version).await?;
        let found = platform.entities(name).await?;
        if !installed.entities.keys().all(|entity| found.iter().any(|own| own.name == *entity)) {
            platform.rollback().await?;
            return Err(HostError::new(
                ErrorCode::Unavailable,
                format!("{name} was archived while it was installed; install it again if it is to run"),
            )
            .into());
        }
        if let Some(step) = evolution::obstacle(&found, &installed.declared()) {
            platform.rollback().await?;
            let other = "another version was installed at the same time";
            return Err(HostError::new(
                ErrorCode::Unavailable,
                format!("{name} {version} cannot work on its tables: {}, {step}: {other}; install it again if it is to run", step.subject()),
            )
            .into());
        }
        let action = before.as_ref().map_or("plugin.installed", |before| replacing(before, version));
        let granted = installed.granted.beyond(&Capabilities::default());
        let entry = AuditEntry {
            plugin: Some(name.clone()),
            from: before.map(|before| before.to_string()),
            to: Some(version.to_string()),
            detail: (!granted.is_empty()).then(|| format!("granted {}", granted.join(", "))),
            ..self.done(by, action)
        };
        platform.note_platform_audit(&entry).await?;
        Ok(platform.commit().await?)
    }

    async fn enabled_in(&self, plugin: &PluginName) -> HostResult<Vec<TenantId>> {
        let mut platform = self.look_at_platform().await?;
        let tenants = platform.enabled_in(plugin).await?;
        platform.rollback().await?;
        Ok(tenants)
    }

    /// Has other processes look again.
    async fn tell_others(&self) -> HostResult<()> {
        let mut platform = self.change_platform().await?;
        platform.note_change().await?;
        Ok(platform.commit().await?)
    }
}
