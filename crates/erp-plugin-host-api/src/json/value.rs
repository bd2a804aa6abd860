//! One field's value out of JSON, checked against everything its field asks for.

use std::fmt;

use erp_plugin_model::parse;
use erp_plugin_model::schema::{Field, FieldType};
use erp_plugin_model::{HostError, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::verify;

/// Reads a field's value. The reason of a refusal goes to `refusal`, because a serde error can only carry text with
/// a position in it.
pub(crate) struct FieldSeed<'a> {
    pub(crate) field: &'a Field,
    pub(crate) refusal: &'a mut Option<HostError>,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.field.field_type == FieldType::Json {
            let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
            if raw.get() == "null" {
                return Ok(Value::Null);
            }
            let name = self.field.name.as_str();
            return match verify::json(&format!("field \"{name}\""), raw.get().as_bytes()) {
                Ok(text) => Ok(Value::Json(text.to_owned())),
                Err(error) => Err(refuse(self.refusal, error)),
            };
        }
        deserializer.deserialize_any(FieldVisitor(self))
    }
}

fn refuse<E: de::Error>(refusal: &mut Option<HostError>, error: HostError) -> E {
    *refusal = Some(error);
    E::custom("refused")
}

struct FieldVisitor<'a>(FieldSeed<'a>);

impl FieldVisitor<'_> {
    fn finish<E: de::Error>(self, value: Result<Value, String>) -> Result<Value, E> {
        let FieldSeed { field, refusal } = self.0;
        value.and_then(|value| field.check(&value).map(|()| value)).map_err(|reason| {
            refuse(refusal, HostError::invalid(format!("field \"{}\" {reason}", field.name)))
        })
    }

    fn wrong<E: de::Error>(self, found: &str) -> Result<Value, E> {
        let wanted = wanted(&self.0.field.field_type);
        self.finish(Err(format!("must be {wanted}, not {found}")))
    }
}

impl<'de> Visitor<'de> for FieldVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.field.field_type.as_str())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        match self.0.field.field_type {
            FieldType::Boolean => Ok(Value::Boolean(truth)),
            _ => self.wrong(if truth { "true" } else { "false" }),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        match self.0.field.field_type {
            FieldType::Integer => self.finish(Ok(Value::Integer(number))),
            FieldType::Decimal { precision, scale } => {
                self.finish(parse::decimal(&number.to_string(), precision, scale).map(Value::Decimal))
            }
            _ => self.wrong(&number.to_string()),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.wrong(&number.to_string()),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        match self.0.field.field_type {
            FieldType::Decimal { precision, scale } => {
                self.finish(parse::decimal_from_float(number, precision, scale).map(Value::Decimal))
            }
            _ => self.wrong(&format!("{number:?}")),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        let value = parse::text(&self.0.field.field_type, text);
        self.finish(value)
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        self.visit_str(&text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        self.wrong("an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        self.wrong("an object")
    }
}

fn wanted(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Integer => "a 64-bit integer".to_owned(),
        FieldType::Decimal { scale, .. } => format!("a decimal with at most {scale} digits after the point"),
        FieldType::Boolean => "true or false".to_owned(),
        FieldType::Enum { options } => format!("one of {}", options.join(", ")),
        FieldType::Reference { target, .. } => format!("the id of a record of {target}"),
        other => format!("a {}", other.as_str()),
    }
}
