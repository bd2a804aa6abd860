//! The fields that a write changed, as JSON: `{"sku":{"to":"A"}}` of an insert, `{"on_hand":{"from":5,"to":3}}` of an
//! update. Values stand as the wire has them; absent ones are null, or left out where nothing can have been before.
//!
//! Written straight from the values, and read key by key: a reader may leave out fields that it must not show.

use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{EntitySchema, Value};
use erp_plugin_storage::{Change, ErrorKind, ReplacedView, StorageError, StorageResult};

use super::{document, write};

/// The fields that an insert set.
pub(crate) fn inserted(schema: &EntitySchema, values: &[Value]) -> String {
    let mut out = Vec::from(b"{");
    match values {
        [Value::Json(document)] if schema.is_dynamic() => {
            // The host made the document, so it is one.
            for (key, json) in document::pairs(document).unwrap_or_default() {
                begin(&key, &mut out);
                out.extend_from_slice(b"{\"to\":");
                out.extend_from_slice(json.as_bytes());
                out.push(b'}');
            }
        }
        values => {
            for (field, value) in schema.fields().iter().zip(values).filter(|(_, value)| !value.is_null()) {
                begin(field.name.as_str(), &mut out);
                out.extend_from_slice(b"{\"to\":");
                write::value(&field.field_type, value.as_ref(), &mut out);
                out.push(b'}');
            }
        }
    }
    finish(out)
}

/// The fields that an update gives another value than they had.
pub(crate) fn updated(
    schema: &EntitySchema,
    change: Change<'_>,
    before: &dyn ReplacedView,
) -> StorageResult<String> {
    let bug = || StorageError::new(ErrorKind::Bug, "note changes");
    let mut out = Vec::from(b"{");
    match change {
        Change::Fields(fields) => {
            for (position, value) in fields {
                let (was, is) = (before.replaced_field(*position)?, value.as_ref());
                if was != is {
                    let field = schema.fields().get(*position).ok_or_else(bug)?;
                    begin(field.name.as_str(), &mut out);
                    out.extend_from_slice(b"{\"from\":");
                    write::value(&field.field_type, was, &mut out);
                    out.extend_from_slice(b",\"to\":");
                    write::value(&field.field_type, is, &mut out);
                    out.push(b'}');
                }
            }
        }
        Change::Document(fields) => {
            let ValueRef::Json(document) = before.replaced_field(0)? else { return Err(bug()) };
            let pairs = document::pairs(document).map_err(|_| bug())?;
            for (key, value) in fields {
                let was = pairs.iter().find(|(own, _)| own == key).map_or("null", |(_, json)| json);
                let is = if let Value::Json(json) = value { json } else { "null" };
                if !is_same(was, is) {
                    begin(key, &mut out);
                    out.extend_from_slice(b"{\"from\":");
                    out.extend_from_slice(was.as_bytes());
                    out.extend_from_slice(b",\"to\":");
                    out.extend_from_slice(is.as_bytes());
                    out.push(b'}');
                }
            }
        }
    }
    Ok(finish(out))
}

/// Whether a field's changes may be shown, by the name that it had.
pub(crate) type Shows<'a> = &'a (dyn Fn(&str) -> bool + Sync);

/// Appends what was noted: all of it, or of the fields that may be shown.
pub(crate) fn write(noted: &str, shows: Option<Shows<'_>>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let Some(shows) = shows else {
        out.extend_from_slice(noted.as_bytes());
        return Ok(());
    };
    let mut shown = Vec::from(b"{");
    for (key, json) in document::pairs(noted)? {
        if shows(&key) {
            begin(&key, &mut shown);
            shown.extend_from_slice(json.as_bytes());
        }
    }
    shown.push(b'}');
    out.extend_from_slice(&shown);
    Ok(())
}

/// Appends the key of a field to an object that is open.
fn begin(key: &str, out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
    write::string(key, out);
    out.push(b':');
}

fn finish(mut out: Vec<u8>) -> String {
    out.push(b'}');
    // Keys and values were texts.
    String::from_utf8(out).unwrap_or_default()
}

/// Whether two pieces of JSON are the same but for space between their parts, which not every backend keeps.
fn is_same(a: &str, b: &str) -> bool {
    a == b || parts(a).eq(parts(b))
}

/// The bytes of JSON without the space between its parts.
fn parts(json: &str) -> impl Iterator<Item = u8> {
    let (mut in_string, mut escaped) = (false, false);
    json.bytes().filter(move |byte| {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            return true;
        }
        in_string = *byte == b'"';
        !byte.is_ascii_whitespace()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_however_it_is_spaced_and_not_when_a_text_is() {
        for (a, b) in [("[1, 2]", "[1,2]"), (r#"{"a" : "x \" y" }"#, r#"{"a":"x \" y"}"#), ("1", "1")] {
            assert!(is_same(a, b), "{a} {b}");
        }
        for (a, b) in [(r#""a b""#, r#""ab""#), ("1", "1.0"), (r#"["\\", 1]"#, r#"["\\ ",1]"#)] {
            assert!(!is_same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn hidden_fields_are_left_out_and_nothing_else() {
        let noted = r#"{"cost":{"from":"1.00","to":"2.00"},"a\"b":{"to":[ 1 ]},"sku":{"to":"A"}}"#;
        let shown = |hidden: &[&str]| {
            let mut out = Vec::new();
            let shows = |key: &str| !hidden.contains(&key);
            write(noted, (!hidden.is_empty()).then_some(&shows as Shows<'_>), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(&[]), noted);
        assert_eq!(shown(&["cost", "to"]), r#"{"a\"b":{"to":[ 1 ]},"sku":{"to":"A"}}"#);
        assert_eq!(shown(&["sku", "a\"b", "cost"]), "{}");
    }
}
