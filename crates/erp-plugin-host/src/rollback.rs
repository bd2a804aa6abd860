//! Back to a version that ran before: its component was kept.

use erp_plugin_model::{HostError, PluginName};
use erp_plugin_storage::{ErrorKind, PluginVersion, StorageError};

use crate::error::HostResult;
use crate::host::{Inner, PluginSummary};
use crate::install::InstallOptions;

impl Inner {
    /// Installs a version again that was installed before; without one the version before the one that runs.
    pub(crate) async fn rollback(
        &self,
        plugin: &PluginName,
        to: Option<&semver::Version>,
        consent: Vec<String>,
    ) -> HostResult<PluginSummary> {
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
        self.install(component.into(), InstallOptions { name, granted: None, consent }).await
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
