//! Texts into values: the one place that says how a decimal, date, time or integer is written.
//!
//! Errors are the rest of a sentence that begins with the field's name: `"must be a date such as 2026-01-31, not …"`.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use uuid::Uuid;

use crate::schema::FieldType;
use crate::time::in_range;
use crate::value::Value;

/// The largest integer that every JSON reader keeps exactly; beyond it integers are written as strings.
pub const MAX_SAFE_INTEGER: u64 = 1 << 53;

/// Shows a piece of bad input: quoted, cut, control characters escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut cut: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// An `integer` written as text.
pub fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("must be a 64-bit integer, not {}", quote(text)))
}

/// A `decimal` written as text: at most `scale` digits after the point, at most `precision` in all. Never rounds.
pub fn decimal(text: &str, precision: u8, scale: u8) -> Result<i64, String> {
    let wrong = || format!("must be a decimal such as \"-12.50\", not {}", quote(text));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(wrong());
    }
    if fraction.len() > usize::from(scale) {
        return Err(format!(
            "has {} digits after the point, {scale} are kept; round it first",
            fraction.len()
        ));
    }
    let too_large = || {
        format!("has more than {} digits before the point: {}", precision.saturating_sub(scale), quote(text))
    };
    let mut units: i64 = 0;
    let padding = usize::from(scale) - fraction.len();
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
        units = units
            .checked_mul(10)
            .and_then(|units| units.checked_add(i64::from(digit - b'0')))
            .ok_or_else(too_large)?;
    }
    if units.unsigned_abs() >= 10_u64.pow(u32::from(precision)) {
        return Err(too_large());
    }
    Ok(if negative { -units } else { units })
}

/// A `decimal` that arrived as a JSON float: taken by its shortest spelling, which is what its author wrote, as long
/// as a float can hold that many digits.
pub fn decimal_from_float(number: f64, precision: u8, scale: u8) -> Result<i64, String> {
    let text = format!("{number}");
    if text.bytes().filter(u8::is_ascii_digit).count() > 15 {
        return Err(format!("has more digits than a JSON number keeps; write it as a string, not {text}"));
    }
    decimal(&text, precision, scale)
}

/// Appends a `decimal` with exactly `scale` digits after the point.
pub fn write_decimal(units: i64, scale: u8, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    write_digits(units < 0, buffer.format(units.unsigned_abs()), scale, out);
}

/// The same of a sum, which may be wider than any `decimal`.
pub fn write_wide_decimal(units: i128, scale: u8, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    write_digits(units < 0, buffer.format(units.unsigned_abs()), scale, out);
}

fn write_digits(negative: bool, digits: &str, scale: u8, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    let digits = digits.as_bytes();
    let scale = usize::from(scale);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
        out.extend_from_slice(fraction);
    }
}

/// A `date`.
pub fn date(text: &str) -> Result<NaiveDate, String> {
    let wrong = || format!("must be a date such as 2026-01-31, not {}", quote(text));
    if text.len() != 10 {
        return Err(wrong());
    }
    let date: NaiveDate = text.parse().map_err(|_| wrong())?;
    if (1..=9999).contains(&date.year()) { Ok(date) } else { Err(wrong()) }
}

/// A `datetime`: RFC 3339 with any offset, cut to the microsecond.
pub fn datetime(text: &str) -> Result<DateTime<Utc>, String> {
    let wrong = || format!("must be a time such as 2026-01-31T09:30:00Z, not {}", quote(text));
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| wrong())?.to_utc();
    // A leap second becomes the second after it, as it will when it is read again.
    let kept = DateTime::from_timestamp_micros(time.timestamp_micros());
    kept.filter(|time| in_range(*time)).ok_or_else(wrong)
}

/// A `uuid` or `reference`, in the hyphenated form.
pub fn uuid(text: &str) -> Result<Uuid, String> {
    let parsed = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
    parsed.ok_or_else(|| {
        format!("must be a UUID such as 0198c0de-0000-7000-8000-000000000001, not {}", quote(text))
    })
}

