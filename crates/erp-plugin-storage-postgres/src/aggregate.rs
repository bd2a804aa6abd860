//! Figures over records, computed by Postgres: its sums of 64-bit integers are wider than they are.

use erp_plugin_model::Value;
use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_storage::{Aggregate, AggregateOutcome, Figure, FigureValue, Group};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::columns::ColumnType;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::filter::column_name;
use crate::names::{read_count, read_text};
use crate::query;
use crate::row::raw;
use crate::sql::{Parameter, Sql};

/// How a figure stands in the answer.
enum Shape {
    Count,
    /// The sum as text, then the count.
    Sum,
    Value(ColumnType),
}

pub(crate) async fn run(
    context: &Context<'_>,
    filter: &Filter,
    aggregate: &Aggregate,
) -> Result<AggregateOutcome> {
    if let Some(misuse) = aggregate.misuse(context.entity.schema()) {
        return Err(Error::Misuse(misuse));
    }
    let (sql, keys, shapes) = select(context, filter, aggregate)?;
    if !context.has_table().await? {
        // No records: one group of none, or no group.
        let figures = shapes.iter().map(none).collect();
        let groups = if keys.is_empty() { vec![Group { key: Vec::new(), figures }] } else { Vec::new() };
        return Ok(AggregateOutcome { groups, has_more: false, rows_scanned: 0 });
    }
    context.client.ready_built(&sql).await?;
    let rows = context.client.rows_built(&sql);
    let (rows, rows_scanned) = context.measured(rows).await?;
    let limit = usize::try_from(aggregate.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    let groups = rows.iter().take(limit).map(|row| read(row, &keys, &shapes)).collect::<Result<_>>()?;
    Ok(AggregateOutcome { groups, has_more, rows_scanned })
}

fn select<'a>(
    context: &Context<'a>,
    filter: &'a Filter,
    aggregate: &Aggregate,
) -> Result<(Sql<'a>, Vec<ColumnType>, Vec<Shape>)> {
    let schema = context.entity.schema();
    let mut sql = Sql::default();
    let (mut keys, mut names, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    sql.push("SELECT ");
    for column in &aggregate.group_by {
        let (name, of) = column_name(schema, column)?;
        sql.push(&name).push(", ");
        keys.push(of);
        names.push(name);
    }
    for (index, figure) in aggregate.figures.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        let of = |column: &Column| column_name(schema, column);
        shapes.push(match figure {
            Figure::Count => {
                sql.push("count(*)");
                Shape::Count
            }
            Figure::Sum(column) => {
                let (name, _) = of(column)?;
                sql.push(&format!("coalesce(sum({name}), 0)::text, count({name})"));
                Shape::Sum
            }
            Figure::Min(column) => {
                let (name, of) = of(column)?;
                sql.push(&extreme(&name, of, "min"));
                Shape::Value(of)
            }
            Figure::Max(column) => {
                let (name, of) = of(column)?;
                sql.push(&extreme(&name, of, "max"));
                Shape::Value(of)
            }
        });
    }
    if aggregate.figures.is_empty() {
        // Something to select, which makes one group of all where nothing else does.
        sql.push("count(*)");
    }
    query::push_from(&mut sql, context.statements, schema, context.tenant, filter)?;
    for (index, name) in names.iter().enumerate() {
        sql.push(if index == 0 { " GROUP BY " } else { ", " }).push(name);
    }
    for (index, name) in names.iter().enumerate() {
        sql.push(if index == 0 { " ORDER BY " } else { ", " }).push(name);
    }
    sql.push(" LIMIT ");
    sql.push_parameter(Parameter::Integer(i64::from(aggregate.limit).saturating_add(1)), Type::INT8);
    Ok((sql, keys, shapes))
}

/// The smallest or largest value. Postgres has no such function for booleans, and none for UUIDs in every version.
fn extreme(name: &str, of: ColumnType, function: &str) -> String {
    match (of, function) {
        (ColumnType::Boolean, "min") => format!("bool_and({name})"),
        (ColumnType::Boolean, _) => format!("bool_or({name})"),
        // Their texts are in the same order.
        (ColumnType::Uuid, function) => format!("{function}({name}::text COLLATE \"C\")::uuid"),
        (_, function) => format!("{function}({name})"),
    }
}

fn read(row: &Row, keys: &[ColumnType], shapes: &[Shape]) -> Result<Group> {
    let mut column = 0..;
    let mut next = || column.next().ok_or_else(|| Error::Unreadable("group"));
    let mut key = Vec::with_capacity(keys.len());
    for of in keys {
        key.push(of.read(raw(row, next()?)?)?.to_owned());
    }
    let mut figures = Vec::with_capacity(shapes.len());
    for shape in shapes {
        figures.push(match shape {
            Shape::Count => FigureValue::Count(read_count(row, next()?)?),
            Shape::Sum => {
                let sum = read_text(row, next()?)?.parse().map_err(|_| Error::Unreadable("sum"))?;
                FigureValue::Sum { sum, of: read_count(row, next()?)? }
            }
            Shape::Value(of) => FigureValue::Value(of.read(raw(row, next()?)?)?.to_owned()),
        });
    }
    Ok(Group { key, figures })
}

/// A figure of no records.
fn none(shape: &Shape) -> FigureValue {
    match shape {
        Shape::Count => FigureValue::Count(0),
        Shape::Sum => FigureValue::Sum { sum: 0, of: 0 },
        Shape::Value(_) => FigureValue::Value(Value::Null),
    }
}
