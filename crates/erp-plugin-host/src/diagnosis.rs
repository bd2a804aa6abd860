//! Whether what is installed can run, for whoever looks after a platform. Nothing is changed, and no plugin is called.

use std::collections::BTreeSet;
use std::sync::Arc;

use erp_plugin_model::{PluginName, TenantId};
use sha2::{Digest as _, Sha256};

use crate::catalog::Installed;
use crate::core::is_core;
use crate::error::{HostFailure, HostResult};
use crate::host::Inner;

/// A plugin that runs, and what keeps it from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginHealth {
    /// The plugin.
    pub name: PluginName,
    /// The version that runs.
    pub version: semver::Version,
    /// Its component.
    pub component: ComponentHealth,
    /// Whether its tables are as it declares them.
    pub tables_are_current: bool,
    /// The tenants in which it is enabled.
    pub enabled_in: Vec<TenantId>,
    /// Those of them in which this version was not told that it runs now.
    pub unfinished: Vec<Unfinished>,
}

/// What a component is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentHealth {
    /// It is there, and this host loads it.
    Loads,
    /// It is not in the database.
    Missing,
    /// Its bytes are not those that were installed.
    Damaged,
    /// This host does not load it; why not.
    Refused(String),
}

/// A tenant in which `init` of the version that runs was not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The tenant.
    pub tenant: TenantId,
    /// The version of which it was.
    pub version: semver::Version,
}

impl Inner {
    pub(crate) async fn examine(&self) -> HostResult<Vec<PluginHealth>> {
        self.read_catalog().await?;
        let mut plugins = Vec::new();
        // What the platform declares has no component that could be ill.
        for plugin in self.catalog.all().into_iter().filter(|plugin| !is_core(plugin.name())) {
            plugins.push(self.examine_plugin(&plugin).await?);
        }
        let tenants: BTreeSet<TenantId> =
            plugins.iter().flat_map(|plugin| plugin.enabled_in.iter().cloned()).collect();
        for tenant in tenants {
            let mut own = self.look(&tenant).await?;
            for plugin in plugins.iter_mut().filter(|plugin| plugin.enabled_in.contains(&tenant)) {
                let state = own.activation(&plugin.name).await?;
                let behind =
                    state.filter(|state| state.enabled && !state.pinned && state.version != plugin.version);
                plugin.unfinished.extend(
                    behind.map(|state| Unfinished { tenant: tenant.clone(), version: state.version }),
                );
            }
            own.rollback(None).await?;
        }
        Ok(plugins)
    }

    async fn examine_plugin(&self, plugin: &Arc<Installed>) -> HostResult<PluginHealth> {
        let name = plugin.name();
        let mut platform = self.look_at_platform().await?;
        let bytes = platform.component(&plugin.record.component).await?;
        let enabled_in = platform.enabled_in(name).await?;
        platform.rollback().await?;
        Ok(PluginHealth {
            name: name.clone(),
            version: plugin.record.version.clone(),
            component: self.examine_component(plugin, bytes).await,
            tables_are_current: self.has_current_tables(plugin).await?,
            enabled_in,
            unfinished: Vec::new(),
        })
    }

    async fn examine_component(&self, plugin: &Installed, bytes: Option<Vec<u8>>) -> ComponentHealth {
        let hash = &plugin.record.component;
        let Some(bytes) = bytes else { return ComponentHealth::Missing };
        if Sha256::digest(&bytes).as_slice() != hash.as_slice() {
            return ComponentHealth::Damaged;
        }
        match self.loader.load(&bytes.into(), hash, plugin.max_size()).await {
            Ok(_) => ComponentHealth::Loads,
            Err(error) => ComponentHealth::Refused(HostFailure::from(error).to_string()),
        }
    }
}
