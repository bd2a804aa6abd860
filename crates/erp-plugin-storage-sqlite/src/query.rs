//! A page of records as SQL.
//!
//! Absent values come last in both directions; every sort ends with `id`, so the order is total and a cursor is the
//! values of one row. What follows that row is: greater in the first key, or equal in it and greater in the second,
//! and so on, where an absent value is greater than all and equal to itself.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntitySchema, TenantId, Value};

use crate::document;
use crate::error::{Error, Result};
use crate::filter;
use crate::sql::{Parameter, Sql};
use crate::statements::Statements;

/// A query ready to run, and the document keys that its rows show.
pub(crate) struct Query<'a> {
    pub(crate) sql: Sql<'a>,
    pub(crate) keys: Vec<&'a str>,
}

/// The select of a page and of one record more, which tells whether more follow.
pub(crate) fn select<'a>(
    statements: &Statements,
    schema: &EntitySchema,
    tenant: &'a TenantId,
    matching: &'a Filter,
    page: &'a Page,
) -> Result<Query<'a>> {
    let mut sql = Sql::default();
    let tenant = sql.add(Parameter::Text(tenant.as_str()));
    let mut keys = Vec::new();
    sql.text.reserve(statements.columns.len() + 256);
    sql.push("SELECT ").push(&statements.columns);
    for SortKey { column, .. } in &page.sort {
        if let Column::Document(key) = column {
            let path = sql.add(Parameter::Owned(document::path(key)));
            sql.push(", json_type(data, ").push_number(path).push("), json_extract(data, ");
            sql.push_number(path).push(")");
            keys.push(key.as_str());
        }
    }
    push_from(&mut sql, statements, schema, tenant, matching)?;
    if let Start::After(values) = &page.start {
        sql.push(" AND ");
        push_after(&mut sql, schema, &page.sort, values)?;
    }
    sql.push(" ORDER BY ");
    for (index, SortKey { column, descending }) in page.sort.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        filter::push_column(&mut sql, schema, column)?;
        // Descending, SQLite has them last by itself, and an index serves the order as it is.
        sql.push(match (descending, is_nullable(schema, column)) {
            (true, _) => " DESC",
            (false, true) => " NULLS LAST",
            (false, false) => "",
        });
    }
    sql.push(" LIMIT ").push_parameter(Parameter::Integer(i64::from(page.limit) + 1));
    if let Start::Offset(skipped @ 1..) = page.start {
        let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
        sql.push(" OFFSET ").push_parameter(Parameter::Integer(skipped));
    }
    Ok(Query { sql, keys })
}

/// Whether an index leads to all that can match, a record for each value asked for: not worth a hand-over.
pub(crate) fn finds_few(schema: &EntitySchema, matching: &Filter) -> bool {
    let is_unique = |column: &Column| match column {
        Column::System(field) => *field == SystemField::Id,
        Column::Field(position) => schema.fields().get(*position).is_some_and(|field| field.unique),
        Column::Document(_) => false,
    };
    match matching {
        Filter::Compare(column, Comparison::Eq, _) | Filter::In(column, _) => is_unique(column),
        Filter::All(filters) => filters.iter().any(|filter| finds_few(schema, filter)),
        _ => false,
    }
}

/// The count of all records that match.
pub(crate) fn count<'a>(
    statements: &Statements,
    schema: &EntitySchema,
    tenant: &'a TenantId,
    matching: &'a Filter,
) -> Result<Sql<'a>> {
    let mut sql = Sql::default();
    let tenant = sql.add(Parameter::Text(tenant.as_str()));
    sql.push("SELECT count(*)");
    push_from(&mut sql, statements, schema, tenant, matching)?;
    Ok(sql)
}

fn push_from<'a>(
    sql: &mut Sql<'a>,
    statements: &Statements,
    schema: &EntitySchema,
    tenant: usize,
    matching: &'a Filter,
) -> Result<()> {
    sql.push(" FROM ").push(&statements.table).push(" WHERE tenant_id = ").push_number(tenant);
    sql.push(" AND deleted_at IS NULL");
    if !matches!(matching, Filter::All(filters) if filters.is_empty()) {
        sql.push(" AND ");
        filter::push(sql, schema, matching)?;
    }
    Ok(())
}

/// Appends the condition of what comes after the row that has these values.
fn push_after<'a>(
    sql: &mut Sql<'a>,
    schema: &EntitySchema,
    sort: &[SortKey],
    values: &'a [Value],
) -> Result<()> {
    if sort.len() != values.len() {
        return Err(Error::Misuse("a cursor with other keys than the sort"));
    }
    if let ([first, ..], [value, ..]) = (sort, values)
        && !is_nullable(schema, &first.column)
    {
        // Implied by what follows; said, because an index can begin at it.
        filter::push_column(sql, schema, &first.column)?;
        sql.push(if first.descending { " <= " } else { " >= " });
        sql.push_parameter(Parameter::Value(value)).push(" AND ");
    }
    sql.push("(");
    let mut or = "";
    for (index, (key, value)) in sort.iter().zip(values).enumerate() {
        if value.is_null() {
            // Nothing comes after an absent value.
            continue;
        }
        sql.push(or).push("(");
        or = " OR ";
        for (before, value) in sort.iter().zip(values).take(index) {
            filter::push_column(sql, schema, &before.column)?;
            match value {
                Value::Null => sql.push(" IS NULL AND "),
                value => sql.push(" = ").push_parameter(Parameter::Value(value)).push(" AND "),
            };
        }
        sql.push("(");
        filter::push_column(sql, schema, &key.column)?;
        sql.push(if key.descending { " < " } else { " > " }).push_parameter(Parameter::Value(value));
        if is_nullable(schema, &key.column) {
            sql.push(" OR ");
            filter::push_column(sql, schema, &key.column)?;
            sql.push(" IS NULL");
        }
        sql.push("))");
    }
    sql.push(if or.is_empty() { "0)" } else { ")" });
    Ok(())
}

fn is_nullable(schema: &EntitySchema, column: &Column) -> bool {
    match column {
        Column::System(_) => false,
        Column::Field(position) => schema.fields().get(*position).is_none_or(|field| !field.required),
        Column::Document(_) => true,
    }
}
