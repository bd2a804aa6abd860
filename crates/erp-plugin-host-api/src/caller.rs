//! Who calls, and what was resolved for them before the first call: entities, rights, configuration, limits.
//!
//! Made once per (plugin version, tenant) and shared by its invocations, so that a host call searches one map and
//! tests flags.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use erp_plugin_model::event::{EventPattern, Publisher};
use erp_plugin_model::parse::quote;
use erp_plugin_model::{EntityName, EntityRef, EntitySchema, EventType, HostError, PluginName};
use erp_plugin_storage::Entity;

use crate::references::References;

/// The right to read or to write an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// It is the caller's own.
    Own,
    /// Granted; when a user acts, the user needs the permission too.
    WithPermission,
    /// Not granted.
    No,
}

/// An entity that a caller can name.
#[derive(Clone, Debug)]
pub struct EntityGrant {
    /// The entity.
    pub entity: Arc<Entity>,
    /// The right to read it.
    pub read: Right,
    /// The right to write it.
    pub write: Right,
}

/// Which events a caller may publish. Those that are [reserved](EventType::is_reserved) only the platform may.
#[derive(Clone, Debug)]
pub enum PublishRight {
    /// Those that match a granted pattern.
    Granted(Vec<EventPattern>),
    /// Those that do not begin with another plugin's name: a component without a manifest.
    NotOthers(HashSet<PluginName>),
    /// All: the platform itself.
    All,
}

impl PublishRight {
    pub(crate) fn check(&self, event_type: &EventType) -> Result<(), HostError> {
        match self {
            Self::All => Ok(()),
            _ if event_type.is_reserved() => Err(HostError::denied(format!(
                "event type {event_type} begins with {}, which is the platform's own: no plugin publishes it",
                event_type.publisher()
            ))),
            Self::Granted(patterns) if patterns.iter().any(|pattern| pattern.matches(event_type)) => Ok(()),
            Self::Granted(patterns) => {
                let granted = patterns.iter().map(EventPattern::as_str).collect::<Vec<_>>().join(", ");
                Err(HostError::denied(format!(
                    "event type {event_type} is not granted; granted: {}; ask for it with events-publish under \
                     [capabilities] in plugin.toml",
                    if granted.is_empty() { "none" } else { &granted },
                )))
            }
            Self::NotOthers(others) if !others.contains(event_type.publisher()) => Ok(()),
            Self::NotOthers(_) => Err(HostError::denied(format!(
                "event type {event_type} begins with the name of another plugin; a plugin without a manifest cannot \
                 speak for it"
            ))),
        }
    }
}

/// The dynamic entities of a plugin that are known to exist. Learns of new ones after their commit.
#[derive(Debug)]
pub struct DynamicDirectory {
    plugin: PluginName,
    known: RwLock<HashMap<EntityName, Arc<Entity>>>,
}

impl DynamicDirectory {
    /// The directory of a plugin whose existing dynamic entities are these.
    #[must_use]
    pub fn new(plugin: PluginName, existing: impl IntoIterator<Item = EntityRef>) -> Self {
        let known = existing
            .into_iter()
            .map(|name| (name.entity.clone(), Arc::new(Entity::new(EntitySchema::dynamic(name)))))
            .collect();
        Self { plugin, known: RwLock::new(known) }
    }

    /// Those that are known, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entity>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Entity>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn learn(&self, entities: impl IntoIterator<Item = Arc<Entity>>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for entity in entities {
            known.entry(entity.schema().name.entity.clone()).or_insert(entity);
        }
    }

    pub(crate) fn make(&self, entity: EntityName) -> Arc<Entity> {
        Arc::new(Entity::new(EntitySchema::dynamic(EntityRef { plugin: self.plugin.clone(), entity })))
    }
}

/// Who calls: a plugin in a tenant, or the platform's edge.
pub struct Caller {
    /// Whose events these are, and what records written without a user say.
    pub publisher: Publisher,
    /// The version of the plugin; of the host at the edge.
    pub version: String,
    /// Every name by which the caller can mean an entity: its own bare, all qualified.
    pub entities: HashMap<String, EntityGrant>,
    /// Where undeclared entities come from; `None` without the capability.
    pub dynamic: Option<Arc<DynamicDirectory>>,
    /// Which events it may publish.
    pub publish: PublishRight,
    /// The values of its configuration keys, as JSON.
    pub config: HashMap<String, Vec<u8>>,
    /// What the deletion of a record means for those that refer to it.
    pub references: Arc<References>,
}

impl Caller {
    /// The plugin; `None` at the edge.
    #[must_use]
    pub fn plugin(&self) -> Option<&PluginName> {
        match &self.publisher {
            Publisher::Plugin(name) => Some(name),
            Publisher::Platform => None,
        }
    }

    /// What `created_by` says when no user acts.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.publisher {
            Publisher::Platform => "system".to_owned(),
            Publisher::Plugin(name) => format!("plugin:{name}"),
        }
    }

    pub(crate) fn unknown_entity(&self, name: &str) -> HostError {
        if self.publisher == Publisher::Platform {
            // Which entities there are is not for every client to know.
            return HostError::not_found(format!("no entity {}", quote(name)));
        }
        let mut known: Vec<&str> =
            self.entities.keys().map(String::as_str).filter(|key| !key.contains('.')).collect();
        if known.is_empty() {
            known = self.entities.keys().map(String::as_str).collect();
        }
        known.sort_unstable();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        HostError::invalid(format!(
            "unknown entity {}; known: {known}. Declare it under [entities] in plugin.toml, or ask for \
             dynamic-entities under [capabilities]",
            quote(name),
        ))
    }
}

impl fmt::Debug for Caller {
    // Without the values of the configuration, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("publisher", &self.publisher)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(publisher: Publisher) -> Caller {
        let item = EntityRef::parse("inventory.item").unwrap();
        let entity = Arc::new(Entity::new(EntitySchema::dynamic(item)));
        let grant = EntityGrant { entity, read: Right::Own, write: Right::Own };
        Caller {
            publisher,
            version: "1.0.0".to_owned(),
            entities: HashMap::from([("item".to_owned(), grant)]),
            dynamic: None,
            publish: PublishRight::All,
            config: HashMap::from([("api_key".to_owned(), b"\"hunter2\"".to_vec())]),
            references: Arc::default(),
        }
    }

    #[test]
    fn the_values_of_the_configuration_are_in_no_debug_text() {
        let shown = format!("{:?}", caller(Publisher::Platform));
        assert!(shown.contains("1.0.0") && !shown.contains("hunter2"), "{shown}");
        let bytes = format!("{:?}", b"\"hunter2\"".to_vec());
        assert!(!shown.contains(&bytes), "{shown}");
    }

    #[test]
    fn only_a_plugin_is_told_which_entities_there_are() {
        let plugin = Publisher::Plugin(PluginName::parse("inventory").unwrap());
        assert!(caller(plugin).unknown_entity("itme").message.contains("known: item."));
        let error = caller(Publisher::Platform).unknown_entity("itme");
        assert_eq!(error.to_string(), "not-found: no entity \"itme\"");
    }
}
