//! An entity seen from outside its plugin: `inventory.item`.

use std::fmt;

use crate::ids::{EntityName, InvalidName, PluginName};

/// The full name of an entity. Inside its own plugin the plugin part may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityRef {
    /// The plugin that declares the entity.
    pub plugin: PluginName,
    /// The entity's name inside that plugin.
    pub entity: EntityName,
}

impl EntityRef {
    /// Reads `item` (an entity of `own`) or `inventory.item`.
    pub fn parse_in(own: &PluginName, text: &str) -> Result<Self, InvalidName> {
        match text.split_once('.') {
            None => Ok(Self { plugin: own.clone(), entity: EntityName::parse(text)? }),
            Some((plugin, entity)) => {
                Ok(Self { plugin: PluginName::parse(plugin)?, entity: EntityName::parse(entity)? })
            }
        }
    }

    /// Reads `inventory.item`; the plugin part may not be left out.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (plugin, entity) = text.split_once('.').unwrap_or(("", text));
        Ok(Self { plugin: PluginName::parse(plugin)?, entity: EntityName::parse(entity)? })
    }

    /// The table that holds its records: `<plugin>__<entity>`, at most 24 + 2 + 30 bytes.
    #[must_use]
    pub fn table(&self) -> String {
        format!("{}__{}", self.plugin.physical(), self.entity)
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plugin, self.entity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_the_plugins_own() {
        let own = PluginName::parse("crm-2").unwrap();
        assert_eq!(EntityRef::parse_in(&own, "lead").unwrap().to_string(), "crm-2.lead");
        assert_eq!(EntityRef::parse_in(&own, "inventory.item").unwrap().table(), "inventory__item");
        assert_eq!(EntityRef::parse_in(&own, "lead").unwrap().table(), "crm_2__lead");
        assert!(EntityRef::parse("item").is_err());
    }
}
