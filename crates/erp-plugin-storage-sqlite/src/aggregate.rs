//! Figures over records.
//!
//! SQLite's `sum` of integers fails when it overflows, and of anything else it is a float. So the high and the low
//! halves of the values are summed apart, neither of which can overflow before there are two thousand million records.

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_storage::{Aggregate, AggregateOutcome, Figure, FigureValue, Group};
use rusqlite::Row;

use crate::columns::ColumnType;
use crate::error::{Error, Result};
use crate::filter;
use crate::query;
use crate::sql::{Parameter, Sql};
use crate::table::{Table, restart_steps, rows_scanned};

impl Table<'_> {
    pub(crate) fn aggregate(self, filter: &Filter, aggregate: &Aggregate) -> Result<AggregateOutcome> {
        let Aggregate { group_by, figures, limit } = aggregate;
        if let Some(misuse) = aggregate.misuse(self.entity.schema()) {
            return Err(Error::Misuse(misuse));
        }
        let columns = self.columns_of(aggregate)?;
        let sql = self.figures(filter, aggregate)?;
        let mut outcome = AggregateOutcome { groups: Vec::new(), has_more: false, rows_scanned: 0 };
        let Some(mut statement) = self.prepare(&sql.text)? else {
            if group_by.is_empty() {
                outcome.groups.push(of_no_records(figures));
            }
            return Ok(outcome);
        };
        sql.bind(&mut statement)?;
        restart_steps(&statement);
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if !group_by.is_empty() && outcome.groups.len() >= *limit as usize {
                outcome.has_more = true;
                break;
            }
            outcome.groups.push(columns.read(row, figures)?);
        }
        drop(rows);
        outcome.rows_scanned = rows_scanned(&statement);
        Ok(outcome)
    }

    fn figures<'a>(self, filter: &'a Filter, aggregate: &Aggregate) -> Result<Sql<'a>>
    where
        Self: 'a,
    {
        let schema = self.entity.schema();
        let name = |column: &Column| filter::column_name(schema, column);
        let keys = aggregate.group_by.iter().map(name).collect::<Result<Vec<_>>>()?;
        let mut sql = Sql::default();
        let tenant = sql.add(Parameter::Text(self.tenant.as_str()));
        // Something to select, also of an aggregate without figures.
        sql.push("SELECT count(*)");
        for key in &keys {
            sql.push(", ").push(key);
        }
        for figure in &aggregate.figures {
            match figure {
                Figure::Count => sql.push(", count(*)"),
                Figure::Sum(column) => {
                    let column = name(column)?;
                    sql.push(&format!(", count({column}), sum({column} >> 32), sum({column} & 4294967295)"))
                }
                Figure::Min(column) => sql.push(&format!(", min({})", name(column)?)),
                Figure::Max(column) => sql.push(&format!(", max({})", name(column)?)),
            };
        }
        query::push_from(&mut sql, self.statements, schema, tenant, filter)?;
        for (index, key) in keys.iter().enumerate() {
            sql.push(if index == 0 { " GROUP BY " } else { ", " }).push(key);
        }
        for (index, key) in keys.iter().enumerate() {
            sql.push(if index == 0 { " ORDER BY " } else { ", " }).push(key).push(" NULLS LAST");
        }
        if !keys.is_empty() {
            sql.push(" LIMIT ").push_parameter(Parameter::Integer(i64::from(aggregate.limit) + 1));
        }
        Ok(sql)
    }

    /// The types of what is selected.
    fn columns_of(self, aggregate: &Aggregate) -> Result<Columns> {
        let keys = aggregate.group_by.iter().map(|column| self.type_of(column)).collect::<Result<_>>()?;
        let figure = |figure: &Figure| match figure {
            Figure::Count => Ok(ColumnType::Integer),
            Figure::Min(column) | Figure::Max(column) | Figure::Sum(column) => self.type_of(column),
        };
        let figures = aggregate.figures.iter().map(figure).collect::<Result<_>>()?;
        Ok(Columns { keys, figures })
    }

    fn type_of(self, column: &Column) -> Result<ColumnType> {
        match column {
            Column::System(field) => Ok(ColumnType::of(&field.field_type())),
            Column::Field(position) => match self.entity.schema().fields().get(*position) {
                Some(field) => Ok(ColumnType::of(&field.field_type)),
                None => Err(Error::Misuse("a field that the schema does not have")),
            },
            Column::Document(_) => Err(Error::Misuse("an aggregate of a document's key")),
        }
    }
}

/// The types of the columns to group by, and of those that figures are of.
struct Columns {
    keys: Vec<ColumnType>,
    figures: Vec<ColumnType>,
}

impl Columns {
    fn read(&self, row: &Row<'_>, figures: &[Figure]) -> Result<Group> {
        let mut next = 1..;
        let mut column = || next.next().unwrap_or_default();
        let mut group =
            Group { key: Vec::with_capacity(self.keys.len()), figures: Vec::with_capacity(figures.len()) };
        for key in &self.keys {
            group.key.push(key.read(row.get_ref(column())?)?.to_owned());
        }
        for (figure, of) in figures.iter().zip(&self.figures) {
            group.figures.push(match figure {
                Figure::Count => FigureValue::Count(count(row, column())?),
                Figure::Sum(_) => {
                    let of = count(row, column())?;
                    let high: Option<i64> = row.get(column())?;
                    let low: Option<i64> = row.get(column())?;
                    let sum = (i128::from(high.unwrap_or(0)) << 32) + i128::from(low.unwrap_or(0));
                    FigureValue::Sum { sum, of }
                }
                Figure::Min(_) | Figure::Max(_) => {
                    FigureValue::Value(of.read(row.get_ref(column())?)?.to_owned())
                }
            });
        }
        Ok(group)
    }
}

fn count(row: &Row<'_>, column: usize) -> Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| Error::Unreadable("count"))
}

fn of_no_records(figures: &[Figure]) -> Group {
    let figure = |figure: &Figure| match figure {
        Figure::Count => FigureValue::Count(0),
        Figure::Sum(_) => FigureValue::Sum { sum: 0, of: 0 },
        Figure::Min(_) | Figure::Max(_) => FigureValue::Value(erp_plugin_model::Value::Null),
    };
    Group { key: Vec::new(), figures: figures.iter().map(figure).collect() }
}
