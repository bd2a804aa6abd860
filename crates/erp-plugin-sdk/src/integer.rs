//! Integers of any size: `#[serde(with = "erp_plugin_sdk::integer")]` on an `i64`.
//!
//! JSON readers in other languages keep integers exactly only up to ±2^53, so the host writes larger ones as
//! strings and accepts both. A plain `i64` is right for everything that stays below, such as quantities.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// The largest magnitude that every JSON reader keeps exactly.
const EXACT: u64 = 1 << 53;

/// Writes a number where every reader keeps it exactly, a string beyond.
pub fn serialize<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.unsigned_abs() <= EXACT {
        serializer.serialize_i64(*value)
    } else {
        serializer.collect_str(value)
    }
}

/// Reads a number or a string.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(IntegerVisitor)
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer between -2^63 and 2^63-1, as a number or a string")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<i64, E> {
        value.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(value), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Account {
        #[serde(with = "super")]
        number: i64,
    }

    fn round_trip(number: i64, json: &str) {
        assert_eq!(serde_json::to_string(&Account { number }).unwrap(), json);
        assert_eq!(serde_json::from_str::<Account>(json).unwrap(), Account { number });
    }

    #[test]
    fn numbers_up_to_2_to_the_53_and_strings_beyond() {
        round_trip(0, r#"{"number":0}"#);
        round_trip(9_007_199_254_740_992, r#"{"number":9007199254740992}"#);
        round_trip(9_007_199_254_740_993, r#"{"number":"9007199254740993"}"#);
        round_trip(i64::MIN, r#"{"number":"-9223372036854775808"}"#);
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        for json in [r#"{"number":1.5}"#, r#"{"number":"1.5"}"#, r#"{"number":9223372036854775808}"#] {
            assert!(serde_json::from_str::<Account>(json).is_err(), "{json}");
        }
    }
}
