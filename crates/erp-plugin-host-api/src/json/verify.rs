//! Checks JSON whose inside is not ours to interpret: an event's payload, a `json` field, a filter before it is
//! read. Depth is capped before any recursion, because host functions run on the guest's small stack.

use std::collections::HashSet;
use std::fmt;

use erp_plugin_model::HostError;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::syntax_error;

/// The deepest nesting that any JSON may have.
pub(crate) const MAX_DEPTH: usize = 32;

/// Whether `bytes` are one JSON value: UTF-8, no key twice in one object, at most [`MAX_DEPTH`] deep, numbers within
/// range, no NUL character. Returns it as text.
pub(crate) fn json<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, HostError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        HostError::invalid(format!("{what} is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    depth(what, bytes)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Checked
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| syntax_error(what, &error))?;
    Ok(text)
}

/// Counts brackets outside strings, without recursion.
fn depth(what: &str, bytes: &[u8]) -> Result<(), HostError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(HostError::invalid(format!(
                        "{what} is nested more than {MAX_DEPTH} levels deep; flatten it"
                    )));
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Reads any value, keeps nothing, and refuses what no backend could keep.
struct Checked;

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        i64::try_from(number)
            .map(|_| ())
            .map_err(|_| E::custom("an integer has more than 64 bits; write it as a string"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(E::custom("a string has a NUL character, which cannot be kept"))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            Self.visit_str(&key)?;
            map.next_value_seed(Self)?;
            if let Some(key) = keys.replace(key) {
                return Err(de::Error::custom(format!(
                    "the key {} stands twice in one object",
                    erp_plugin_model::parse::quote(&key)
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        json("payload", bytes).unwrap_err().message
    }

    #[test]
    fn what_no_backend_could_keep_is_refused_with_its_reason() {
        assert!(json("payload", r#"{"a":[1,{"b":null}],"c":"[[[["}"#.as_bytes()).is_ok());
        assert!(refused(b"").starts_with("payload is not valid JSON"));
        assert!(refused(b"{} {}").contains("trailing characters"));
        assert!(refused(b"NaN").contains("not valid JSON"));
        assert!(refused(b"1e999").contains("out of range"));
        assert!(refused(b"{\"a\":18446744073709551615}").contains("more than 64 bits"));
        assert!(refused(b"{\"a\":1,\"b\":{\"a\":1},\"a\":2}").contains("\"a\" stands twice"));
        assert!(refused(br#""a\u0000b""#).contains("NUL"));
        assert!(refused(b"\"\xff\"").contains("not UTF-8 from byte 1 on"));
    }

    #[test]
    fn depth_is_capped_before_any_recursion() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json("payload", nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refused(nested(MAX_DEPTH + 1).as_bytes()).contains("more than 32 levels"));
        assert!(refused(nested(10_000).as_bytes()).contains("more than 32 levels"));
        assert!(refused("[".repeat(1_000_000).as_bytes()).contains("more than 32 levels"));
    }
}
