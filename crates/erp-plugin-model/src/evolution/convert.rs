//! A value in another type.

use serde_json::{Map, Value as Json};

use super::{Action, Class, Step};
use crate::fold;
use crate::parse::{self, quote, write_decimal};
use crate::schema::{EntitySchema, Field, FieldType};
use crate::time::{write_date, write_rfc3339};
use crate::value::Value;

/// What the change of a field's type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Values are stored alike in both.
    Alike(Class),
    /// Values are written anew.
    Anew(Class),
    /// No value of the one means anything in the other.
    None,
}

impl Conversion {
    /// What it takes to change a field like `from` into one like `to`.
    #[must_use]
    pub fn between(from: &Field, to: &Field) -> Self {
        use Class::{Checked, Destructive, Safe};
        use FieldType::{
            Boolean, Date, DateTime, Decimal, Enum, File, Integer, Json, NumberSeries, Reference, String,
            Text, Uuid,
        };
        match (&from.field_type, &to.field_type) {
            (old, new) if old == new => Self::Alike(Safe),
            (String, Text) | (Enum { .. } | File | NumberSeries { .. }, Text | String) => Self::Alike(Safe),
            // The numbers that there are stay as they are, whatever they look like.
            (String | NumberSeries { .. }, NumberSeries { .. }) => Self::Alike(Safe),
            (Enum { options: old }, Enum { options: new }) => {
                Self::Alike(if old.iter().all(|option| new.contains(option)) { Safe } else { Checked })
            }
            (Text, String) | (String | Text, Enum { .. }) => Self::Alike(Checked),
            (Decimal { precision: old, scale }, Decimal { precision: new, scale: same }) if scale == same => {
                Self::Alike(if new >= old { Safe } else { Checked })
            }
            (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
                let whole_fits = i16::from(*precision) - i16::from(*scale) >= i16::from(*p) - i16::from(*s);
                Self::Anew(match (scale > s, whole_fits) {
                    (true, true) => Safe,
                    (true, false) => Checked,
                    (false, _) => Destructive,
                })
            }
            (Integer, Decimal { .. }) => Self::Anew(Checked),
            (Date, DateTime) => Self::Anew(Safe),
            (Reference { .. }, Uuid) => Self::Alike(Safe),
            (Uuid, Reference { .. }) => Self::Alike(Checked),
            (Reference { target: old, .. }, Reference { target: new, .. }) => {
                Self::Alike(if old == new { Safe } else { Checked })
            }
            (
                Integer | Decimal { .. } | Boolean | Date | DateTime | Uuid | Reference { .. },
                Text | String,
            ) => Self::Anew(Safe),
            (Json, Text) | (_, Json) => Self::Anew(Safe),
            (Decimal { .. }, Integer) | (DateTime, Date) => Self::Anew(Destructive),
            (
                String | Text | Enum { .. },
                Integer | Decimal { .. } | Boolean | Date | DateTime | Uuid | Reference { .. },
            ) => Self::Anew(Destructive),
            _ => Self::None,
        }
    }
}

/// A value of a field like `from` as one of a field like `to`, or why it is none. The reason is the rest of a sentence
/// that begins with the field's name.
pub fn convert(from: &Field, to: &Field, value: &Value) -> Result<Value, String> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let converted = match (value, &to.field_type) {
        (Value::Date(date), FieldType::DateTime) => {
            date.and_hms_opt(0, 0, 0).map(|time| Value::DateTime(time.and_utc())).ok_or("is no time")?
        }
        (Value::DateTime(time), FieldType::Date) => {
            let date = time.date_naive();
            if time.time() != chrono::NaiveTime::MIN {
                return Err(format!("is {}, which is more than a date", text_of(from, value)));
            }
            Value::Date(date)
        }
        (Value::Decimal(_), FieldType::Decimal { .. } | FieldType::Integer) => {
            // The zeros at the end are no digits that could be lost.
            let text = text_of(from, value);
            let plain = if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.')
            } else {
                text.as_str()
            };
            parse::text(&to.field_type, plain)?
        }
        (Value::Text(text), FieldType::Boolean) => match text.as_str() {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            other => return Err(format!("must be true or false, not {}", quote(other))),
        },
        (Value::Json(json), FieldType::Text) => Value::Text(json.clone()),
        (Value::Integer(number), FieldType::Json) => Value::Json(number.to_string()),
        (Value::Boolean(truth), FieldType::Json) => Value::Json(truth.to_string()),
        (_, FieldType::Json) => Value::Json(Json::from(text_of(from, value)).to_string()),
        _ => parse::text(&to.field_type, &text_of(from, value))?,
    };
    to.check(&converted)?;
    Ok(converted)
}

