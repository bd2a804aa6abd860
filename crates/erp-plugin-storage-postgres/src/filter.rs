//! A filter as SQL.
//!
//! The model's logic has two values, SQL's three. A comparison with an absent value is NULL, which counts as false
//! wherever only AND and OR are above it; so plain conditions stay as they are and can use an index, and the one
//! place that tells NULL from false, the negation, is written `IS NOT TRUE`.

use erp_plugin_model::filter::{Column, Comparison, Filter, prefix_end};
use erp_plugin_model::{EntitySchema, Value};
use erp_plugin_storage::layout::folded_column;
use tokio_postgres::types::Type;

use crate::columns::ColumnType;
use crate::connection::quote;
use crate::error::{Error, Result};
use crate::sql::{Parameter, Sql};

/// Appends the condition.
pub(crate) fn push<'a>(sql: &mut Sql<'a>, schema: &EntitySchema, filter: &'a Filter) -> Result<()> {
    match filter {
        Filter::All(filters) => push_joined(sql, schema, filters, " AND ", "true"),
        Filter::Any(filters) => push_joined(sql, schema, filters, " OR ", "false"),
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
            let of = push_column(sql, schema, column)?;
            sql.push(operator(*comparison)).push_parameter(Parameter::Value(value), of.parameter());
            Ok(())
        }
        Filter::In(_, values) if values.is_empty() => {
            sql.push("false");
            Ok(())
        }
        Filter::In(Column::Document(key), values) => push_key_in(sql, key, values),
        Filter::In(column, values) => {
            let of = push_column(sql, schema, column)?;
            let values = Parameter::many(values.iter().map(Parameter::Value));
            sql.push(" = ANY(").push_parameter(values, of.array()).push(")");
            Ok(())
        }
        Filter::Prefix(Column::Document(key), prefix) => {
            let text = key_as(sql, key, "json_text");
            push_range(sql, &format!("{text} COLLATE \"C\""), prefix);
            Ok(())
        }
        Filter::Prefix(column, prefix) => {
            let (name, _) = column_name(schema, column)?;
            push_range(sql, &name, prefix);
            Ok(())
        }
        Filter::FoldedEq(position, text) => {
            let name = folded(schema, *position)?;
            sql.push(&name).push(" = ").push_parameter(Parameter::Text(text), Type::TEXT);
            Ok(())
        }
        Filter::FoldedPrefix(position, prefix) => {
            let name = folded(schema, *position)?;
            push_range(sql, &name, prefix);
            Ok(())
        }
        Filter::Absent(Column::Document(key)) => {
            let value = key_of(sql, key);
            sql.push("coalesce(jsonb_typeof(").push(&value).push("), 'null') = 'null'");
            Ok(())
        }
        Filter::Absent(column) => {
            push_column(sql, schema, column)?;
            sql.push(" IS NULL");
            Ok(())
        }
    }
}

/// The name of a column, quoted, and its type.
pub(crate) fn column_name(schema: &EntitySchema, column: &Column) -> Result<(String, ColumnType)> {
    match column {
        Column::System(field) => Ok((field.as_str().to_owned(), ColumnType::of_system(*field))),
        Column::Field(position) => {
            let field = schema
                .fields()
                .get(*position)
                .ok_or_else(|| Error::Misuse("a field that the schema does not have"))?;
            Ok((quote(field.column()), ColumnType::of(&field.field_type)))
        }
        Column::Document(_) => Err(Error::Misuse("a document's key where only a column can be")),
    }
}

fn push_column(sql: &mut Sql<'_>, schema: &EntitySchema, column: &Column) -> Result<ColumnType> {
    let (name, of) = column_name(schema, column)?;
    sql.push(&name);
    Ok(of)
}

fn folded(schema: &EntitySchema, position: usize) -> Result<String> {
    match schema.fields().get(position) {
        Some(field) if field.searchable => Ok(quote(&folded_column(field))),
        _ => Err(Error::Misuse("a search in a field that is not searchable")),
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

/// Appends that a text begins with a prefix, as a range.
fn push_range<'a>(sql: &mut Sql<'a>, text: &str, prefix: &'a str) {
    sql.push("(").push(text).push(" >= ").push_parameter(Parameter::Text(prefix), Type::TEXT);
    if let Some(end) = prefix_end(prefix) {
        sql.push(" AND ").push(text).push(" < ").push_parameter(Parameter::Owned(end), Type::TEXT);
    }
    sql.push(")");
}

/// The value of a key in the document. A key is any text that a plugin chose, so it is never part of the SQL.
fn key_of(sql: &mut Sql<'_>, key: &str) -> String {
    let number = sql.add(Parameter::Owned(key.to_owned()), Type::TEXT);
    format!("(data::jsonb -> ${number})")
}

/// The value of a key, if it is of the type that this function takes; NULL if not.
fn key_as(sql: &mut Sql<'_>, key: &str, function: &str) -> String {
    format!("erp_plugin.{function}{}", key_of(sql, key))
}

/// What makes a document's value one that a value compares with, and what is compared with.
fn push_typed<'a>(sql: &mut Sql<'a>, value: &'a Value) -> Result<()> {
    match value {
        Value::Text(text) => sql.push_parameter(Parameter::Text(text), Type::TEXT),
        Value::Boolean(truth) => sql.push_parameter(Parameter::Boolean(*truth), Type::BOOL),
        // As texts, from which Postgres makes exactly that number: it would round a floating-point one.
        Value::Integer(number) => {
            sql.push_parameter(Parameter::Owned(number.to_string()), Type::TEXT).push("::numeric")
        }
        Value::Number(number) => {
            sql.push_parameter(Parameter::Owned(format!("{number:e}")), Type::TEXT).push("::numeric")
        }
        _ => return Err(Error::Misuse("a value that no document holds")),
    };
    Ok(())
}

fn push_key_comparison<'a>(
    sql: &mut Sql<'a>,
    key: &str,
    comparison: Comparison,
    value: &'a Value,
) -> Result<()> {
    if comparison == Comparison::Ne {
        // Present, and not equal: also if it is of another type.
        let present = key_of(sql, key);
        sql.push("(coalesce(jsonb_typeof(").push(&present).push("), 'null') <> 'null' AND (");
        push_key_comparison(sql, key, Comparison::Eq, value)?;
        sql.push(") IS NOT TRUE)");
        return Ok(());
    }
    let own = match value {
        Value::Text(_) => format!("{} COLLATE \"C\"", key_as(sql, key, "json_text")),
        Value::Boolean(_) => key_as(sql, key, "json_boolean"),
        _ => key_as(sql, key, "json_number"),
    };
    sql.push(&own).push(operator(comparison));
    push_typed(sql, value)
}

fn push_key_in<'a>(sql: &mut Sql<'a>, key: &str, values: &'a [Value]) -> Result<()> {
    sql.push("(");
    for (index, value) in values.iter().enumerate() {
        sql.push(if index == 0 { "" } else { " OR " });
        push_key_comparison(sql, key, Comparison::Eq, value)?;
    }
    sql.push(")");
    Ok(())
}

pub(crate) fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => " = ",
        Comparison::Ne => " <> ",
        Comparison::Lt => " < ",
        Comparison::Lte => " <= ",
        Comparison::Gt => " > ",
        Comparison::Gte => " >= ",
    }
}
