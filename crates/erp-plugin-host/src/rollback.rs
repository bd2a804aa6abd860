//! Back to a version that ran before: its component was kept.

use erp_plugin_model::manifest::Capabilities;
use erp_plugin_model::{HostError, Manifest, PluginName, TenantId, UserId};
use erp_plugin_storage::{
    AuditEntry, AuditQuery, AuditScope, ErrorKind, PlatformTransaction, PluginVersion, StorageError,
};

use crate::core::check_plugin;
use crate::error::HostResult;
use crate::host::{Inner, PluginSummary};
use crate::install::InstallOptions;
use crate::lifecycle::UPGRADED;

/// Entries of the audit trail that are looked at in one go.
const PAGE: u32 = 100;

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
        let before = match to {
            Some(to) => Some(to.clone()),
            // What was tried in some tenants goes back to what runs in the others.
            None if !options.tenants.is_empty() => Some(active.clone()),
            None => ran_before(&mut *platform, plugin, &active).await?,
        };
        let find = |version: &semver::Version| versions.iter().find(|own| own.version == *version);
        let target = before.as_ref().and_then(find);
        let Some(target) = target else {
            platform.rollback().await?;
            return Err(no_such_version(plugin, to, &active, &versions).into());
        };
        let component = platform.component(&target.component).await?;
        platform.rollback().await?;
        let granted = match find(&active) {
            Some(active) => Some(granted_again(target, active)?),
            None => None,
        };
        let component = component.ok_or_else(|| StorageError::new(ErrorKind::Corrupt, "component"))?;
        let name = target.manifest.is_none().then(|| plugin.clone());
        let RollbackOptions { consent, tenants } = options;
        let options = InstallOptions { name, granted, consent, tenants };
        self.install(by, component.into(), options).await
    }
}

/// The version that ran before the active one came in its place, as the audit trail tells.
async fn ran_before(
    platform: &mut dyn PlatformTransaction,
    plugin: &PluginName,
    active: &semver::Version,
) -> HostResult<Option<semver::Version>> {
    let query =
        |before| AuditQuery { scope: AuditScope::Platform, plugin: Some(plugin), before, limit: PAGE };
    let mut page = platform.audit(query(None)).await?;
    while let Some(oldest) = page.last() {
        let before = Some((oldest.at, oldest.id));
        let came = |entry: &AuditEntry| {
            entry.action == UPGRADED && entry.to.as_deref().is_some_and(|to| to == active.to_string())
        };
        if let Some(entry) = page.into_iter().find(came) {
            return Ok(entry.from.and_then(|from| semver::Version::parse(&from).ok()));
        }
        page = platform.audit(query(before)).await?;
    }
    Ok(None)
}

/// What a version is granted when it runs again: what it was granted before, but for what was refused to the one that runs.
fn granted_again(target: &PluginVersion, active: &PluginVersion) -> HostResult<Capabilities> {
    let granted = Capabilities::from_json(&target.granted, &target.name)?;
    let of_active = Capabilities::from_json(&active.granted, &active.name)?;
    let asked = active.manifest.as_deref().map(Manifest::from_json).transpose()?;
    let refused = asked.map(|manifest| manifest.capabilities.without(&of_active)).unwrap_or_default();
    Ok(granted.without(&refused))
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
