//! Back to a version that ran before: its component was kept.

use erp_plugin_model::{HostError, PluginName, TenantId, UserId};
use erp_plugin_storage::{ErrorKind, PluginVersion, StorageError};

use crate::core::check_plugin;
use crate::error::HostResult;
use crate::host::{Inner, PluginSummary};
use crate::install::InstallOptions;

/// How a plugin goes back to an earlier version.
#[derive(Clone, Debug, Default)]
pub struct RollbackOptions {
    /// As in [`InstallOptions::consent`].
    pub consent: Vec<String>,
    /// As in [`InstallOptions::tenants`]: only these go back.
    pub tenants: Vec<TenantId>,
}

impl Inner {
    /// Installs a version again that was installed before; without one the version before the one that runs.
    pub(crate) async fn rollback(
        &self,
        by: &UserId,
        plugin: &PluginName,
        to: Option<&semver::Version>,
        options: RollbackOptions,
    ) -> HostResult<PluginSummary> {
        check_plugin(plugin)?;
        let mut platform = self.look_at_platform().await?;
        let active = platform.active_versions().await?.into_iter().find(|(name, _)| name == plugin);
        let versions: Vec<PluginVersion> =
            platform.versions().await?.into_iter().filter(|own| own.name == *plugin).collect();
        let Some((_, active)) = active else {
            platform.rollback().await?;
            return Err(
                HostError::not_found(format!("no plugin {plugin} is installed; install it first")).into()
            );
        };
        let target = match to {
            Some(to) => versions.iter().find(|own| own.version == *to),
            // What was tried in some tenants goes back to what runs in the others.
            None if !options.tenants.is_empty() => versions.iter().find(|own| own.version == active),
            None => versions.iter().take_while(|own| own.version != active).last(),
        };
        let Some(target) = target else {
            platform.rollback().await?;
            return Err(no_such_version(plugin, to, &active, &versions).into());
        };
        let component = platform.component(&target.component).await?;
        platform.rollback().await?;
        let component = component.ok_or_else(|| StorageError::new(ErrorKind::Corrupt, "component"))?;
        let name = target.manifest.is_none().then(|| plugin.clone());
        let RollbackOptions { consent, tenants } = options;
        let options = InstallOptions { name, granted: None, consent, tenants };
        self.install(by, component.into(), options).await
    }
}

fn no_such_version(
    plugin: &PluginName,
    to: Option<&semver::Version>,
    active: &semver::Version,
    versions: &[PluginVersion],
) -> HostError {
    let known: Vec<String> = versions.iter().map(|own| own.version.to_string()).collect();
    let known = known.join(", ");
    HostError::not_found(match to {
        Some(to) => format!("{plugin} {to} was never installed; these were: {known}"),
        None => format!("{plugin} {active} is the first that was installed; these were: {known}; name one"),
    })
}
