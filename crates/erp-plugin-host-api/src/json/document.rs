//! A dynamic entity's record out of JSON: its top-level keys, each value checked and kept as text.

use std::collections::HashSet;

use erp_plugin_model::parse::quote;
use erp_plugin_model::{HostError, TenantId, Value};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::row::{check_tenant, system_field};
use super::{syntax_error, verify};

/// The longest key of a document, in bytes.
const MAX_KEY: usize = 128;

/// The top-level keys of a record as it came in.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    /// Keys and values; JSON null is [`Value::Null`].
    pub(crate) fields: Vec<(String, Value)>,
    /// System fields other than the caller's own `tenant_id`, with their JSON.
    pub(crate) system: Vec<(&'static str, &'a str)>,
}

/// Reads a record of any shape.
pub(crate) fn read<'a>(tenant: &TenantId, data: &'a [u8]) -> Result<Input<'a>, HostError> {
    verify::json("data", data)?;
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    let pairs = deserializer.deserialize_any(Pairs).map_err(|error| syntax_error("data", &error))?;
    let mut input = Input { fields: Vec::with_capacity(pairs.len()), system: Vec::new() };
    let mut seen = HashSet::new();
    for (key, json) in pairs {
        match system_field(&key) {
            Some("tenant_id") => check_tenant(tenant, json)?,
            Some(name) => input.system.push((name, json)),
            None if key.is_empty() || key.len() > MAX_KEY => {
                return Err(HostError::invalid(format!(
                    "field name {} must have 1 to {MAX_KEY} bytes",
                    quote(&key)
                )));
            }
            None if !seen.insert(key.clone()) => {
                return Err(HostError::invalid(format!("field {} stands twice", quote(&key))));
            }
            None if json == "null" => input.fields.push((key, Value::Null)),
            None => input.fields.push((key, Value::Json(json.to_owned()))),
        }
    }
    Ok(input)
}

/// Writes the document that is kept: absent values are left out.
pub(crate) fn write(fields: &[(String, Value)]) -> String {
    let mut out = Vec::from(b"{");
    for (key, value) in fields {
        if let Value::Json(json) = value {
            if out.len() > 1 {
                out.push(b',');
            }
            super::write::string(key, &mut out);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            pairs.push((key, map.next_value::<&RawValue>()?.get()));
        }
        Ok(pairs)
    }
}
