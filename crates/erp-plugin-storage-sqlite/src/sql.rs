//! SQL in the making: a text, and the values of its parameters.

use std::fmt::Write;

use erp_plugin_model::Value;
use rusqlite::Statement;
use rusqlite::types::{ToSqlOutput, ValueRef as Stored};

use crate::columns;

/// The value of a parameter.
#[derive(Debug)]
pub(crate) enum Parameter<'a> {
    Value(&'a Value),
    Text(&'a str),
    Owned(String),
    Integer(i64),
}

/// A statement and its parameters. Values never become part of the text, so the text is the statement's shape and
/// finds the compiled one.
#[derive(Debug, Default)]
pub(crate) struct Sql<'a> {
    pub(crate) text: String,
    /// The number of parameters before the first one here, which the caller binds.
    before: usize,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> Sql<'a> {
    /// A part of a statement whose first parameters belong to the rest of it.
    pub(crate) fn after(before: usize) -> Self {
        Self { before, ..Self::default() }
    }

    /// Appends a piece of SQL.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.text.push_str(sql);
        self
    }

    /// Adds a value and returns its parameter's number.
    pub(crate) fn add(&mut self, parameter: Parameter<'a>) -> usize {
        self.parameters.push(parameter);
        self.before + self.parameters.len()
    }

    /// Appends the parameter with this number.
    pub(crate) fn push_number(&mut self, number: usize) -> &mut Self {
        let _ = write!(self.text, "?{number}");
        self
    }

    /// Appends a parameter with this value.
    pub(crate) fn push_parameter(&mut self, parameter: Parameter<'a>) -> &mut Self {
        let number = self.add(parameter);
        self.push_number(number)
    }

    /// Binds all values.
    pub(crate) fn bind(&self, statement: &mut Statement<'_>) -> rusqlite::Result<()> {
        for (parameter, number) in self.parameters.iter().zip(self.before + 1..) {
            let stored = match parameter {
                Parameter::Value(value) => {
                    columns::bind(statement, number, value)?;
                    continue;
                }
                Parameter::Text(text) => Stored::Text(text.as_bytes()),
                Parameter::Owned(text) => Stored::Text(text.as_bytes()),
                Parameter::Integer(integer) => Stored::Integer(*integer),
            };
            statement.raw_bind_parameter(number, ToSqlOutput::Borrowed(stored))?;
        }
        Ok(())
    }
}
