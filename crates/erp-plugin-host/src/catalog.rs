//! What is installed, as this process knows it: one entry a plugin, its component loaded at first use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use erp_plugin_host_api::DynamicDirectory;
use erp_plugin_model::event::EventPattern;
use erp_plugin_model::manifest::{Capabilities, DEFAULT_MAX_SIZE};
use erp_plugin_model::{EntityRef, Limits, Manifest, PluginName};
use erp_plugin_runtime::LoadedPlugin;
use erp_plugin_storage::{Entity, PluginVersion, Subscription};
use tokio::sync::OnceCell;

/// An installed plugin.
pub(crate) struct Installed {
    pub(crate) record: PluginVersion,
    /// `None` for a bare component.
    pub(crate) manifest: Option<Manifest>,
    pub(crate) granted: Capabilities,
    pub(crate) entities: HashMap<EntityRef, Arc<Entity>>,
    pub(crate) dynamic: Option<Arc<DynamicDirectory>>,
    /// The component, loaded at its first call.
    pub(crate) loaded: OnceCell<LoadedPlugin>,
}

impl Installed {
    pub(crate) fn new(
        record: PluginVersion,
        manifest: Option<Manifest>,
        granted: Capabilities,
        dynamic: impl IntoIterator<Item = EntityRef>,
    ) -> Self {
        let entities = manifest
            .iter()
            .flat_map(|manifest| &manifest.entities)
            .map(|schema| (schema.name.clone(), Arc::new(Entity::new(schema.clone()))))
            .collect();
        let may_have_dynamic = manifest.is_none() || granted.dynamic_entities;
        let dynamic = may_have_dynamic.then(|| Arc::new(DynamicDirectory::new(record.name.clone(), dynamic)));
        Self { record, manifest, granted, entities, dynamic, loaded: OnceCell::new() }
    }

    pub(crate) fn name(&self) -> &PluginName {
        &self.record.name
    }

    pub(crate) fn max_size(&self) -> u64 {
        self.manifest.as_ref().map_or(DEFAULT_MAX_SIZE, |manifest| manifest.max_size)
    }

    /// What one of its invocations may use: what it asks for, capped.
    pub(crate) fn limits(&self, defaults: &Limits, caps: &Limits) -> Limits {
        let mut limits = defaults.clone();
        for (kind, value) in self.manifest.iter().flat_map(|manifest| &manifest.limits) {
            limits.set(*kind, *value);
        }
        limits.capped_by(caps)
    }

    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        match &self.manifest {
            Some(manifest) => manifest
                .subscriptions
                .iter()
                .map(|pattern| Subscription { pattern: pattern.clone(), own_events: true })
                .collect(),
            None => vec![Subscription { pattern: EventPattern::everything(), own_events: false }],
        }
    }
}

/// The installed plugins by name.
#[derive(Default)]
pub(crate) struct Catalog {
    plugins: RwLock<HashMap<PluginName, Arc<Installed>>>,
}

impl Catalog {
    pub(crate) fn get(&self, name: &PluginName) -> Option<Arc<Installed>> {
        self.plugins.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Adds a plugin, unless it is there: a version never changes, and what is there may have been loaded.
    pub(crate) fn learn(&self, plugin: Arc<Installed>) {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        plugins.entry(plugin.name().clone()).or_insert(plugin);
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Installed>> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = plugins.values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }
}
