//! What the plugin may do: with a manifest all that it asks for, without one what a host gives to bare components.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use erp_plugin_host_api::{Caller, DynamicDirectory, EntityGrant, PublishRight, References, Right};
use erp_plugin_model::event::Publisher;
use erp_plugin_model::{Manifest, PluginName};
use erp_plugin_storage::Entity;
use serde_json::Value as Json;

/// The name of a plugin without a manifest.
const BARE_NAME: &str = "plugin-under-test";

/// The plugin as its host calls see it. A [`Caller`] is made of it for each call, because a test may change the
/// configuration in between.
pub(crate) struct Rights {
    name: PluginName,
    version: String,
    entities: HashMap<String, EntityGrant>,
    dynamic: Option<Arc<DynamicDirectory>>,
    publish: PublishRight,
    config: HashMap<String, Vec<u8>>,
}

impl Rights {
    pub(crate) fn of(manifest: Option<&Manifest>) -> Self {
        match manifest {
            Some(manifest) => Self::asked_for(manifest),
            None => Self::bare(),
        }
    }

    #[expect(clippy::expect_used, reason = "the name is a constant")]
    fn bare() -> Self {
        let name = PluginName::parse(BARE_NAME).expect("the constant is a name");
        Self {
            version: "0.0.0".to_owned(),
            entities: HashMap::new(),
            dynamic: Some(Arc::new(DynamicDirectory::new(name.clone(), []))),
            publish: PublishRight::NotOthers(HashSet::new()),
            config: HashMap::new(),
            name,
        }
    }

    fn asked_for(manifest: &Manifest) -> Self {
        let mut entities = HashMap::new();
        for schema in &manifest.entities {
            let entity = Arc::new(Entity::new(schema.clone()));
            let grant = EntityGrant { entity, read: Right::Own, write: Right::Own };
            entities.insert(schema.name.to_string(), grant.clone());
            entities.insert(schema.name.entity.to_string(), grant);
        }
        let capabilities = &manifest.capabilities;
        let dynamic = || Arc::new(DynamicDirectory::new(manifest.name.clone(), []));
        let defaults = manifest.config.iter().filter_map(|(key, declared)| {
            let default = declared.default.as_ref()?;
            Some((key.clone(), default.to_string().into_bytes()))
        });
        Self {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            entities,
            dynamic: capabilities.dynamic_entities.then(dynamic),
            publish: PublishRight::Granted(capabilities.events_publish.clone()),
            config: defaults.collect(),
        }
    }

    /// Sets what a configuration key is worth to the plugin.
    pub(crate) fn set_config(&mut self, key: &str, value: &Json) {
        self.config.insert(key.to_owned(), value.to_string().into_bytes());
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller {
            publisher: Publisher::Plugin(self.name.clone()),
            version: self.version.clone(),
            entities: self.entities.clone(),
            dynamic: self.dynamic.clone(),
            publish: self.publish.clone(),
            config: self.config.clone(),
            references: Arc::new(References::new(self.entities.values().map(|grant| &grant.entity))),
        }
    }
}
