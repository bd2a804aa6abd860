//! A page of records as SQL.
//!
//! Absent values come last in both directions; every sort ends with `id`, so the order is total and a cursor is the
//! values of one row. What follows that row is: greater in the first key, or equal in it and greater in the second,
//! and so on, where an absent value is greater than all and equal to itself.
//!
//! A page after a cursor must cost what the first one costs, so an index has to begin at the cursor. It can at values,
//! not at "this value or none": where the first key can be absent such a page is two statements, the [present](Part::Present)
//! values and then the [absent](Part::Absent) ones.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntitySchema, TenantId, Value};

use crate::error::{Error, Result};
use crate::filter;
use crate::sql::{Parameter, Sql};
use crate::statements::Statements;

/// Which records of a page a statement gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All.
    Whole,
    /// Those that have a value in the first key of the sort.
    Present,
    /// Those that have none there.
    Absent,
}

/// The statements of a page, in their order.
pub(crate) fn parts(schema: &EntitySchema, page: &Page) -> &'static [Part] {
    match (&page.start, page.sort.first()) {
        (Start::After(values), Some(first)) if is_nullable(schema, &first.column) => match values.first() {
            Some(Value::Null) => &[Part::Absent],
            _ => &[Part::Present, Part::Absent],
        },
        _ => &[Part::Whole],
    }
}

/// The select of a part of a page, of so many records at most.
pub(crate) fn select<'a>(
    statements: &Statements,
    schema: &EntitySchema,
    tenant: &'a TenantId,
    matching: &'a Filter,
    page: &'a Page,
    (part, limit): (Part, u32),
) -> Result<Sql<'a>> {
    let mut keys = page.sort.iter().map(|key| Key::of(schema, key)).collect::<Result<Vec<_>>>()?;
    let mut after = match &page.start {
        Start::Offset(_) => None,
        Start::After(values) if values.len() == keys.len() => Some(values.as_slice()),
        Start::After(_) => return Err(Error::Misuse("a cursor with other keys than the sort")),
    };
    let mut sql = Sql::default();
    let tenant = sql.add(Parameter::Text(tenant.as_str()));
    sql.text.reserve(statements.columns.len() + 256);
    sql.push("SELECT ").push(&statements.columns);
    push_from(&mut sql, statements, schema, tenant, matching)?;
    match part {
        Part::Whole => {}
        Part::Present => {
            if let Some(first) = keys.first_mut() {
                first.nullable = false;
            }
        }
        Part::Absent => {
            if !keys.is_empty() {
                let first = keys.remove(0);
                sql.push(" AND ").push(&first.column).push(" IS NULL");
            }
            // After a value they all follow; after one of them only those that the other keys put behind it.
            after = after.and_then(|values| match values.split_first() {
                Some((Value::Null, rest)) => Some(rest),
                _ => None,
            });
        }
    }
    if let Some(values) = after {
        sql.push(" AND ");
        push_after(&mut sql, &keys, values);
    }
    for (index, key) in keys.iter().enumerate() {
        sql.push(if index == 0 { " ORDER BY " } else { ", " }).push(&key.column);
        // Descending, SQLite has them last by itself, and an index serves the order as it is.
        sql.push(match (key.descending, key.nullable) {
            (true, _) => " DESC",
            (false, true) => " NULLS LAST",
            (false, false) => "",
        });
    }
    sql.push(" LIMIT ").push_parameter(Parameter::Integer(i64::from(limit)));
    if let Start::Offset(skipped @ 1..) = page.start {
        let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
        sql.push(" OFFSET ").push_parameter(Parameter::Integer(skipped));
    }
    Ok(sql)
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

pub(crate) fn push_from<'a>(
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

/// A key of a sort, as SQL says it.
struct Key {
    column: String,
    descending: bool,
    nullable: bool,
}

impl Key {
    fn of(schema: &EntitySchema, key: &SortKey) -> Result<Self> {
        let column = filter::column_name(schema, &key.column)?.into_owned();
        Ok(Self { column, descending: key.descending, nullable: is_nullable(schema, &key.column) })
    }

    fn after(&self) -> &'static str {
        if self.descending { " < " } else { " > " }
    }
}

/// Appends the condition of what comes after the row that has these values.
fn push_after<'a>(sql: &mut Sql<'a>, keys: &[Key], values: &'a [Value]) {
    let one_direction = keys.windows(2).all(|pair| matches!(pair, [a, b] if a.descending == b.descending));
    if one_direction && keys.iter().all(|key| !key.nullable) {
        push_after_row(sql, keys, values);
        return;
    }
    if let ([first, ..], [value, ..]) = (keys, values)
        && !first.nullable
    {
        // Implied by what follows; said, because an index can begin at it.
        sql.push(&first.column).push(if first.descending { " <= " } else { " >= " });
        sql.push_parameter(Parameter::Value(value)).push(" AND ");
    }
    sql.push("(");
    let mut or = "";
    for (index, (key, value)) in keys.iter().zip(values).enumerate() {
        if value.is_null() {
            // Nothing comes after an absent value.
            continue;
        }
        sql.push(or).push("(");
        or = " OR ";
        for (before, value) in keys.iter().zip(values).take(index) {
            sql.push(&before.column);
            match value {
                Value::Null => sql.push(" IS NULL AND "),
                value => sql.push(" = ").push_parameter(Parameter::Value(value)).push(" AND "),
            };
        }
        sql.push("(").push(&key.column).push(key.after()).push_parameter(Parameter::Value(value));
        if key.nullable {
            sql.push(" OR ").push(&key.column).push(" IS NULL");
        }
        sql.push("))");
    }
    sql.push(if or.is_empty() { "0)" } else { ")" });
}

/// Appends the same as one comparison of rows: an index that ends with the id begins at the very row, however many
/// others have its value.
fn push_after_row<'a>(sql: &mut Sql<'a>, keys: &[Key], values: &'a [Value]) {
    for (index, key) in keys.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { ", " }).push(&key.column);
    }
    sql.push(")").push(keys.first().map_or(" > ", Key::after));
    for (index, value) in values.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { ", " }).push_parameter(Parameter::Value(value));
    }
    sql.push(")");
}

fn is_nullable(schema: &EntitySchema, column: &Column) -> bool {
    match column {
        Column::System(_) => false,
        Column::Field(position) => schema.fields().get(*position).is_none_or(|field| !field.required),
        Column::Document(_) => true,
    }
}
