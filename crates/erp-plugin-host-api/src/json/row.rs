//! A declared entity's record out of JSON.

use std::borrow::Cow;
use std::fmt;

use erp_plugin_model::schema::SYSTEM_FIELDS;
use erp_plugin_model::{EntitySchema, HostError, TenantId, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::syntax_error;
use super::value::FieldSeed;
use crate::fields::Seen;

/// The top-level keys of a record as it came in.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// One entry for each field of the schema; `None` where the key was not there.
    pub(crate) values: Vec<Option<Value>>,
    /// Fields that the host sets, with their JSON: system fields other than the caller's own `tenant_id`, and numbers.
    pub(crate) system: Vec<(&'a str, &'a str)>,
}

/// Reads a record. Refuses unknown fields, keys that stand twice, another tenant's `tenant_id`, and every value that
/// its field does not allow; and, before its value is looked at, a field that the caller may not write.
pub(crate) fn read<'a>(seen: Seen<'a>, tenant: &TenantId, data: &'a [u8]) -> Result<Input<'a>, HostError> {
    let mut refusal = None;
    let input = Input { values: vec![None; seen.schema.fields().len()], system: Vec::new() };
    let seed = RowSeed { seen, tenant, input, refusal: &mut refusal };
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    seed.deserialize(&mut deserializer)
        .and_then(|input| deserializer.end().map(|()| input))
        .map_err(|error| refusal.unwrap_or_else(|| syntax_error("data", &error)))
}

/// A system field's name, if it is one.
pub(crate) fn system_field(key: &str) -> Option<&'static str> {
    SYSTEM_FIELDS.into_iter().find(|name| *name == key)
}

/// Checks a `tenant_id` that the caller wrote into the data, as JSON.
pub(crate) fn check_tenant(tenant: &TenantId, json: &str) -> Result<(), HostError> {
    match serde_json::from_str::<Cow<'_, str>>(json) {
        Ok(given) if given == tenant.as_str() => Ok(()),
        _ => {
            Err(HostError::denied("field \"tenant_id\" names another tenant; the host sets it, leave it out"))
        }
    }
}

struct RowSeed<'a, 'i> {
    seen: Seen<'i>,
    tenant: &'a TenantId,
    input: Input<'i>,
    refusal: &'a mut Option<HostError>,
}

impl<'de: 'i, 'i> DeserializeSeed<'de> for RowSeed<'_, 'i> {
    type Value = Input<'i>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Input<'i>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'i, 'i> Visitor<'de> for RowSeed<'_, 'i> {
    type Value = Input<'i>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object, one key a field")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input<'i>, A::Error> {
        let Self { seen, tenant, mut input, refusal } = self;
        let schema = seen.schema;
        let mut tenant_given = false;
        while let Some(key) = map.next_key_seed(KeySeed(schema))? {
            let outcome = match key {
                Key::Field(position) => {
                    let (Some(field), Some(slot)) =
                        (schema.fields().get(position), input.values.get_mut(position))
                    else {
                        continue;
                    };
                    if let Err(error) = seen.check_writable(position, field) {
                        *refusal = Some(error);
                        return Err(de::Error::custom("refused"));
                    }
                    if field.series().is_some() {
                        let json = map.next_value::<&RawValue>()?.get();
                        if input.system.iter().any(|(other, _)| *other == field.name.as_str()) {
                            *refusal = Some(twice(field.name.as_str()));
                            return Err(de::Error::custom("refused"));
                        }
                        input.system.push((field.name.as_str(), json));
                        continue;
                    }
                    let value = map.next_value_seed(FieldSeed { field, refusal: &mut *refusal })?;
                    match slot.replace(value) {
                        None => Ok(()),
                        Some(_) => Err(twice(field.name.as_str())),
                    }
                }
                Key::System(name) => {
                    let json = map.next_value::<&RawValue>()?.get();
                    let is_tenant = name == "tenant_id";
                    if (is_tenant && tenant_given) || input.system.iter().any(|(other, _)| *other == name) {
                        Err(twice(name))
                    } else if is_tenant {
                        tenant_given = true;
                        check_tenant(tenant, json)
                    } else {
                        input.system.push((name, json));
                        Ok(())
                    }
                }
                Key::Unknown(name) => Err(unknown_field(schema, &name, &seen.names_in_data())),
            };
            if let Err(error) = outcome {
                *refusal = Some(error);
                return Err(de::Error::custom("refused"));
            }
        }
        Ok(input)
    }
}

fn twice(name: &str) -> HostError {
    HostError::invalid(format!("field \"{name}\" stands twice"))
}

/// The error for a field that the entity does not have, or not for its caller, who knows these.
pub(crate) fn unknown_field(schema: &EntitySchema, name: &str, known: &[&str]) -> HostError {
    HostError::invalid(format!(
        "unknown field {} of {}; its fields: {}",
        erp_plugin_model::parse::quote(name),
        schema.name,
        known.join(", "),
    ))
}

enum Key {
    Field(usize),
    System(&'static str),
    Unknown(String),
}

struct KeySeed<'a>(&'a EntitySchema);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match self.0.position(key) {
            Some(position) => Key::Field(position),
            None => system_field(key).map_or_else(|| Key::Unknown(key.to_owned()), Key::System),
        })
    }
}
