//! A plugin in a tenant: what its calls may do there, resolved once and kept until something changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use erp_plugin_host_api::{Caller, EntityGrant, PublishRight, Right};
use erp_plugin_model::event::Publisher;
use erp_plugin_model::manifest::EntityAccess;
use erp_plugin_model::{EntityRef, PluginName, TenantId};
use erp_plugin_storage::{ActivationState, Entity};

use crate::catalog::{Catalog, Installed};

/// A plugin in a tenant.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) plugin: Arc<Installed>,
    pub(crate) caller: Arc<Caller>,
    /// `None` if it was never enabled there.
    pub(crate) state: Option<ActivationState>,
}

/// What was resolved, by tenant and plugin; and the edge's own view.
#[derive(Default)]
pub(crate) struct Activations {
    active: RwLock<HashMap<(TenantId, PluginName), Active>>,
    edge: RwLock<Option<Arc<Caller>>>,
}

impl Activations {
    pub(crate) fn get(&self, tenant: &TenantId, plugin: &PluginName) -> Option<Active> {
        let key = (tenant.clone(), plugin.clone());
        self.active.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    pub(crate) fn put(&self, tenant: &TenantId, active: Active) {
        let key = (tenant.clone(), active.plugin.name().clone());
        self.active.write().unwrap_or_else(PoisonError::into_inner).insert(key, active);
    }

    pub(crate) fn forget(&self, tenant: &TenantId, plugin: &PluginName) {
        let key = (tenant.clone(), plugin.clone());
        self.active.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Another plugin may name what was installed now.
    pub(crate) fn forget_all(&self) {
        self.active.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.forget_edge();
    }

    pub(crate) fn forget_edge(&self) {
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What the platform's edge can name: every entity of every plugin, for whoever has the permission.
    pub(crate) fn edge(&self, catalog: &Catalog) -> Arc<Caller> {
        if let Some(caller) = &*self.edge.read().unwrap_or_else(PoisonError::into_inner) {
            return Arc::clone(caller);
        }
        let grant = |entity: Arc<Entity>| {
            let name = entity.schema().name.to_string();
            (name, EntityGrant { entity, read: Right::WithPermission, write: Right::WithPermission })
        };
        let entities = catalog
            .all()
            .iter()
            .flat_map(|plugin| {
                let dynamic = plugin.dynamic.iter().flat_map(|directory| directory.all());
                plugin.entities.values().cloned().chain(dynamic).collect::<Vec<_>>()
            })
            .map(grant)
            .collect();
        let caller = Arc::new(Caller {
            publisher: Publisher::Platform,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            entities,
            dynamic: None,
            publish: PublishRight::All,
            config: HashMap::new(),
        });
        *self.edge.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&caller));
        caller
    }
}

/// Resolves what a plugin's calls may do in a tenant.
pub(crate) fn caller(
    plugin: &Installed,
    catalog: &Catalog,
    tenant_config: &[(String, String)],
    system_config: &[(String, String)],
) -> Caller {
    let publish = match &plugin.manifest {
        Some(_) => PublishRight::Granted(plugin.granted.events_publish.clone()),
        None => PublishRight::NotOthers(
            catalog
                .all()
                .iter()
                .map(|other| other.name())
                .filter(|name| *name != plugin.name())
                .cloned()
                .collect(),
        ),
    };
    Caller {
        publisher: Publisher::Plugin(plugin.name().clone()),
        version: plugin.record.version.to_string(),
        entities: entities(plugin, catalog),
        dynamic: plugin.dynamic.clone(),
        publish,
        config: config(plugin, tenant_config, system_config),
    }
}

fn entities(plugin: &Installed, catalog: &Catalog) -> HashMap<String, EntityGrant> {
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
        if let Some(entity) = find(catalog, name) {
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

fn find(catalog: &Catalog, name: &EntityRef) -> Option<Arc<Entity>> {
    catalog.get(&name.plugin)?.entities.get(name).cloned()
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
