//! A field's value, owned and borrowed.
//!
//! `Value` is what a validated input becomes and what a backend binds; `ValueRef` is what a backend shows of a row
//! while it stands on it, so that a query copies nothing on its way to the answer document.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// A value that has passed validation for its field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent. JSON `null` and a key that is not there are the same.
    Null,
    /// `string`, `text`, `enum` and `file`.
    Text(String),
    /// `integer`.
    Integer(i64),
    /// `decimal`, as the number of its smallest unit: 12.50 at scale 2 is 1250.
    Decimal(i64),
    /// `boolean`.
    Boolean(bool),
    /// `date`, years 0001 to 9999.
    Date(NaiveDate),
    /// `datetime`, to the microsecond, years 0001 to 9999.
    DateTime(DateTime<Utc>),
    /// `uuid` and `reference`.
    Uuid(Uuid),
    /// A finite number of no declared type: a comparison with a dynamic entity's field.
    Number(f64),
    /// `json`: one JSON value, as text.
    Json(String),
}

impl Value {
    /// The same value, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Decimal(units) => ValueRef::Decimal(*units),
            Self::Boolean(truth) => ValueRef::Boolean(*truth),
            Self::Date(date) => ValueRef::Date(*date),
            Self::DateTime(time) => ValueRef::DateTime(*time),
            Self::Uuid(id) => ValueRef::Uuid(*id),
            Self::Number(number) => ValueRef::Number(*number),
            Self::Json(text) => ValueRef::Json(text),
        }
    }

    /// Whether the value is absent.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// A value borrowed from the row that a backend stands on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Absent.
    Null,
    /// `string`, `text`, `enum` and `file`.
    Text(&'a str),
    /// `integer`.
    Integer(i64),
    /// `decimal`, in its smallest unit.
    Decimal(i64),
    /// `boolean`.
    Boolean(bool),
    /// `date`.
    Date(NaiveDate),
    /// `datetime`.
    DateTime(DateTime<Utc>),
    /// `uuid` and `reference`.
    Uuid(Uuid),
    /// A number of no declared type.
    Number(f64),
    /// `json`, and the document of a dynamic entity's record.
    Json(&'a str),
}

impl ValueRef<'_> {
    /// The same value, owned.
    #[must_use]
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text.to_owned()),
            Self::Integer(number) => Value::Integer(number),
            Self::Decimal(units) => Value::Decimal(units),
            Self::Boolean(truth) => Value::Boolean(truth),
            Self::Date(date) => Value::Date(date),
            Self::DateTime(time) => Value::DateTime(time),
            Self::Uuid(id) => Value::Uuid(id),
            Self::Number(number) => Value::Number(number),
            Self::Json(text) => Value::Json(text.to_owned()),
        }
    }
}
