//! A plugin in a tenant: what its calls may do there, resolved once and kept until something changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use erp_plugin_host_api::{Caller, EntityGrant, PublishRight, References, Right};
use erp_plugin_model::event::Publisher;
use erp_plugin_model::manifest::EntityAccess;
use erp_plugin_model::{EntityRef, PluginName, TenantId};
use erp_plugin_storage::{ActivationState, Entity};

use crate::catalog::{Catalog, Installed};
use crate::tenants::KEPT;

/// A plugin in a tenant.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) tenant: TenantId,
    pub(crate) plugin: Arc<Installed>,
    pub(crate) caller: Arc<Caller>,
    /// `None` if it was never enabled there.
    pub(crate) state: Option<ActivationState>,
}

impl Active {
    pub(crate) fn is_enabled(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.enabled)
    }

    /// Whether it can be called: it is enabled at this very version.
    pub(crate) fn is_ready(&self) -> bool {
        let version = &self.plugin.record.version;
        self.state.as_ref().is_some_and(|state| state.enabled && state.version == *version)
    }

    /// The version whose `init` was committed there last.
    pub(crate) fn version_there(&self) -> String {
        self.state.as_ref().map(|state| state.version.to_string()).unwrap_or_default()
    }
}

/// What was resolved, by tenant and plugin; and the edge's own view. A plugin in a tenant is looked up again after
/// [`KEPT`], because another process may have enabled, disabled or configured it.
///
/// Whoever resolves something notes the generation before it reads what it is made of, and keeps the result only if
/// nothing was forgotten since: else what was true before a change would be kept after it, for good.
#[derive(Default)]
pub(crate) struct Activations {
    resolved: RwLock<Resolved>,
}

#[derive(Default)]
struct Resolved {
    generation: u64,
    /// With the moment before which each was read.
    active: HashMap<(TenantId, PluginName), (Instant, Active)>,
    /// What the edge can name: in every tenant (`None`), and in those where other versions run.
    edges: HashMap<Option<TenantId>, Arc<Caller>>,
}

impl Activations {
    /// What the result of reading now may be kept under.
    pub(crate) fn generation(&self) -> u64 {
        self.read().generation
    }

    pub(crate) fn get(&self, tenant: &TenantId, plugin: &PluginName, now: Instant) -> Option<Active> {
        let key = (tenant.clone(), plugin.clone());
        let resolved = self.read();
        let (began, active) = resolved.active.get(&key)?;
        (now.saturating_duration_since(*began) < KEPT).then(|| active.clone())
    }

    pub(crate) fn put(&self, generation: u64, began: Instant, active: Active) {
        let key = (active.tenant.clone(), active.plugin.name().clone());
        let mut resolved = self.write();
        if resolved.generation == generation {
            resolved.active.insert(key, (began, active));
        }
    }

    pub(crate) fn forget(&self, tenant: &TenantId, plugin: &PluginName) {
        let key = (tenant.clone(), plugin.clone());
        let mut resolved = self.write();
        resolved.generation += 1;
        resolved.active.remove(&key);
    }

    /// Another plugin may name what was installed now.
    pub(crate) fn forget_all(&self) {
        let mut resolved = self.write();
        resolved.generation += 1;
        resolved.active.clear();
        resolved.edges.clear();
    }

    pub(crate) fn forget_edge(&self) {
        let mut resolved = self.write();
        resolved.generation += 1;
        resolved.edges.clear();
    }

    /// What the platform's edge can name in a tenant: every entity of every plugin, for whoever has the permission.
    pub(crate) fn edge(&self, tenant: &TenantId, catalog: &Catalog) -> Arc<Caller> {
        let whose = catalog.deviates(tenant).then(|| tenant.clone());
        let generation = {
            let resolved = self.read();
            if let Some(caller) = resolved.edges.get(&whose) {
                return Arc::clone(caller);
            }
            resolved.generation
        };
        let caller = Arc::new(edge_caller(&catalog.all_in(tenant)));
        let mut resolved = self.write();
        if resolved.generation == generation {
            resolved.edges.insert(whose, Arc::clone(&caller));
        }
        caller
    }

