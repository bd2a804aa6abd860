//! Several records in one call: an array that comes in, an item for each that goes out.

use std::fmt;

use erp_plugin_model::HostError;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{syntax_error, write};

/// The most records of one call.
pub(crate) const MAX_BATCH: usize = 1_000;
/// The longest message of an item, in bytes: so an answer of nothing but refusals has room in what a call may bring.
const LONGEST_MESSAGE: usize = 512;
/// What stands around an item in the answer, in bytes.
pub(crate) const AROUND: usize = "{\"ok\":},".len();

/// What became of one of them: its JSON, or why not.
pub(crate) type Item = Result<Vec<u8>, HostError>;

/// The members of an array, each as its JSON.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<&str>, HostError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let members = deserializer
        .deserialize_any(Members)
        .and_then(|members| deserializer.end().map(|()| members))
        .map_err(|error| syntax_error("data", &error))?;
    match members.len() {
        0 => Err(HostError::invalid(format!("data is an empty array; give 1 to {MAX_BATCH} records"))),
        1..=MAX_BATCH => Ok(members),
        len => Err(HostError::invalid(format!(
            "data has {len} records; give 1 to {MAX_BATCH} in one call, and the rest in others"
        ))),
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = seq.next_element::<&RawValue>()? {
            members.push(member.get());
        }
        Ok(members)
    }
}

/// Says what became of one.
pub(crate) fn put(items: &mut [Item], index: usize, item: Item) {
    if let Some(place) = items.get_mut(index) {
        *place = item;
    }
}

/// The answer: `{"items":[{"ok":…},{"error":{"index":…,"code":"…","message":"…"}}]}`.
pub(crate) fn write(items: &[Item]) -> Vec<u8> {
    let bytes: usize = items.iter().map(|item| item.as_ref().map_or(128, Vec::len) + AROUND).sum();
    let mut out = Vec::with_capacity(bytes + AROUND);
    out.extend_from_slice(b"{\"items\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match item {
            Ok(record) => {
                out.extend_from_slice(b"{\"ok\":");
                out.extend_from_slice(record);
            }
            Err(HostError { code, message, .. }) => {
                out.extend_from_slice(b"{\"error\":{\"index\":");
                out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
                write::key("code", &mut out);
                write::string(code.as_str(), &mut out);
                write::key("message", &mut out);
                write::string(
                    message.get(..message.floor_char_boundary(LONGEST_MESSAGE)).unwrap_or_default(),
                    &mut out,
                );
                out.push(b'}');
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}
