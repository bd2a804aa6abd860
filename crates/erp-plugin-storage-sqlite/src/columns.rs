//! Values ↔ columns.
//!
//! | field | column | so that |
//! | --- | --- | --- |
//! | string, text, enum, file, number-series, json | TEXT | it compares by code point (UTF-8 bytes do) |
//! | integer, decimal in its smallest unit, boolean | INTEGER | it is exact |
//! | date | TEXT, `2026-01-31` | it sorts as a date |
//! | datetime | INTEGER, microseconds since 1970 | it is exact and sorts |
//! | uuid, reference | BLOB, 16 bytes | an index entry is short |

use chrono::{DateTime, NaiveDate, Utc};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{Value, time};
use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef as Stored};
use uuid::Uuid;

use crate::error::{Error, Result};

/// How a column's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Text,
    Integer,
    Decimal,
    Boolean,
    Date,
    DateTime,
    Uuid,
    Json,
}

impl ColumnType {
    /// The column of a field.
    pub(crate) fn of(field_type: &FieldType) -> Self {
        match field_type {
            FieldType::String
            | FieldType::Text
            | FieldType::Enum { .. }
            | FieldType::File
            | FieldType::NumberSeries { .. } => Self::Text,
            FieldType::Integer => Self::Integer,
            FieldType::Decimal { .. } => Self::Decimal,
            FieldType::Boolean => Self::Boolean,
            FieldType::Date => Self::Date,
            FieldType::DateTime => Self::DateTime,
            FieldType::Uuid | FieldType::Reference { .. } => Self::Uuid,
            FieldType::Json => Self::Json,
        }
    }

    /// The type as a STRICT table names it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Date | Self::Json => "TEXT",
            Self::Integer | Self::Decimal | Self::Boolean | Self::DateTime => "INTEGER",
            Self::Uuid => "BLOB",
        }
    }

    /// A stored value of this type.
    #[inline]
    pub(crate) fn read(self, stored: Stored<'_>) -> Result<ValueRef<'_>> {
        Ok(match (stored, self) {
            (Stored::Null, _) => ValueRef::Null,
            (Stored::Text(bytes), Self::Text) => ValueRef::Text(text(bytes)?),
            (Stored::Text(bytes), Self::Json) => ValueRef::Json(text(bytes)?),
            (Stored::Text(bytes), Self::Date) => ValueRef::Date(date(bytes)?),
            (Stored::Integer(number), Self::Integer) => ValueRef::Integer(number),
            (Stored::Integer(number), Self::Decimal) => ValueRef::Decimal(number),
            (Stored::Integer(number), Self::Boolean) => ValueRef::Boolean(number != 0),
            (Stored::Integer(number), Self::DateTime) => ValueRef::DateTime(datetime(number)?),
            (Stored::Blob(bytes), Self::Uuid) => ValueRef::Uuid(uuid(bytes)?),
            _ => return Err(Error::Unreadable("value")),
        })
    }
}

/// Binds a value to the parameter with this number.
pub(crate) fn bind(statement: &mut Statement<'_>, parameter: usize, value: &Value) -> rusqlite::Result<()> {
    let mut day = Vec::new();
    let stored = match value {
        Value::Null => Stored::Null,
        Value::Text(text) | Value::Json(text) => Stored::Text(text.as_bytes()),
        Value::Integer(number) | Value::Decimal(number) => Stored::Integer(*number),
        Value::Boolean(truth) => Stored::Integer(i64::from(*truth)),
        Value::Date(date) => {
            time::write_date(*date, &mut day);
            Stored::Text(&day)
        }
        Value::DateTime(time) => Stored::Integer(time.timestamp_micros()),
        Value::Uuid(id) => Stored::Blob(id.as_bytes()),
        Value::Number(number) => Stored::Real(*number),
    };
    statement.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(stored))
}

/// A stored text.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::Unreadable("text"))
}

/// A stored id.
pub(crate) fn uuid(bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|_| Error::Unreadable("id"))
}

/// A stored time.
pub(crate) fn datetime(micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| Error::Unreadable("time"))
}

fn date(bytes: &[u8]) -> Result<NaiveDate> {
    let number = |part: &[u8]| {
        part.iter()
            .try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    match bytes {
        [year @ .., b'-', m1, m0, b'-', d1, d0] if year.len() == 4 => number(year)
            .zip(number(&[*m1, *m0]))
            .zip(number(&[*d1, *d0]))
            .and_then(|((year, month), day)| NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)),
        _ => None,
    }
    .ok_or_else(|| Error::Unreadable("date"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for text in ["0001-01-01", "1996-07-04", "2024-02-29", "9999-12-31"] {
            let expected: NaiveDate = text.parse().unwrap();
            let mut written = Vec::new();
            time::write_date(expected, &mut written);
            assert_eq!(written, text.as_bytes());
            assert_eq!(date(text.as_bytes()).unwrap(), expected);
        }
        for bad in ["", "2026-1-31", "2026-02-30", "20260131", "2026-01-3x", "12026-01-31"] {
            assert!(date(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
