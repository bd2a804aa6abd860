//! The document of a dynamic entity's record.
//!
//! It is kept as it was written, so a change is made here and not in Postgres, whose binary JSON would lose the
//! spelling of numbers and the order of keys.

use erp_plugin_model::Value;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// The document after these changes, one level deep: a value replaces what was there, null removes the key.
pub(crate) fn changed(document: &str, changes: &[(String, Value)]) -> Result<String> {
    let mut pairs = serde_json::Deserializer::from_str(document)
        .deserialize_map(Pairs)
        .map_err(|_| Error::Unreadable("document"))?;
    for (key, value) in changes {
        let present = pairs.iter().position(|(own, _)| own == key);
        match (value, present.and_then(|at| pairs.get_mut(at))) {
            (Value::Null, _) => {
                if let Some(at) = present {
                    pairs.remove(at);
                }
            }
            (Value::Json(json), Some((_, own))) => *own = json,
            (Value::Json(json), None) => pairs.push((key.clone(), json)),
            _ => return Err(Error::Misuse("a document's value that is not JSON")),
        }
    }
    let mut text = String::with_capacity(document.len());
    text.push('{');
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(key).map_err(|_| Error::Unreadable("document"))?);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    Ok(text)
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
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

    #[test]
    fn what_is_not_changed_keeps_its_spelling_and_its_place() {
        let json = |text: &str| Value::Json(text.to_owned());
        let document = r#"{"a":1.50,"b\"":{"x":[ 1 ]},"c":12345678901234567890}"#;
        let changes =
            [("b\"".to_owned(), json("2")), ("a".to_owned(), Value::Null), ("d".to_owned(), json("\"é\""))];
        assert_eq!(changed(document, &changes).unwrap(), r#"{"b\"":2,"c":12345678901234567890,"d":"é"}"#);
        assert_eq!(changed(document, &[]).unwrap(), document);
        assert!(changed("[]", &[]).is_err() && changed("{", &[]).is_err());
    }
}
