//! A page of records as SQL.
//!
//! Absent values come last in both directions; every sort ends with `id`, so the order is total and a cursor is the
//! values of one row. What follows that row is: greater in the first key, or equal in it and greater in the second,
//! and so on, where an absent value is greater than all and equal to itself.
//!
//! An index is in one order, in which absent values are at one end, and it serves both directions only if they need
//! not be told apart. So a page whose first key can be absent is asked for in two parts: first the records that have
//! it, then, if there is room, those that do not. Each part begins in the index where the cursor stands, so that the
//! thousandth page costs what the first does.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntitySchema, TenantId, Value};
use erp_plugin_storage::layout::index_of;
use tokio_postgres::types::Type;

use crate::error::{Error, Result};
use crate::filter::{self, column_name};
use crate::sql::{Parameter, Sql};
use crate::statements::Statements;

/// Which records a part of a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All there are.
    Whole,
    /// Those that have the first key.
    Present,
    /// Those that do not.
    Absent,
}

/// What a page is asked for, part by part.
pub(crate) struct Question<'a> {
    pub(crate) statements: &'a Statements,
    pub(crate) schema: &'a EntitySchema,
    pub(crate) tenant: &'a TenantId,
    pub(crate) filter: &'a Filter,
    pub(crate) page: &'a Page,
}

/// The parts of a page, in their order.
pub(crate) fn parts(schema: &EntitySchema, page: &Page) -> &'static [Part] {
    let Some(first) = page.sort.first() else { return &[Part::Whole] };
    if !is_nullable(schema, &first.column) {
        return &[Part::Whole];
    }
    match &page.start {
        Start::After(values) if values.first().is_some_and(Value::is_null) => &[Part::Absent],
        Start::After(_) | Start::Offset(_) => &[Part::Present, Part::Absent],
    }
}

impl<'a> Question<'a> {
    /// The select of at most `limit` records of a part, after skipping some.
    pub(crate) fn select(&self, part: Part, skipped: u64, limit: u32) -> Result<Sql<'a>> {
        let Self { schema, page, .. } = *self;
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&self.statements.columns);
        self.push_from(&mut sql)?;
        self.push_part(&mut sql, part)?;
        let keys = self.keys(part);
        match (&page.start, part) {
            (Start::Offset(_), _) => {}
            (Start::After(values), Part::Absent) => {
                // A cursor on a record that has the first key stands before all that do not.
                if values.first().is_some_and(Value::is_null) {
                    push_after(&mut sql, schema, keys, values.get(1..).unwrap_or_default(), false)?;
                }
            }
            (Start::After(values), part) => {
                let values = values.get(..keys.len()).unwrap_or_default();
                push_after(&mut sql, schema, keys, values, part == Part::Present)?;
            }
        }
        let named = if part == Part::Absent && self.names_absent() { &page.sort } else { keys };
        for (index, SortKey { column, descending }) in named.iter().enumerate() {
            sql.push(if index == 0 { " ORDER BY " } else { ", " }).push(&column_name(schema, column)?.0);
            // Of the first key all are present, or none is.
            let is_uniform = index == 0 && (part == Part::Present || named.len() > keys.len());
            sql.push(match (descending, is_uniform || !is_nullable(schema, column)) {
                (false, _) => "",
                // Only what is said differs: the index is in this order.
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            });
        }
        sql.push(" LIMIT ").push_parameter(Parameter::Integer(i64::from(limit)), Type::INT8);
        if skipped > 0 {
            let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
            sql.push(" OFFSET ").push_parameter(Parameter::Integer(skipped), Type::INT8);
        }
        Ok(sql)
    }

    /// Whether the first key is to be named in the order of those that do not have it: Postgres does not see that it is
    /// the same for all of them, and would pass over the index that has them in their order.
    fn names_absent(&self) -> bool {
        match self.page.sort.first().map(|key| &key.column) {
            Some(Column::Field(position)) => {
                let index = self.schema.fields().get(*position).and_then(|field| index_of("", field));
                index.is_some_and(|index| !index.unique)
            }
            _ => false,
        }
    }

    /// What decides the order of a part: where the first key is the same for all, the others; where no two have the
    /// same, the first alone, which is also all that its index is in the order of.
    fn keys(&self, part: Part) -> &'a [SortKey] {
        let Self { schema, page, .. } = *self;
        match (part, page.sort.first()) {
            (Part::Absent, _) => page.sort.get(1..).unwrap_or_default(),
            (Part::Whole | Part::Present, Some(first)) if is_unique(schema, &first.column) => {
                page.sort.get(..1).unwrap_or_default()
            }
            (Part::Whole | Part::Present, _) => &page.sort,
        }
    }

    /// The count of all records of a part.
    pub(crate) fn count(&self, part: Part) -> Result<Sql<'a>> {
        let mut sql = Sql::default();
        sql.push("SELECT count(*)");
        self.push_from(&mut sql)?;
        self.push_part(&mut sql, part)?;
        Ok(sql)
    }

    fn push_part(&self, sql: &mut Sql<'a>, part: Part) -> Result<()> {
        if let (Some(first), Part::Present | Part::Absent) = (self.page.sort.first(), part) {
            sql.push(" AND ").push(&column_name(self.schema, &first.column)?.0);
            sql.push(if part == Part::Present { " IS NOT NULL" } else { " IS NULL" });
        }
        Ok(())
    }

    fn push_from(&self, sql: &mut Sql<'a>) -> Result<()> {
        push_from(sql, self.statements, self.schema, self.tenant, self.filter)
    }
}

