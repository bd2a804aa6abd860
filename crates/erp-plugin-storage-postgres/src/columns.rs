//! Values ↔ columns.
//!
//! | field | column | so that |
//! | --- | --- | --- |
//! | string, text, enum, file, number-series | text COLLATE "C" | it compares by code point (UTF-8 bytes do) |
//! | integer, decimal in its smallest unit | bigint | it is exact, and an index serves it under row-level security |
//! | boolean, date, uuid, reference | boolean, date, uuid, uuid | |
//! | datetime | timestamptz | it is exact to the microsecond |
//! | json, and a dynamic entity's document | json | it keeps its spelling |
//!
//! Under row-level security an index serves only operators that are leak-proof. Those of numeric, of Postgres's own
//! enums and LIKE are not.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use erp_plugin_model::Value;
use erp_plugin_model::schema::{FieldType, SystemField};
use erp_plugin_model::value::ValueRef;
use tokio_postgres::types::{FromSql, IsNull, Type};
use uuid::Uuid;

use crate::error::{Error, Result};

/// Microseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from 0001-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 730_119;

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

    /// The column of one of the host's own fields.
    pub(crate) fn of_system(field: SystemField) -> Self {
        Self::of(&field.field_type())
    }

    /// The type as a table names it.
    pub(crate) fn ddl(self) -> &'static str {
        match self {
            Self::Text => "text COLLATE \"C\"",
            Self::Integer | Self::Decimal => "bigint",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "timestamptz",
            Self::Uuid => "uuid",
            Self::Json => "json",
        }
    }

    /// The type of a parameter that is compared with it or written into it.
    pub(crate) fn parameter(self) -> Type {
        match self {
            Self::Text => Type::TEXT,
            Self::Integer | Self::Decimal => Type::INT8,
            Self::Boolean => Type::BOOL,
            Self::Date => Type::DATE,
            Self::DateTime => Type::TIMESTAMPTZ,
            Self::Uuid => Type::UUID,
            Self::Json => Type::JSON,
        }
    }

    /// The type of a parameter that holds many.
    pub(crate) fn array(self) -> Type {
        match self {
            Self::Text => Type::TEXT_ARRAY,
            Self::Integer | Self::Decimal => Type::INT8_ARRAY,
            Self::Boolean => Type::BOOL_ARRAY,
            Self::Date => Type::DATE_ARRAY,
            Self::DateTime => Type::TIMESTAMPTZ_ARRAY,
            Self::Uuid => Type::UUID_ARRAY,
            Self::Json => Type::JSON_ARRAY,
        }
    }

    /// A stored value of this type.
    #[inline]
    pub(crate) fn read(self, stored: Option<Raw<'_>>) -> Result<ValueRef<'_>> {
        let Some(stored) = stored else { return Ok(ValueRef::Null) };
        Ok(match self {
            Self::Text => ValueRef::Text(stored.text()?),
            Self::Json => ValueRef::Json(stored.text()?),
            Self::Integer => ValueRef::Integer(stored.integer()?),
            Self::Decimal => ValueRef::Decimal(stored.integer()?),
            Self::Boolean => ValueRef::Boolean(stored.boolean()?),
            Self::Date => ValueRef::Date(stored.date()?),
            Self::DateTime => ValueRef::DateTime(stored.time()?),
            Self::Uuid => ValueRef::Uuid(stored.uuid()?),
        })
    }
}

/// The bytes of a stored value, as the protocol's binary format has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        // Each statement knows the types of its own columns.
        true
    }
}

impl<'a> Raw<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.0).map_err(|_| Error::Unreadable("text"))
    }

    pub(crate) fn integer(self) -> Result<i64> {
        self.0.try_into().map(i64::from_be_bytes).map_err(|_| Error::Unreadable("number"))
    }

    pub(crate) fn boolean(self) -> Result<bool> {
        match self.0 {
            [truth] => Ok(*truth != 0),
            _ => Err(Error::Unreadable("boolean")),
        }
    }

    pub(crate) fn uuid(self) -> Result<Uuid> {
        Uuid::from_slice(self.0).map_err(|_| Error::Unreadable("id"))
    }

    pub(crate) fn time(self) -> Result<DateTime<Utc>> {
        let micros = self.integer()?.checked_add(EPOCH_MICROS);
        micros.and_then(DateTime::from_timestamp_micros).ok_or_else(|| Error::Unreadable("time"))
    }

    fn date(self) -> Result<NaiveDate> {
        let days = self.0.try_into().map(i32::from_be_bytes).map_err(|_| Error::Unreadable("date"))?;
        NaiveDate::from_ymd_opt(1, 1, 1)
            .and_then(|first| {
                first.checked_add_signed(TimeDelta::days(i64::from(days) + i64::from(EPOCH_DAYS)))
            })
            .ok_or_else(|| Error::Unreadable("date"))
    }
}

/// Writes a value as a parameter of its column's type.
pub(crate) fn write(
    value: &Value,
    out: &mut BytesMut,
) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
    match value {
        Value::Null => return Ok(IsNull::Yes),
        Value::Text(text) | Value::Json(text) => out.put_slice(text.as_bytes()),
        Value::Integer(number) | Value::Decimal(number) => out.put_i64(*number),
        Value::Boolean(truth) => out.put_u8(u8::from(*truth)),
        Value::Date(date) => {
            let first = NaiveDate::from_ymd_opt(1, 1, 1).ok_or("a calendar without a first day")?;
            let days = i32::try_from(date.signed_duration_since(first).num_days())?;
            out.put_i32(days - EPOCH_DAYS);
        }
        Value::DateTime(time) => write_time(*time, out),
        Value::Uuid(id) => out.put_slice(id.as_bytes()),
        Value::Number(_) => return Err("a number of no declared type is compared as a text".into()),
    }
    Ok(IsNull::No)
}

/// Writes a time.
pub(crate) fn write_time(time: DateTime<Utc>, out: &mut BytesMut) {
    out.put_i64(time.timestamp_micros() - EPOCH_MICROS);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(value: &Value, column: ColumnType) -> Value {
        let mut out = BytesMut::new();
        assert!(matches!(write(value, &mut out).unwrap(), IsNull::No));
        column.read(Some(Raw(&out))).unwrap().to_owned()
    }

    #[test]
    fn dates_and_times_are_read_as_they_are_written() {
        for text in ["0001-01-01", "1996-07-04", "2000-01-01", "2024-02-29", "9999-12-31"] {
            let value = Value::Date(text.parse().unwrap());
            assert_eq!(round(&value, ColumnType::Date), value);
        }
        for text in ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"] {
            let value = Value::DateTime(text.parse().unwrap());
            assert_eq!(round(&value, ColumnType::DateTime), value);
        }
    }

    #[test]
    fn postgres_counts_from_the_year_2000() {
        let mut out = BytesMut::new();
        write(&Value::Date("2000-01-02".parse().unwrap()), &mut out).unwrap();
        assert_eq!(&out[..], 1_i32.to_be_bytes());
        let mut out = BytesMut::new();
        write(&Value::DateTime("2000-01-01T00:00:00.000002Z".parse().unwrap()), &mut out).unwrap();
        assert_eq!(&out[..], 2_i64.to_be_bytes());
    }

    #[test]
    fn what_is_not_of_the_columns_type_is_damage() {
        for column in [ColumnType::Integer, ColumnType::Boolean, ColumnType::Date, ColumnType::Uuid] {
            assert!(column.read(Some(Raw(b"abc"))).is_err(), "{column:?}");
        }
        assert!(ColumnType::Text.read(Some(Raw(b"\xff"))).is_err());
    }
}