/// A value that stays where it is, as the field would take it now.
pub(super) fn retype(to: &Field, value: &Value) -> Result<(), String> {
    match (value, &to.field_type) {
        (Value::Text(text), FieldType::Enum { options }) if !options.contains(text) => {
            return Err(format!("must be one of {}, not {}", options.join(", "), quote(text)));
        }
        (Value::Decimal(units), FieldType::Decimal { precision, scale })
            if units.unsigned_abs() >= 10_u64.pow(u32::from(*precision)) =>
        {
            let text = text_of(to, value);
            return Err(format!(
                "has more than {} digits before the point: {text}",
                precision.saturating_sub(*scale)
            ));
        }
        _ => {}
    }
    to.check(value)
}

/// What a document has that the declared fields do not take: a key, or a value.
pub(super) fn undeclared(schema: &EntitySchema, document: &Value) -> Option<String> {
    let map = match object(document) {
        Ok(map) => map,
        Err(reason) => return Some(reason),
    };
    let reasons: Vec<String> = map
        .iter()
        .filter_map(|(key, value)| match schema.field(key) {
            None => Some(format!("has \"{key}\", which is no field")),
            Some(field) => taken(field, value).err().map(|reason| format!("\"{key}\" {reason}")),
        })
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn object(document: &Value) -> Result<Map<String, Json>, String> {
    let Value::Json(text) = document else { return Err("has no document".to_owned()) };
    serde_json::from_str(text).map_err(|_| "has a document that is no JSON object".to_owned())
}

fn taken(field: &Field, value: &Json) -> Result<Value, String> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let value = parse::json(&field.field_type, value)?;
    field.check(&value).map(|()| value)
}

/// The values that a step writes into a record: of a declaration every field's value and then the folds, of any other
/// step one.
pub(super) fn moved(step: &Step, old: &Value) -> Vec<Value> {
    let (before, after) = step.fields();
    match (&step.action, before, after) {
        (Action::Convert(_), Some(from), Some(to)) => {
            let value = convert(from, to, old).unwrap_or(Value::Null);
            // What does not fit is lost from sight, not from the record's validity.
            vec![if value.is_null() && !old.is_null() { to.default.clone() } else { value }]
        }
        (Action::Fill(_), _, Some(to)) => {
            vec![if old.is_null() { to.default.clone() } else { old.clone() }]
        }
        (Action::AddSearch(_), ..) => vec![folded(old)],
        (Action::Declare, ..) => {
            let Some(schema) = &step.after else { return Vec::new() };
            let map = object(old).unwrap_or_default();
            let values: Vec<Value> = schema
                .fields()
                .iter()
                .map(|field| {
                    let value = map.get(field.name.as_str()).and_then(|value| taken(field, value).ok());
                    value.filter(|value| !value.is_null()).unwrap_or_else(|| field.default.clone())
                })
                .collect();
            let folds: Vec<Value> = schema
                .fields()
                .iter()
                .zip(&values)
                .filter(|(field, _)| field.searchable)
                .map(|(_, value)| folded(value))
                .collect();
            values.into_iter().chain(folds).collect()
        }
        _ => Vec::new(),
    }
}

fn folded(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(fold::fold(text)),
        _ => Value::Null,
    }
}

/// A value as text, as it stands on the wire but without quotes.
pub(super) fn text_of(field: &Field, value: &Value) -> String {
    let mut text = Vec::new();
    match value {
        Value::Null => {}
        Value::Text(own) | Value::Json(own) => return own.clone(),
        Value::Integer(number) => return number.to_string(),
        Value::Boolean(truth) => return truth.to_string(),
        Value::Number(number) => return number.to_string(),
        Value::Uuid(id) => return id.to_string(),
        Value::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = &field.field_type { *scale } else { 0 };
            write_decimal(*units, scale, &mut text);
        }
        Value::Date(date) => write_date(*date, &mut text),
        Value::DateTime(time) => write_rfc3339(*time, &mut text),
    }
    String::from_utf8_lossy(&text).into_owned()
}
