//! A dynamic entity's record out of JSON: its top-level keys, each value checked and kept as text.

use std::collections::HashSet;

use erp_plugin_model::parse::quote;
use erp_plugin_model::schema::{MAX_DOCUMENT_BYTES, MAX_DOCUMENT_KEYS};
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

impl Input<'_> {
    /// The document that these fields make: absent values are left out.
    pub(crate) fn document(&self) -> Result<String, HostError> {
        let mut out = Vec::from(b"{");
        for (key, value) in &self.fields {
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
        if out.len() > MAX_DOCUMENT_BYTES {
            return Err(too_long(&format!("data has {} bytes of JSON", out.len())));
        }
        Ok(String::from_utf8(out).unwrap_or_default())
    }
}

/// The error for a document that is too long; `what` says how it would come to be.
pub(crate) fn too_long(what: &str) -> HostError {
    HostError::invalid(format!(
        "{what}; a record of a dynamic entity has at most {} KiB, declare the entity in plugin.toml to have more",
        MAX_DOCUMENT_BYTES >> 10
    ))
}

/// Reads a record of any shape.
pub(crate) fn read<'a>(tenant: &TenantId, data: &'a [u8]) -> Result<Input<'a>, HostError> {
    verify::json("data", data)?;
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    let pairs = deserializer.deserialize_any(Pairs).map_err(|error| syntax_error("data", &error))?;
    if pairs.len() > MAX_DOCUMENT_KEYS {
        return Err(HostError::invalid(format!(
            "data has {} fields; a record of a dynamic entity takes at most {MAX_DOCUMENT_KEYS} at once, write fewer or \
             declare the entity in plugin.toml",
            pairs.len()
        )));
    }
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

/// The keys of an object and the JSON of their values, in their order.
pub(crate) fn pairs(object: &str) -> serde_json::Result<Vec<(String, &str)>> {
    serde_json::Deserializer::from_str(object).deserialize_map(Pairs)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn document(data: &str) -> Result<String, String> {
        let tenant = TenantId::parse("northwind").unwrap();
        read(&tenant, data.as_bytes()).and_then(|input| input.document()).map_err(|error| error.message)
    }

    #[test]
    fn a_record_has_so_many_keys_and_bytes_and_no_more() {
        let keys = |count: usize| {
            let keys: Vec<_> = (0..count).map(|n| format!("\"k{n}\":null")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert_eq!(document(&keys(MAX_DOCUMENT_KEYS)).unwrap(), "{}");
        assert_eq!(
            document(&keys(MAX_DOCUMENT_KEYS + 1)).unwrap_err(),
            "data has 501 fields; a record of a dynamic entity takes at most 500 at once, write fewer or declare the \
             entity in plugin.toml"
        );
        let bytes = |count: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(count - 8));
        assert_eq!(document(&bytes(MAX_DOCUMENT_BYTES)).unwrap().len(), MAX_DOCUMENT_BYTES);
        assert_eq!(
            document(&bytes(MAX_DOCUMENT_BYTES + 1)).unwrap_err(),
            "data has 65537 bytes of JSON; a record of a dynamic entity has at most 64 KiB, declare the entity in \
             plugin.toml to have more"
        );
    }
}
