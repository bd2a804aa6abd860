//! The platform's own entities, declared as a plugin declares its: they are tables, resources at the edge, and what plugins
//! may refer to and be granted, under the name `core`.
//!
//! There is no component behind them. What the platform does it does itself, through the edge and its subscribers.

use erp_plugin_model::event::Publisher;
use erp_plugin_model::manifest::Capabilities;
use erp_plugin_model::{ErrorCode, HostError, Manifest, PluginName, UserId, evolution};
use erp_plugin_storage::PluginVersion;
use sha2::{Digest as _, Sha256};

use crate::catalog::Installed;
use crate::error::HostResult;
use crate::host::Inner;

/// Whether a name is the one that the platform's own entities have.
pub(crate) fn is_core(name: &PluginName) -> bool {
    name.as_str() == Publisher::PLATFORM
}

impl Inner {
    /// Makes the platform's own tables what a manifest declares. A version never changes.
    pub(crate) async fn declare(&self, by: &UserId, text: &str, consent: &[String]) -> HostResult<()> {
        let manifest = Manifest::from_toml(text)?;
        check(&manifest)?;
        let _one_at_a_time = self.installing.lock().await;
        self.read_catalog().await?;
        // What is kept in the place of a component is what was declared.
        let declared = manifest.to_canonical_json();
        let record = PluginVersion {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            component: Sha256::digest(&declared).into(),
            manifest: Some(declared.clone()),
            granted: Capabilities::default().to_json(),
            installed_at: self.services.clock.now(),
        };
        let present = self.catalog.get(&record.name);
        if present.as_ref().is_some_and(|own| own.record.component == record.component && own.fits) {
            return Ok(());
        }
        self.check_references(&manifest)?;
        self.was_installed(&record).await?;
        let own = Installed::new(record, Some(manifest), Capabilities::default(), &[]);
        if let Some(later) = present.filter(|present| present.record.version > own.record.version) {
            return check_works_with(&own, &later);
        }
        self.evolve(own.name(), &own.record.version, &own.declared(), consent).await?;
        self.keep(&own, &declared).await?;
        self.activate(by, &own).await?;
        self.read_catalog().await
    }
}

/// Refuses an older version than the one that is declared, unless it can work on that one's tables: then a process of the
/// platform that is older goes on beside those that are newer.
fn check_works_with(own: &Installed, later: &Installed) -> HostResult<()> {
    let Some(step) = evolution::obstacle(&later.declared(), &own.declared()) else { return Ok(()) };
    let (own, later, subject) = (&own.record.version, &later.record.version, step.subject());
    Err(HostError::new(
        ErrorCode::Rejected,
        format!("core {own} cannot work on the tables of {later}, which is declared: {subject}, {step}; declare a later version than {later}"),
    )
    .into())
}

/// Refuses the platform's own where a plugin is meant: it has entities in every tenant, and nothing to be enabled or called.
pub(crate) fn check_plugin(name: &PluginName) -> Result<(), HostError> {
    if is_core(name) {
        return Err(HostError::invalid(format!(
            "{name} is the platform's own, and no plugin; name a plugin"
        )));
    }
    Ok(())
}

/// Refuses what only a plugin has.
fn check(manifest: &Manifest) -> Result<(), HostError> {
    let name = &manifest.name;
    if !is_core(name) {
        return Err(HostError::invalid(format!(
            "plugin.name is {name}, and what the platform declares itself is called {}",
            Publisher::PLATFORM
        )));
    }
    let tables = [
        ("subscriptions", !manifest.subscriptions.is_empty(), "use PluginHost::subscribe"),
        ("jobs", !manifest.jobs.is_empty(), "have a plugin do it"),
        ("config", !manifest.config.is_empty(), "use PluginHost::set_system_config"),
        ("limits", !manifest.limits.is_empty(), "it makes no calls"),
        ("capabilities", manifest.capabilities != Capabilities::default(), "it may do everything"),
    ];
    match tables.into_iter().find(|(_, is_there, _)| *is_there) {
        Some((table, _, instead)) => {
            Err(HostError::invalid(format!("{table} is for plugins, and this is the platform: {instead}")))
        }
        None => Ok(()),
    }
}