    fn read(&self) -> RwLockReadGuard<'_, Resolved> {
        self.resolved.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Resolved> {
        self.resolved.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn edge_caller(plugins: &[Arc<Installed>]) -> Caller {
    let grant = |entity: Arc<Entity>| {
        let name = entity.schema().name.to_string();
        (name, EntityGrant { entity, read: Right::WithPermission, write: Right::WithPermission })
    };
    let entities = plugins
        .iter()
        .flat_map(|plugin| {
            let dynamic = plugin.dynamic.iter().flat_map(|directory| directory.all());
            plugin.entities.values().cloned().chain(dynamic).collect::<Vec<_>>()
        })
        .map(grant)
        .collect();
    Caller {
        publisher: Publisher::Platform,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        entities,
        dynamic: None,
        publish: PublishRight::All,
        config: HashMap::new(),
        references: references(plugins),
    }
}

/// Which fields refer to which entities, of all plugins: a deletion follows their rules, whoever deletes.
fn references(plugins: &[Arc<Installed>]) -> Arc<References> {
    Arc::new(References::new(plugins.iter().flat_map(|plugin| plugin.entities.values())))
}

/// Resolves what a plugin's calls may do in a tenant, where these are the versions that run.
pub(crate) fn caller(
    plugin: &Installed,
    plugins: &[Arc<Installed>],
    tenant_config: &[(String, String)],
    system_config: &[(String, String)],
) -> Caller {
    let publish = match &plugin.manifest {
        Some(_) => PublishRight::Granted(plugin.granted.events_publish.clone()),
        None => PublishRight::NotOthers(
            plugins.iter().map(|other| other.name()).filter(|name| *name != plugin.name()).cloned().collect(),
        ),
    };
    Caller {
        publisher: Publisher::Plugin(plugin.name().clone()),
        version: plugin.record.version.to_string(),
        entities: entities(plugin, plugins),
        dynamic: plugin.dynamic.clone(),
        publish,
        config: config(plugin, tenant_config, system_config),
        references: references(plugins),
    }
}

fn entities(plugin: &Installed, plugins: &[Arc<Installed>]) -> HashMap<String, EntityGrant> {
    let mut names = HashMap::new();
    for (name, entity) in &plugin.entities {
        let grant = EntityGrant { entity: Arc::clone(entity), read: Right::Own, write: Right::Own };
        names.insert(name.to_string(), grant.clone());
        names.insert(name.entity.to_string(), grant);
    }
    // What was asked for and not granted can be named, so that the error says what is missing; what was not asked
    // for cannot.
    let asked = plugin.manifest.iter().flat_map(|manifest| &manifest.capabilities.entities);
    for name in asked.map(|(name, _)| name).collect::<HashSet<_>>() {
        if let Some(entity) = find(plugins, name) {
            let granted = |wanted: EntityAccess| {
                plugin.granted.entities.iter().any(|(own, access)| own == name && *access == wanted)
            };
            let right = |granted: bool| if granted { Right::WithPermission } else { Right::No };
            let write = granted(EntityAccess::Write);
            let grant = EntityGrant {
                entity,
                read: right(write || granted(EntityAccess::Read)),
                write: right(write),
            };
            names.insert(name.to_string(), grant);
        }
    }
    names
}

fn find(plugins: &[Arc<Installed>], name: &EntityRef) -> Option<Arc<Entity>> {
    plugins.iter().find(|plugin| *plugin.name() == name.plugin)?.entities.get(name).cloned()
}

fn config(
    plugin: &Installed,
    tenant_config: &[(String, String)],
    system_config: &[(String, String)],
) -> HashMap<String, Vec<u8>> {
    let mut values: HashMap<String, Vec<u8>> = HashMap::new();
    for (key, value) in system_config {
        if plugin.granted.system_config.contains(key) {
            values.insert(key.clone(), value.clone().into_bytes());
        }
    }
    for (key, declared) in plugin.manifest.iter().flat_map(|manifest| &manifest.config) {
        if let Some(default) = &declared.default {
            values.insert(key.clone(), default.to_string().into_bytes());
        }
    }
    for (key, value) in tenant_config {
        values.insert(key.clone(), value.clone().into_bytes());
    }
    values
}

#[cfg(test)]
mod tests {
    use erp_plugin_model::manifest::Capabilities;
    use erp_plugin_storage::PluginVersion;

    use super::*;

    #[test]
    fn what_was_read_is_in_use_for_a_second_and_not_after_a_change() {
        let (activations, began) = (Activations::default(), Instant::now());
        let (tenant, plugin) = (TenantId::parse("acme").unwrap(), PluginName::parse("inventory").unwrap());
        let record = PluginVersion {
            name: plugin.clone(),
            version: semver::Version::new(1, 0, 0),
            component: [0; 32],
            manifest: None,
            granted: Vec::new(),
            installed_at: chrono::DateTime::UNIX_EPOCH,
        };
        let installed = Arc::new(Installed::new(record, None, Capabilities::default(), &[]));
        let active = || Active {
            tenant: tenant.clone(),
            plugin: Arc::clone(&installed),
            caller: Arc::new(edge_caller(&[])),
            state: None,
        };
        let before = activations.generation();
        activations.forget(&tenant, &plugin);
        activations.put(before, began, active());
        assert!(activations.get(&tenant, &plugin, began).is_none());

        activations.put(activations.generation(), began, active());
        assert!(activations.get(&tenant, &plugin, began + KEPT / 2).is_some());
        assert!(activations.get(&tenant, &plugin, began + KEPT).is_none());
    }
}
