//! SQL in the making: a text, and the values and types of its parameters.

use std::error::Error as StdError;
use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Utc};
use erp_plugin_model::Value;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::columns;

/// The value of a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Parameter<'a> {
    Null,
    Value(&'a Value),
    Text(&'a str),
    Owned(String),
    Integer(i64),
    Boolean(bool),
    Uuid(Uuid),
    Time(DateTime<Utc>),
    Bytes(&'a [u8]),
    Many(Vec<Parameter<'a>>),
}

impl<'a> Parameter<'a> {
    /// A text, or nothing.
    pub(crate) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    /// Several as one array.
    pub(crate) fn many(values: impl IntoIterator<Item = Parameter<'a>>) -> Self {
        Self::Many(values.into_iter().collect())
    }
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Value(value) => return columns::write(value, out),
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Owned(text) => out.put_slice(text.as_bytes()),
            Self::Integer(number) => out.put_i64(*number),
            Self::Boolean(truth) => out.put_u8(u8::from(*truth)),
            Self::Uuid(id) => out.put_slice(id.as_bytes()),
            Self::Time(time) => columns::write_time(*time, out),
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::Many(values) => return values.to_sql(ty, out),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // Each statement knows the types of its own parameters.
        true
    }

    to_sql_checked!();
}

/// A statement and its parameters. Values never become part of the text, so the text is the statement's shape and
/// finds the prepared one.
#[derive(Debug, Default)]
pub(crate) struct Sql<'a> {
    pub(crate) text: String,
    pub(crate) parameters: Vec<(Parameter<'a>, Type)>,
}

impl<'a> Sql<'a> {
    /// Appends a piece of SQL.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Adds a value and returns its parameter's number.
    pub(crate) fn add(&mut self, parameter: Parameter<'a>, of: Type) -> usize {
        self.parameters.push((parameter, of));
        self.parameters.len()
    }

    /// Appends the parameter with this number.
    pub(crate) fn push_number(&mut self, number: usize) -> &mut Self {
        let _ = write!(self.text, "${number}");
        self
    }

    /// Appends a parameter with this value.
    pub(crate) fn push_parameter(&mut self, parameter: Parameter<'a>, of: Type) -> &mut Self {
        let number = self.add(parameter, of);
        self.push_number(number)
    }
}