/// A value of this type written as text.
pub fn text(field_type: &FieldType, text: &str) -> Result<Value, String> {
    match field_type {
        FieldType::String | FieldType::Text | FieldType::File | FieldType::NumberSeries { .. } => {
            Ok(Value::Text(text.to_owned()))
        }
        FieldType::Integer => integer(text).map(Value::Integer),
        FieldType::Decimal { precision, scale } => decimal(text, *precision, *scale).map(Value::Decimal),
        FieldType::Date => date(text).map(Value::Date),
        FieldType::DateTime => datetime(text).map(Value::DateTime),
        FieldType::Uuid | FieldType::Reference { .. } => uuid(text).map(Value::Uuid),
        FieldType::Enum { options } if options.iter().any(|option| option == text) => {
            Ok(Value::Text(text.to_owned()))
        }
        FieldType::Enum { options } => {
            Err(format!("must be one of {}, not {}", options.join(", "), quote(text)))
        }
        FieldType::Boolean => Err(format!("must be true or false, not the string {}", quote(text))),
        FieldType::Json => Ok(Value::Json(serde_json::Value::from(text).to_string())),
    }
}

/// A value of this type out of a JSON tree: a manifest's default or bound.
pub fn json(field_type: &FieldType, value: &serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    match (field_type, value) {
        (FieldType::Json, value) => Ok(Value::Json(value.to_string())),
        (_, Json::String(string)) => text(field_type, string),
        (FieldType::Boolean, Json::Bool(truth)) => Ok(Value::Boolean(*truth)),
        (FieldType::Decimal { precision, scale }, Json::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() => decimal_from_float(float, *precision, *scale),
            _ => decimal(&number.to_string(), *precision, *scale),
        }
        .map(Value::Decimal),
        (FieldType::Integer, Json::Number(number)) => text(field_type, &number.to_string()),
        (FieldType::Integer | FieldType::Enum { .. }, _) => {
            Err(format!("must be an {}, not {value}", field_type.as_str()))
        }
        _ => Err(format!("must be a {}, not {value}", field_type.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_never_rounded() {
        for (text, units) in
            [("0", 0), ("12.5", 1250), ("-12.50", -1250), ("0.01", 1), ("9999999999.99", 999_999_999_999)]
        {
            assert_eq!(decimal(text, 12, 2), Ok(units), "{text}");
        }
        for bad in ["", "-", ".5", "5.", "1e3", "+1", "1,5", "NaN", "12.345", "10000000000", "٣"] {
            assert!(decimal(bad, 12, 2).is_err(), "{bad}");
        }
        assert_eq!(decimal("999999999999999999", 18, 0), Ok(999_999_999_999_999_999));
        assert!(decimal("9999999999999999999999", 18, 0).is_err());
        assert_eq!(decimal_from_float(0.1, 12, 2), Ok(10));
        assert!(decimal_from_float(0.123_456_789_012_345_67, 18, 17).is_err());
        assert!(decimal_from_float(1e300, 18, 2).is_err());
    }

    #[test]
    fn decimals_are_written_with_exactly_their_scale() {
        for (units, scale, text) in
            [(0, 2, "0.00"), (-5, 2, "-0.05"), (1250, 2, "12.50"), (7, 0, "7"), (-1, 3, "-0.001")]
        {
            let mut out = Vec::new();
            write_decimal(units, scale, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn times_take_any_offset_and_keep_microseconds() {
        assert_eq!(datetime("2026-01-31T09:30:00+08:00").unwrap(), datetime("2026-01-31T01:30:00Z").unwrap());
        assert_eq!(datetime("2026-01-31T01:30:00.1234567Z").unwrap().timestamp_subsec_nanos(), 123_456_000);
        for bad in ["2026-01-31", "2026-01-31T01:30:00", "yesterday", "0000-01-01T00:00:00Z"] {
            assert!(datetime(bad).is_err(), "{bad}");
        }
        for bad in ["2026-02-30", "2026-1-3", "0000-01-01", "10000-01-01", "20260131"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