/// Appends which table, and which of its records.
pub(crate) fn push_from<'a>(
    sql: &mut Sql<'a>,
    statements: &Statements,
    schema: &EntitySchema,
    tenant: &'a TenantId,
    matching: &'a Filter,
) -> Result<()> {
    sql.push(" FROM ").push(&statements.table).push(" WHERE tenant_id = ");
    sql.push_parameter(Parameter::Text(tenant.as_str()), Type::TEXT).push(" AND deleted_at IS NULL");
    if !matches!(matching, Filter::All(filters) if filters.is_empty()) {
        sql.push(" AND ");
        filter::push(sql, schema, matching)?;
    }
    Ok(())
}

/// Whether an index leads to all that can match, a record for each value asked for.
pub(crate) fn finds_few(schema: &EntitySchema, matching: &Filter) -> bool {
    match matching {
        Filter::Compare(column, Comparison::Eq, _) | Filter::In(column, _) => is_unique(schema, column),
        Filter::All(filters) => filters.iter().any(|filter| finds_few(schema, filter)),
        _ => false,
    }
}

/// Whether no two live records of a tenant have the same value there.
fn is_unique(schema: &EntitySchema, column: &Column) -> bool {
    match column {
        Column::System(field) => *field == SystemField::Id,
        Column::Field(position) => schema.fields().get(*position).is_some_and(|field| field.unique),
        Column::Document(_) => false,
    }
}

/// Appends the condition of what comes after the row that has these values. `first_is_present` says that the first
/// key is never absent here, though it may be elsewhere.
fn push_after<'a>(
    sql: &mut Sql<'a>,
    schema: &EntitySchema,
    sort: &[SortKey],
    values: &'a [Value],
    first_is_present: bool,
) -> Result<()> {
    if sort.len() != values.len() {
        return Err(Error::Misuse("a cursor with other keys than the sort"));
    }
    let Some((first, rest)) = sort.split_first() else { return Ok(()) };
    let nullable =
        |index: usize, key: &SortKey| (index > 0 || !first_is_present) && is_nullable(schema, &key.column);
    let is_uniform = rest.iter().all(|key| key.descending == first.descending);
    if is_uniform && !sort.iter().enumerate().any(|(index, key)| nullable(index, key)) {
        // One comparison of rows, at which an index can begin.
        sql.push(" AND (");
        for (index, key) in sort.iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " }).push(&column_name(schema, &key.column)?.0);
        }
        sql.push(if first.descending { ") < (" } else { ") > (" });
        for (index, (key, value)) in sort.iter().zip(values).enumerate() {
            let of = column_name(schema, &key.column)?.1;
            sql.push(if index == 0 { "" } else { ", " });
            sql.push_parameter(Parameter::Value(value), of.parameter());
        }
        sql.push(")");
        return Ok(());
    }
    if let Some(value) = values.first()
        && !nullable(0, first)
    {
        // Implied by what follows; said, because an index can begin at it.
        let (name, of) = column_name(schema, &first.column)?;
        sql.push(" AND ").push(&name).push(if first.descending { " <= " } else { " >= " });
        sql.push_parameter(Parameter::Value(value), of.parameter());
    }
    sql.push(" AND (");
    let mut or = "";
    for (index, (key, value)) in sort.iter().zip(values).enumerate() {
        if value.is_null() {
            // Nothing comes after an absent value.
            continue;
        }
        sql.push(or).push("(");
        or = " OR ";
        for (before, value) in sort.iter().zip(values).take(index) {
            let (name, of) = column_name(schema, &before.column)?;
            sql.push(&name);
            match value {
                Value::Null => sql.push(" IS NULL AND "),
                value => {
                    sql.push(" = ").push_parameter(Parameter::Value(value), of.parameter()).push(" AND ")
                }
            };
        }
        let (name, of) = column_name(schema, &key.column)?;
        sql.push("(").push(&name).push(if key.descending { " < " } else { " > " });
        sql.push_parameter(Parameter::Value(value), of.parameter());
        if nullable(index, key) {
            sql.push(" OR ").push(&name).push(" IS NULL");
        }
        sql.push("))");
    }
    sql.push(if or.is_empty() { "false)" } else { ")" });
    Ok(())
}

/// Whether a record may have no value there.
pub(crate) fn is_nullable(schema: &EntitySchema, column: &Column) -> bool {
    match column {
        Column::System(_) => false,
        Column::Field(position) => schema.fields().get(*position).is_none_or(|field| !field.required),
        Column::Document(_) => true,
    }
}
