//! What a plugin says of itself: `plugin.toml` beside its source, canonical JSON in the component's custom section
//! `erp-plugin:manifest`.
//!
//! Unknown keys are refused with the nearest known one. A table that this host cannot honour yet is an error, never
//! ignored: a plugin that asks for a hook must not run without it.

mod definition;
mod entities;
mod jobs;
mod subscriptions;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::event::EventPattern;
use crate::ids::{JobName, PluginName};
use crate::job::Job;
use crate::limits::LimitKind;
use crate::schema::EntitySchema;
use crate::{EntityRef, Labels};
use table::Table;

pub use subscriptions::Subscription;
pub use table::key_hint;

/// The name of the custom section that holds the manifest.
pub const SECTION: &str = "erp-plugin:manifest";
/// The largest component, in bytes, of a plugin that asks for no more.
pub const DEFAULT_MAX_SIZE: u64 = 2 << 20;
/// The largest component that a manifest may ask for.
pub const MAX_MAX_SIZE: u64 = 64 << 20;

/// The most subscriptions, jobs, configuration keys, and entries of each list under `[capabilities]`: each of them is looked
/// through again and again.
const MAX_ENTRIES: usize = 100;

/// What is wrong with a manifest: where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin.toml: {path}{}{message}", if path.is_empty() { "" } else { " " })]
pub struct ManifestError {
    /// The key, as `entities.item.fields.sku.type`; empty for the whole text.
    pub path: String,
    /// The rest of the sentence.
    pub message: String,
}

impl ManifestError {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

/// What may be done with another plugin's entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntityAccess {
    /// Query and get.
    Read,
    /// Insert, update and delete, and reading as well.
    Write,
}

impl EntityAccess {
    /// The access as the manifest writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What a plugin asks for beyond its own entities. The operator grants it, perhaps less.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    /// Other plugins' entities.
    pub entities: Vec<(EntityRef, EntityAccess)>,
    /// The types of events that it may publish.
    pub events_publish: Vec<EventPattern>,
    /// Whether the first insert into an undeclared entity creates it.
    pub dynamic_entities: bool,
    /// Platform configuration keys (`system.*`) that it may read.
    pub system_config: Vec<String>,
}

impl Capabilities {
    /// What is in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            entities: self.entities.iter().filter(|own| other.entities.contains(own)).cloned().collect(),
            events_publish: self
                .events_publish
                .iter()
                .filter(|own| other.events_publish.contains(own))
                .cloned()
                .collect(),
            dynamic_entities: self.dynamic_entities && other.dynamic_entities,
            system_config: self
                .system_config
                .iter()
                .filter(|own| other.system_config.contains(own))
                .cloned()
                .collect(),
        }
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        fn rest<T: Clone + PartialEq>(own: &[T], other: &[T]) -> Vec<T> {
            own.iter().filter(|own| !other.contains(own)).cloned().collect()
        }
        Self {
            entities: rest(&self.entities, &other.entities),
            events_publish: rest(&self.events_publish, &other.events_publish),
            dynamic_entities: self.dynamic_entities && !other.dynamic_entities,
            system_config: rest(&self.system_config, &other.system_config),
        }
    }

    /// What is asked for here and not granted there, each as a manifest writes it.
    #[must_use]
    pub fn beyond(&self, granted: &Self) -> Vec<String> {
        let rest = self.without(granted);
        rest.entities
            .iter()
            .map(|(name, access)| format!("entities \"{name}:{}\"", access.as_str()))
            .chain(
                rest.events_publish.iter().map(|pattern| format!("events-publish \"{}\"", pattern.as_str())),
            )
            .chain(rest.dynamic_entities.then(|| "dynamic-entities".to_owned()))
            .chain(rest.system_config.iter().map(|key| format!("system-config \"{key}\"")))
            .collect()
    }

    /// The capabilities as the JSON of `[capabilities]`: what is granted is kept in this form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let entities = self.entities.iter().map(|(name, access)| format!("{name}:{}", access.as_str()));
        serde_json::json!({
            "entities": entities.collect::<Vec<_>>(),
            "events-publish": self.events_publish.iter().map(EventPattern::as_str).collect::<Vec<_>>(),
            "dynamic-entities": self.dynamic_entities,
            "system-config": self.system_config,
        })
        .to_string()
        .into_bytes()
    }

    /// Reads the JSON of `[capabilities]` of the plugin `own`.
    pub fn from_json(bytes: &[u8], own: &PluginName) -> Result<Self, ManifestError> {
        let value: Json = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::new("capabilities", format!("are not JSON: {error}")))?;
        capabilities(Table::new("capabilities", &value)?, own)
    }
}

