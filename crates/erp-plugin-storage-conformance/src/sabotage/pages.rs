//! A backend that cuts the pages of a query wrongly, or puts them in another order.

use std::cmp::Ordering;

use async_trait::async_trait;
use erp_plugin_model::Value;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_storage::{Entity, QueryOutcome, RecordSink, RowView, SinkFlow, StorageResult};
use uuid::Uuid;

use super::rows;
use crate::intercept::{Interceptor, Opened};

/// The page that is asked for below is another one.
pub(super) struct AsksFor(pub(super) fn(&mut Page));

/// After a cursor come the records whose keys are greater, as in `WHERE key > ?`.
pub(super) fn after_equal_keys(page: &mut Page) {
    equal_keys(page, |last| if last.descending { Uuid::nil() } else { Uuid::max() });
}

/// After a cursor come the records whose keys are not less, as in `WHERE key >= ?`.
pub(super) fn from_equal_keys(page: &mut Page) {
    equal_keys(page, |last| if last.descending { Uuid::max() } else { Uuid::nil() });
}

fn equal_keys(page: &mut Page, id: fn(&SortKey) -> Uuid) {
    if let (Start::After(values), [_, .., last]) = (&mut page.start, page.sort.as_slice()) {
        *values.last_mut().unwrap() = Value::Uuid(id(last));
    }
}

pub(super) fn from_the_beginning(page: &mut Page) {
    if let Start::Offset(offset) = &mut page.start {
        *offset = 0;
    }
}

pub(super) fn by_ascending_id(page: &mut Page) {
    if let Some(last) = page.sort.last_mut() {
        last.descending = false;
    }
}

#[async_trait]
impl Interceptor for AsksFor {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let mut other = page.clone();
        (self.0)(&mut other);
        opened.inner().query(entity, filter, &other, sink).await
    }
}

/// What is said of a page, beside its records, is otherwise. Given are the page and how many records it has.
pub(super) struct Says(pub(super) fn(&mut QueryOutcome, &Page, u64));

pub(super) fn never_more(outcome: &mut QueryOutcome, _: &Page, _: u64) {
    outcome.has_more = false;
}

pub(super) fn more_after_every_full_page(outcome: &mut QueryOutcome, page: &Page, found: u64) {
    outcome.has_more = found == u64::from(page.limit);
}

pub(super) fn the_total_of_the_page(outcome: &mut QueryOutcome, _: &Page, found: u64) {
    outcome.total = outcome.total.map(|_| found);
}

pub(super) fn only_what_was_found_was_looked_at(outcome: &mut QueryOutcome, _: &Page, found: u64) {
    outcome.rows_scanned = found;
}

struct Counting<'a> {
    sink: &'a mut dyn RecordSink,
    found: u64,
}

impl RecordSink for Counting<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.found += 1;
        self.sink.record(row)
    }
}

#[async_trait]
impl Interceptor for Says {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let mut counting = Counting { sink, found: 0 };
        let mut outcome = opened.inner().query(entity, filter, page, &mut counting).await?;
        (self.0)(&mut outcome, page, counting.found);
        Ok(outcome)
    }
}

/// A sink that has enough gets the rest of the page all the same.
pub(super) struct NeverStops;

struct Insatiable<'a>(&'a mut dyn RecordSink);

impl RecordSink for Insatiable<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.0.record(row).map(|_| SinkFlow::Continue)
    }
}

#[async_trait]
impl Interceptor for NeverStops {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        opened.inner().query(entity, filter, page, &mut Insatiable(sink)).await
    }
}

/// How the keys of two records stand to each other.
type KeysOrder = fn(&[Value], &[Value], &[SortKey]) -> Ordering;

/// Records come in one order, and a cursor finds its place by one.
pub(super) struct Sorted {
    pub(super) order: KeysOrder,
    pub(super) cursor: KeysOrder,
}

impl Sorted {
    /// Both by the same.
    pub(super) fn by(order: KeysOrder) -> Self {
        Self { order, cursor: order }
    }
}

/// As it is promised.
pub(super) fn absent_last(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    rows::compare(a, b, sort, rows::absent_last)
}

/// What SQLite does by itself.
pub(super) fn absent_is_least(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    rows::compare(a, b, sort, |a, b, key| match (a.is_null(), b.is_null()) {
        (true, false) if !key.descending => Ordering::Less,
        (false, true) if !key.descending => Ordering::Greater,
        _ => rows::absent_last(a, b, key),
    })
}

/// What Postgres does by itself.
pub(super) fn absent_is_greatest(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    rows::compare(a, b, sort, |a, b, key| match (a.is_null(), b.is_null()) {
        (true, false) if key.descending => Ordering::Less,
        (false, true) if key.descending => Ordering::Greater,
        _ => rows::absent_last(a, b, key),
    })
}

/// What a database does whose texts are UTF-16.
pub(super) fn by_utf16(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    by_text(a, b, sort, |a, b| a.encode_utf16().cmp(b.encode_utf16()))
}

/// What a collation does that follows a language.
pub(super) fn by_language(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    by_text(a, b, sort, |a, b| a.to_lowercase().cmp(&b.to_lowercase()).then_with(|| b.cmp(a)))
}

fn by_text(a: &[Value], b: &[Value], sort: &[SortKey], order: fn(&str, &str) -> Ordering) -> Ordering {
    let orders = sort.iter().zip(a.iter().zip(b)).map(|(key, values)| match values {
        (Value::Text(a), Value::Text(b)) if key.descending => order(b, a),
        (Value::Text(a), Value::Text(b)) => order(a, b),
        (a, b) => rows::absent_last(a, b, key),
    });
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// As `(a, b) > (?, ?)` does: every key in the direction of the first.
pub(super) fn all_in_one_direction(a: &[Value], b: &[Value], sort: &[SortKey]) -> Ordering {
    let descending = sort.first().is_some_and(|key| key.descending);
    let sort: Vec<_> = sort.iter().map(|key| SortKey { descending, ..key.clone() }).collect();
    rows::compare(a, b, &sort, rows::absent_last)
}

#[async_trait]
impl Interceptor for Sorted {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let mut rows = rows::all(opened.inner(), entity, filter).await?;
        let total = page.total.then_some(rows.len() as u64);
        let rows_scanned = rows.len() as u64;
        rows.sort_by(|a, b| (self.order)(&a.key(&page.sort), &b.key(&page.sort), &page.sort));
        match &page.start {
            Start::Offset(offset) => {
                rows.drain(..rows.len().min(usize::try_from(*offset).unwrap()));
            }
            Start::After(cursor) => {
                rows.retain(|row| (self.cursor)(&row.key(&page.sort), cursor, &page.sort).is_gt());
            }
        }
        let has_more = rows.len() > page.limit as usize;
        rows.truncate(page.limit as usize);
        rows::give(&rows, sink)?;
        Ok(QueryOutcome { has_more, total, rows_scanned })
    }
}
