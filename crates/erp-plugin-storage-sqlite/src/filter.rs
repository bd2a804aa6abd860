//! A filter as SQL.
//!
//! The model's logic has two values, SQL's three. A comparison with an absent value is NULL, which counts as false
//! wherever only AND and OR are above it; so plain conditions stay as they are and can use an index, and the one
//! place that tells NULL from false, the negation, is written `IS NOT TRUE`.

use std::borrow::Cow;

use erp_plugin_model::filter::{Column, Comparison, Filter, prefix_end};
use erp_plugin_model::{EntitySchema, Value};
use erp_plugin_storage::layout::folded_column;

use crate::document;
use crate::error::{Error, Result};
use crate::sql::{Parameter, Sql};
use crate::statements::quote;

/// Appends the condition.
pub(crate) fn push<'a>(sql: &mut Sql<'a>, schema: &EntitySchema, filter: &'a Filter) -> Result<()> {
    match filter {
        Filter::All(filters) => push_joined(sql, schema, filters, " AND ", "1"),
        Filter::Any(filters) => push_joined(sql, schema, filters, " OR ", "0"),
        Filter::Not(filter) => {
            sql.push("(");
            push(sql, schema, filter)?;
            sql.push(") IS NOT TRUE");
            Ok(())
        }
        Filter::Compare(Column::Document(key), comparison, value) => {
            push_key_comparison(sql, key, *comparison, value)
        }
        Filter::Compare(column, comparison, value) => {
            push_column(sql, schema, column)?;
            sql.push(operator(*comparison)).push_parameter(Parameter::Value(value));
            Ok(())
        }
        Filter::In(_, values) if values.is_empty() => {
            sql.push("0");
            Ok(())
        }
        Filter::In(Column::Document(key), values) => push_key_in(sql, key, values),
        Filter::In(column, values) => {
            push_column(sql, schema, column)?;
            push_list(sql, values.iter());
            Ok(())
        }
        Filter::Prefix(column, prefix) => push_prefix(sql, schema, column, prefix),
        Filter::FoldedEq(position, folded) => {
            sql.push(&folds(schema, *position)?).push(" = ").push_parameter(Parameter::Text(folded));
            Ok(())
        }
        Filter::FoldedPrefix(position, folded) => {
            let folds = folds(schema, *position)?;
            sql.push("(");
            push_range(sql, &folds, folded);
            sql.push(")");
            Ok(())
        }
        Filter::Absent(column) => {
            push_column(sql, schema, column)?;
            sql.push(" IS NULL");
            Ok(())
        }
    }
}

/// Appends a column; of a document's key its value, where JSON's null is NULL.
fn push_column(sql: &mut Sql<'_>, schema: &EntitySchema, column: &Column) -> Result<()> {
    if let Column::Document(key) = column {
        let path = sql.add(Parameter::Owned(document::path(key)));
        sql.push("json_extract(data, ").push_number(path).push(")");
    } else {
        sql.push(&column_name(schema, column)?);
    }
    Ok(())
}

/// A column that has a name of its own, quoted where that could be an SQL word.
pub(crate) fn column_name(schema: &EntitySchema, column: &Column) -> Result<Cow<'static, str>> {
    match column {
        Column::System(field) => Ok(Cow::Borrowed(field.as_str())),
        Column::Field(position) => match schema.fields().get(*position) {
            Some(field) => Ok(Cow::Owned(quote(field.column()))),
            None => Err(Error::Misuse("a field that the schema does not have")),
        },
        Column::Document(_) => Err(Error::Misuse("a document's key where only columns can be")),
    }
}

fn push_joined<'a>(
    sql: &mut Sql<'a>,
    schema: &EntitySchema,
    filters: &'a [Filter],
    operator: &str,
    of_none: &str,
) -> Result<()> {
    let Some((first, rest)) = filters.split_first() else {
        sql.push(of_none);
        return Ok(());
    };
    sql.push("(");
    push(sql, schema, first)?;
    for filter in rest {
        sql.push(operator);
        push(sql, schema, filter)?;
    }
    sql.push(")");
    Ok(())
}