/// The type of a configuration value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// A JSON string.
    String,
    /// A JSON integer.
    Integer,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Json,
}

impl ConfigType {
    /// Whether a value has this type.
    #[must_use]
    pub fn accepts(self, value: &Json) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Boolean => value.is_boolean(),
            Self::Json => true,
        }
    }

    /// The type as the manifest writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Json => "json",
        }
    }
}

/// A configuration key of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigKey {
    /// What its values are.
    pub value_type: ConfigType,
    /// The value of a tenant that set none.
    pub default: Option<Json>,
    /// Whether the value must never be shown, logged or exported.
    pub secret: bool,
}

/// A plugin's manifest, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The plugin's name.
    pub name: PluginName,
    /// The plugin's own version.
    pub version: semver::Version,
    /// What people call it.
    pub title: Labels,
    /// What it does, in a sentence or two.
    pub description: Option<String>,
    /// Who made it.
    pub publisher: Option<String>,
    /// Its licence, an SPDX expression.
    pub license: Option<String>,
    /// The largest size its component may have, in bytes.
    pub max_size: u64,
    /// What it asks for.
    pub capabilities: Capabilities,
    /// The events it gets.
    pub subscriptions: Vec<Subscription>,
    /// What it does at times of its own.
    pub jobs: Vec<Job>,
    /// The entities it declares.
    pub entities: Vec<EntitySchema>,
    /// Its configuration keys.
    pub config: BTreeMap<String, ConfigKey>,
    /// The limits it asks for; what is not named has its default.
    pub limits: Vec<(LimitKind, u64)>,
    source: Json,
}

impl Manifest {
    /// Reads `plugin.toml`.
    pub fn from_toml(text: &str) -> Result<Self, ManifestError> {
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| ManifestError::new("", format!("is not TOML: {error}")))?;
        Self::from_value(toml_to_json(toml::Value::Table(table)))
    }

    /// Reads the canonical JSON of a component's custom section.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let value = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::new("", format!("is not JSON in the component: {error}")))?;
        Self::from_value(value)
    }

    /// A job that it declares.
    #[must_use]
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == *name)
    }

    /// The manifest as canonical JSON: keys sorted, no white space. Reading it gives the same manifest.
    #[must_use]
    pub fn to_canonical_json(&self) -> Vec<u8> {
        self.source.to_string().into_bytes()
    }

    fn from_value(source: Json) -> Result<Self, ManifestError> {
        let mut root = Table::new("", &source)?;
        if root.number("manifest", 1, 1)?.is_none() {
            return Err(root.error("manifest", "is missing; write `manifest = 1` in the first line"));
        }
        for reserved in ["permissions", "hooks", "routes"] {
            root.reserved(reserved)?;
        }

        let Some(plugin) = root.take("plugin") else {
            return Err(root.error("plugin", "is missing; a manifest begins with [plugin] name and version"));
        };
        let mut plugin = Table::new("plugin", plugin)?;
        let name = PluginName::parse(plugin.required_string("name")?)
            .map_err(|error| plugin.error("name", error.to_string()))?;
        let version = semver::Version::parse(plugin.required_string("version")?)
            .map_err(|error| plugin.error("version", format!("must be a version such as 1.2.0: {error}")))?;
        match plugin.required_string("contract")? {
            "0" => {}
            other => {
                return Err(plugin.error(
                    "contract",
                    format!(
                        "{other:?} is not served by erp-plugin {}; it serves \"0\"",
                        env!("CARGO_PKG_VERSION")
                    ),
                ));
            }
        }
        let title = plugin.labels("title")?;
        let description = plugin.string("description")?.map(str::to_owned);
        let publisher = plugin.string("publisher")?.map(str::to_owned);
        let license = plugin.string("license")?.map(str::to_owned);
        let max_size = plugin.number("max-size", 1, MAX_MAX_SIZE)?.unwrap_or(DEFAULT_MAX_SIZE);
        plugin.finish()?;

        let capabilities = match root.take("capabilities") {
            Some(value) => capabilities(Table::new("capabilities", value)?, &name)?,
            None => Capabilities::default(),
        };
        let subscriptions = root
            .list("subscriptions", MAX_ENTRIES)?
            .into_iter()
            .map(subscriptions::read)
            .collect::<Result<_, _>>()?;
        let jobs = jobs::read(&mut root)?;
        let entities = entities::read(&mut root, &name)?;
        let config = root
            .entries("config", MAX_ENTRIES)?
            .into_iter()
            .map(|(key, table)| Ok((key.to_owned(), config_key(table)?)))
            .collect::<Result<_, ManifestError>>()?;
        let limits = match root.take("limits") {
            Some(value) => limits(Table::new("limits", value)?)?,
            None => Vec::new(),
        };
        root.finish()?;
        Ok(Self {
            name,
            version,
            title,
            description,
            publisher,
            license,
            max_size,
            capabilities,
            subscriptions,
            jobs,
            entities,
            config,
            limits,
            source,
        })
    }
}

