//! The key by which events stay in order.

use serde_json::Value as Json;

/// The longest key, in bytes. A longer one is cut, so that events with different ones may share a stream.
pub const MAX_KEY: usize = 200;

/// The key that a payload has in one of its own fields: a text, a number or a truth value. `None` where it has no such
/// field, or something else in it.
#[must_use]
pub fn key_in(payload: &str, field: &str) -> Option<String> {
    let Ok(Json::Object(mut fields)) = serde_json::from_str(payload) else { return None };
    let mut key = match fields.remove(field)? {
        Json::String(text) => text,
        value @ (Json::Number(_) | Json::Bool(_)) => value.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => return None,
    };
    key.truncate(key.floor_char_boundary(MAX_KEY));
    // Databases keep no such character in a text.
    Some(key.replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_field_of_the_payload() {
        let payload = r#"{"customer":"c1","no":7,"paid":true,"lines":[],"none":null,"odd":"a\u0000b"}"#;
        for (field, key) in [
            ("customer", Some("c1")),
            ("no", Some("7")),
            ("paid", Some("true")),
            ("lines", None),
            ("none", None),
            ("absent", None),
            ("odd", Some("ab")),
        ] {
            assert_eq!(key_in(payload, field).as_deref(), key, "{field}");
        }
        assert_eq!(key_in("[1]", "customer"), None);
        assert_eq!(key_in("not JSON", "customer"), None);
    }

    #[test]
    fn a_long_key_is_cut_between_characters() {
        let payload = format!("{{\"k\":\"{}\"}}", "名".repeat(100));
        assert_eq!(key_in(&payload, "k").unwrap(), "名".repeat(66));
    }
}