fn push_prefix<'a>(
    sql: &mut Sql<'a>,
    schema: &EntitySchema,
    column: &'a Column,
    prefix: &'a str,
) -> Result<()> {
    sql.push("(");
    if let Column::Document(key) = column {
        let path = sql.add(Parameter::Owned(document::path(key)));
        sql.push("json_type(data, ").push_number(path).push(") = 'text' AND ");
        push_range(sql, &format!("json_extract(data, ?{path})"), prefix);
    } else {
        push_range(sql, &column_name(schema, column)?, prefix);
    }
    sql.push(")");
    Ok(())
}

/// Appends the range of texts that begin with this, which an index can serve.
fn push_range<'a>(sql: &mut Sql<'a>, texts: &str, prefix: &'a str) {
    sql.push(texts).push(" >= ").push_parameter(Parameter::Text(prefix));
    if let Some(end) = prefix_end(prefix) {
        sql.push(" AND ").push(texts).push(" < ").push_parameter(Parameter::Owned(end));
    }
}

/// The column of a searchable field's folds, quoted.
fn folds(schema: &EntitySchema, position: usize) -> Result<String> {
    match schema.fields().get(position) {
        Some(field) if field.searchable => Ok(quote(&folded_column(field))),
        _ => Err(Error::Misuse("a search in a field that is not searchable")),
    }
}

/// The types of JSON that a value compares with; all others are unequal to it and have no order with it.
fn json_types(value: &Value) -> Result<&'static str> {
    match value {
        Value::Text(_) => Ok(" = 'text'"),
        Value::Integer(_) | Value::Number(_) => Ok(" IN ('integer', 'real')"),
        Value::Boolean(_) => Ok(" IN ('true', 'false')"),
        _ => Err(Error::Misuse("a value that no document holds")),
    }
}

fn push_key_comparison<'a>(
    sql: &mut Sql<'a>,
    key: &str,
    comparison: Comparison,
    value: &'a Value,
) -> Result<()> {
    let types = json_types(value)?;
    let path = sql.add(Parameter::Owned(document::path(key)));
    if comparison == Comparison::Ne {
        // Present, and not equal: also if it is of another type.
        sql.push("(json_extract(data, ").push_number(path).push(") IS NOT NULL AND (");
    } else {
        sql.push("(");
    }
    sql.push("json_type(data, ").push_number(path).push(")").push(types);
    sql.push(" AND json_extract(data, ").push_number(path).push(")");
    match comparison {
        Comparison::Ne => sql.push(" = ").push_parameter(Parameter::Value(value)).push(") IS NOT TRUE)"),
        other => sql.push(operator(other)).push_parameter(Parameter::Value(value)).push(")"),
    };
    Ok(())
}

fn push_key_in<'a>(sql: &mut Sql<'a>, key: &str, values: &'a [Value]) -> Result<()> {
    let path = sql.add(Parameter::Owned(document::path(key)));
    let mut lists: Vec<(&'static str, Vec<&'a Value>)> = Vec::new();
    for value in values {
        let types = json_types(value)?;
        match lists.iter_mut().find(|(of, _)| *of == types) {
            Some((_, list)) => list.push(value),
            None => lists.push((types, vec![value])),
        }
    }
    sql.push("(");
    for (index, (types, list)) in lists.into_iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " OR (" });
        sql.push("json_type(data, ").push_number(path).push(")").push(types);
        sql.push(" AND json_extract(data, ").push_number(path).push(")");
        push_list(sql, list.into_iter());
        sql.push(")");
    }
    sql.push(")");
    Ok(())
}

/// Appends ` IN (…)`. The list is filled up to a power of two with its last value, so that there are ten shapes to
/// compile and not five hundred.
fn push_list<'a>(sql: &mut Sql<'a>, values: impl ExactSizeIterator<Item = &'a Value>) {
    let missing = values.len().next_power_of_two() - values.len();
    let mut last = 0;
    sql.push(" IN (");
    for (index, value) in values.enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        last = sql.add(Parameter::Value(value));
        sql.push_number(last);
    }
    for _ in 0..missing {
        sql.push(", ").push_number(last);
    }
    sql.push(")");
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => " = ",
        Comparison::Ne => " <> ",
        Comparison::Lt => " < ",
        Comparison::Lte => " <= ",
        Comparison::Gt => " > ",
        Comparison::Gte => " >= ",
    }
}