fn capabilities(mut table: Table<'_>, own: &PluginName) -> Result<Capabilities, ManifestError> {
    for reserved in ["http", "files"] {
        table.reserved(reserved)?;
    }
    let mut entities = Vec::new();
    for text in table.strings("entities", MAX_ENTRIES)? {
        let wrong = |why: &str| {
            table.error("entities", format!("has {text:?}: {why}; write \"inventory.item:read\" or …:write"))
        };
        let (name, access) = text.split_once(':').ok_or_else(|| wrong("no access is named"))?;
        let name = EntityRef::parse(name).map_err(|error| wrong(&error.to_string()))?;
        let access = match access {
            "read" => EntityAccess::Read,
            "write" => EntityAccess::Write,
            _ => return Err(wrong("the access is neither read nor write")),
        };
        if name.plugin == *own {
            return Err(wrong("a plugin need not ask for its own entities"));
        }
        entities.push((name, access));
    }
    let mut events_publish = Vec::new();
    for text in table.strings("events-publish", MAX_ENTRIES)? {
        let pattern = EventPattern::parse(text)
            .map_err(|rule| table.error("events-publish", format!("has {text:?}: it must be {rule}")))?;
        events_publish.push(pattern);
    }
    let system_config: Vec<String> =
        table.strings("system-config", MAX_ENTRIES)?.into_iter().map(str::to_owned).collect();
    if let Some(key) = system_config.iter().find(|key| !key.starts_with("system.")) {
        return Err(table.error("system-config", format!("has {key:?}: platform keys begin with `system.`")));
    }
    let dynamic_entities = table.boolean("dynamic-entities")?;
    table.finish()?;
    Ok(Capabilities { entities, events_publish, dynamic_entities, system_config })
}

fn config_key(mut table: Table<'_>) -> Result<ConfigKey, ManifestError> {
    let value_type = match table.required_string("type")? {
        "string" => ConfigType::String,
        "integer" => ConfigType::Integer,
        "boolean" => ConfigType::Boolean,
        "json" => ConfigType::Json,
        other => {
            return Err(
                table.error("type", format!("is {other:?}: it must be string, integer, boolean or json"))
            );
        }
    };
    let default = table.take("default").cloned();
    if let Some(value) = default.as_ref().filter(|value| !value_type.accepts(value)) {
        return Err(table.error("default", format!("must be a {}, not {value}", value_type.as_str())));
    }
    let secret = table.boolean("secret")?;
    if secret && default.is_some() {
        return Err(table.error("default", "stands in every copy of the component; a secret can have none"));
    }
    table.finish()?;
    Ok(ConfigKey { value_type, default, secret })
}

fn limits(mut table: Table<'_>) -> Result<Vec<(LimitKind, u64)>, ManifestError> {
    let mut limits = Vec::new();
    for row in crate::limits::TABLE {
        if let Some(value) = table.number(row.name, 1, i64::MAX.unsigned_abs())? {
            limits.push((row.kind, value));
        }
    }
    table.finish()?;
    Ok(limits)
}

fn toml_to_json(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => Json::from(number),
        toml::Value::Float(number) => Json::from(number),
        toml::Value::Boolean(truth) => Json::from(truth),
        toml::Value::Datetime(time) => Json::String(time.to_string()),
        toml::Value::Array(list) => list.into_iter().map(toml_to_json).collect(),
        toml::Value::Table(table) => {
            Json::Object(table.into_iter().map(|(key, value)| (key, toml_to_json(value))).collect())
        }
    }
}
