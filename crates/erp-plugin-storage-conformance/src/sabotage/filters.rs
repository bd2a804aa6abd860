//! A backend that takes a condition for another: each such condition is replaced by the ids of the records that it
//! would find, so that everything around it stays what it is.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::Page;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{RecordId, Value};
use erp_plugin_storage::{
    Entity, InsertOutcome, NewRecord, QueryOutcome, RecordSink, RowView, Stamp, StorageResult,
};

use super::rows::{self, Row};
use crate::intercept::{Interceptor, Opened};

/// The filter with its conditions replaced, the outermost ones first. `None` leaves one as it is.
fn replaced(filter: &Filter, rows: &[Row], holds: &dyn Fn(&Filter, &Row) -> Option<bool>) -> Filter {
    let of_all: Option<Vec<_>> = rows.iter().map(|row| Some((row.id, holds(filter, row)?))).collect();
    let inner = |filters: &[Filter]| filters.iter().map(|filter| replaced(filter, rows, holds)).collect();
    match (of_all, filter) {
        (Some(all), _) if !all.is_empty() => {
            let found = all.into_iter().filter(|(_, holds)| *holds).map(|(id, _)| Value::Uuid(id.0));
            Filter::In(Column::System(SystemField::Id), found.collect())
        }
        (_, Filter::All(filters)) => Filter::All(inner(filters)),
        (_, Filter::Any(filters)) => Filter::Any(inner(filters)),
        (_, Filter::Not(filter)) => Filter::Not(Box::new(replaced(filter, rows, holds))),
        (_, condition) => condition.clone(),
    }
}

/// Whether a condition holds of a record, where that is otherwise.
pub(super) struct Takes(pub(super) fn(&Filter, &Row) -> Option<bool>);

fn value<'a>(row: &'a Row, column: &Column) -> ValueRef<'a> {
    row.column(column).unwrap()
}

/// Three values of logic instead of two.
pub(super) fn unknown_is_not_true(filter: &Filter, row: &Row) -> Option<bool> {
    let Filter::Not(condition) = filter else { return None };
    match &**condition {
        Filter::Compare(column, ..) | Filter::In(column, _) | Filter::Prefix(column, _) => {
            Some(value(row, column) != ValueRef::Null && row.matches(filter))
        }
        _ => None,
    }
}

pub(super) fn absent_is_unequal(filter: &Filter, row: &Row) -> Option<bool> {
    match filter {
        Filter::Compare(column, Comparison::Ne, with) => Some(value(row, column) != with.as_ref()),
        _ => None,
    }
}

/// Only `%` at the end, which is the commonest to forget.
pub(super) fn a_prefix_is_a_pattern(filter: &Filter, row: &Row) -> Option<bool> {
    let Filter::Prefix(column, prefix) = filter else { return None };
    let ValueRef::Text(text) = value(row, column) else { return Some(false) };
    Some(match prefix.strip_suffix('%') {
        Some(prefix) => text.starts_with(prefix),
        None => text.starts_with(prefix.as_str()),
    })
}

pub(super) fn a_prefix_ignores_case(filter: &Filter, row: &Row) -> Option<bool> {
    let Filter::Prefix(column, prefix) = filter else { return None };
    let ValueRef::Text(text) = value(row, column) else { return Some(false) };
    Some(text.to_lowercase().starts_with(&prefix.to_lowercase()))
}

pub(super) fn text_ignores_case(filter: &Filter, row: &Row) -> Option<bool> {
    compared(filter, row, str::to_lowercase)
}

/// By its UTF-16, as hexadecimal digits.
pub(super) fn text_is_utf16(filter: &Filter, row: &Row) -> Option<bool> {
    compared(filter, row, |text| text.encode_utf16().map(|unit| format!("{unit:04x}")).collect())
}

fn compared(filter: &Filter, row: &Row, key: fn(&str) -> String) -> Option<bool> {
    let Filter::Compare(column, comparison, Value::Text(with)) = filter else { return None };
    let ValueRef::Text(text) = value(row, column) else { return Some(false) };
    let order = key(text).cmp(&key(with));
    Some(match comparison {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Lte => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Gte => order.is_ge(),
    })
}

/// Only the ASCII letters, which is all that SQLite's `NOCASE` knows.
pub(super) fn a_search_folds_ascii_only(filter: &Filter, row: &Row) -> Option<bool> {
    // What is searched for is folded before; what is kept is the column's.
    match filter {
        Filter::FoldedEq(position, folded) => {
            Some(matches!(&row.values[*position], Value::Text(text) if text.to_ascii_lowercase() == *folded))
        }
        _ => None,
    }
}

#[async_trait]
impl Interceptor for Takes {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let rows = rows::all(opened.inner(), entity, &Filter::everything()).await?;
        let filter = replaced(filter, &rows, &self.0);
        opened.inner().query(entity, &filter, page, sink).await
    }
}

/// The fold of a text is kept at the insert and no update touches it.
#[derive(Default)]
pub(super) struct FoldsOnce {
    inserted: Mutex<BTreeMap<RecordId, Vec<Value>>>,
}

#[async_trait]
impl Interceptor for FoldsOnce {
    async fn insert(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        self.inserted.lock().unwrap().insert(record.id, record.values.to_vec());
        opened.inner().insert(entity, record, stamp).await
    }

    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let rows = rows::all(opened.inner(), entity, &Filter::everything()).await?;
        let inserted = self.inserted.lock().unwrap().clone();
        let filter = replaced(filter, &rows, &|filter, row| {
            let values = inserted.get(&row.id)?;
            let mut as_inserted = row.clone();
            as_inserted.values.clone_from(values);
            matches!(filter, Filter::FoldedEq(..) | Filter::FoldedPrefix(..))
                .then(|| as_inserted.matches(filter))
        });
        opened.inner().query(entity, &filter, page, sink).await
    }
}
