//! A value against its field's options. The type is right by then: [`parse`](crate::parse) saw to it.
//!
//! Errors are the rest of a sentence that begins with the field's name, as there.

use crate::parse::{MAX_SAFE_INTEGER, quote, write_decimal};
use crate::schema::{Field, FieldType};
use crate::time::{write_date, write_rfc3339};
use crate::value::Value;

impl Field {
    /// Whether a value of the field's type keeps to its bounds, length and pattern.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        if let Value::Text(text) = value {
            return self.check_text(text);
        }
        if let Some(min) = &self.min
            && exceeds(min, value)
        {
            return Err(format!("must be at least {}", show(&self.field_type, min)));
        }
        if let Some(max) = &self.max
            && exceeds(value, max)
        {
            return Err(format!("must be at most {}", show(&self.field_type, max)));
        }
        Ok(())
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("has a NUL character, which cannot be kept".to_owned());
        }
        // A character has at least one byte: most texts need no counting.
        if let Some(max) = self.max_length.map(|max| max as usize)
            && text.len() > max
        {
            let length = text.chars().count();
            if length > max {
                return Err(format!("has {length} characters, {max} are allowed"));
            }
        }
        match &self.pattern {
            Some(pattern) if !pattern.matches(text) => {
                Err(format!("must match {}, not {}", pattern.as_str(), quote(text)))
            }
            _ => Ok(()),
        }
    }
}

/// Whether `a` is more than `b`; values that have no bounds never are.
pub(crate) fn exceeds(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) | (Value::Decimal(a), Value::Decimal(b)) => a > b,
        (Value::Date(a), Value::Date(b)) => a > b,
        (Value::DateTime(a), Value::DateTime(b)) => a > b,
        _ => false,
    }
}

/// A bound as it stands on the wire.
pub(crate) fn show(field_type: &FieldType, bound: &Value) -> String {
    let mut text = Vec::new();
    match bound {
        Value::Integer(number) if number.unsigned_abs() <= MAX_SAFE_INTEGER => return number.to_string(),
        Value::Integer(number) => return format!("\"{number}\""),
        Value::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = field_type { *scale } else { 0 };
            write_decimal(*units, scale, &mut text);
        }
        Value::Date(date) => write_date(*date, &mut text),
        Value::DateTime(time) => write_rfc3339(*time, &mut text),
        // Nothing else has bounds.
        _ => {}
    }
    format!("\"{}\"", String::from_utf8_lossy(&text))
}
