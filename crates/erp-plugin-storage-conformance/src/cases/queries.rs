//! Pages of records.

use std::sync::Arc;

use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::{Page, Start};
use erp_plugin_model::{FieldType, RecordId, Value};
use erp_plugin_storage::{
    Entity, ErrorKind, RecordSink, RowView, SinkFlow, Storage, StorageError, StorageResult,
};

use crate::fixture::{ALPHA, declare, equals, every_type, given, insert, page, query, read, required, write};

async fn numbered(storage: &Arc<dyn Storage>, records: i64) -> (Entity, Vec<RecordId>) {
    let entity = declare(storage, "suite.sample", vec![required("n", FieldType::Integer)]).await;
    let ids = given(storage, ALPHA, &entity, (0..records).map(|n| vec![Value::Integer(n)])).await;
    (entity, ids)
}

pub async fn an_empty_entity_has_an_empty_page(storage: Arc<dyn Storage>) {
    let (entity, _) = numbered(&storage, 0).await;
    let counting = Page { total: true, ..page(10) };
    let (outcome, found) =
        query(&mut *read(&storage, ALPHA).await, &entity, &Filter::everything(), &counting).await;
    assert_eq!((outcome.has_more, outcome.total, found), (false, Some(0), Vec::new()));
}

pub async fn a_page_has_at_most_its_limit_and_says_whether_more_follow(storage: Arc<dyn Storage>) {
    let (entity, ids) = numbered(&storage, 10).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (limit, shown, has_more) in [(1, 1, true), (9, 9, true), (10, 10, false), (11, 10, false)] {
        let (outcome, found) = query(&mut *transaction, &entity, &Filter::everything(), &page(limit)).await;
        assert_eq!((outcome.has_more, outcome.total), (has_more, None), "limit {limit}");
        assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), ids[..shown], "limit {limit}");
    }
}

pub async fn an_offset_skips_records(storage: Arc<dyn Storage>) {
    let (entity, ids) = numbered(&storage, 10).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (offset, expected, has_more) in
        [(0, &ids[..4], true), (3, &ids[3..7], true), (6, &ids[6..], false), (9, &ids[9..], false)]
    {
        let page = Page { start: Start::Offset(offset), ..page(4) };
        let (outcome, found) = query(&mut *transaction, &entity, &Filter::everything(), &page).await;
        assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), expected, "offset {offset}");
        assert_eq!(outcome.has_more, has_more, "offset {offset}");
    }
    for beyond in [10, 1000, u64::MAX] {
        let page = Page { start: Start::Offset(beyond), ..page(4) };
        let (outcome, found) = query(&mut *transaction, &entity, &Filter::everything(), &page).await;
        assert!(found.is_empty() && !outcome.has_more, "offset {beyond}");
    }
}

pub async fn the_total_is_of_all_that_match_and_only_on_request(storage: Arc<dyn Storage>) {
    let (entity, ids) = numbered(&storage, 10).await;
    let mut transaction = read(&storage, ALPHA).await;
    let few = Filter::In(erp_plugin_model::filter::Column::Field(0), [1, 3, 5, 7].map(Value::Integer).into());
    let after = Start::After(vec![Value::Uuid(ids[3].0)]);
    for (filter, start, total) in [
        (Filter::everything(), Start::Offset(0), 10),
        (few.clone(), Start::Offset(0), 4),
        (few.clone(), Start::Offset(3), 4),
        (few, after, 4),
    ] {
        let asked = Page { total: true, start, ..page(2) };
        assert_eq!(query(&mut *transaction, &entity, &filter, &asked).await.0.total, Some(total));
        let not_asked = Page { total: false, ..asked };
        assert_eq!(query(&mut *transaction, &entity, &filter, &not_asked).await.0.total, None);
    }
}

pub async fn what_a_query_looks_at_is_counted_whether_it_finds_it_or_not(storage: Arc<dyn Storage>) {
    let (entity, _) = numbered(&storage, 1000).await;
    let mut transaction = read(&storage, ALPHA).await;
    let none = equals(0, Value::Integer(-1));
    let mut scanned = async |filter: &Filter, page: Page| {
        query(&mut *transaction, &entity, filter, &page).await.0.rows_scanned
    };
    // An estimate, so not to the record; but of that size, and the same each time.
    let searched = scanned(&none, page(10)).await;
    assert!((500..3000).contains(&searched), "{searched}");
    assert_eq!(scanned(&none, page(10)).await, searched);
    let counted = scanned(&none, Page { total: true, ..page(10) }).await;
    assert!((1000..6000).contains(&counted), "{counted}");
    // As many again are passed over.
    let skipped = scanned(&Filter::everything(), Page { start: Start::Offset(900), ..page(10) }).await;
    assert!((200..3000).contains(&skipped), "{skipped}");
    let first = scanned(&Filter::everything(), page(10)).await;
    assert!(first < 100, "{first}");
}

pub async fn a_query_sees_what_its_own_transaction_wrote(storage: Arc<dyn Storage>) {
    let (entity, _) = numbered(&storage, 1).await;
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &entity, &[Value::Integer(1)]).await;
    let (_, found) = query(&mut *transaction, &entity, &Filter::everything(), &page(10)).await;
    assert_eq!(found.len(), 2);
}

pub async fn a_row_shows_every_value_of_every_type(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let mut row = vec![Value::Null; 12];
    row[2] = Value::Integer(i64::MIN);
    row[5] = Value::Date("0001-01-01".parse().unwrap());
    let rows = [vec![Value::Null; 12], row];
    given(&storage, ALPHA, &entity, rows.clone()).await;
    let (_, found) =
        query(&mut *read(&storage, ALPHA).await, &entity, &Filter::everything(), &page(10)).await;
    assert_eq!(found.into_iter().map(|found| found.values).collect::<Vec<_>>(), rows);
}

/// Wants so many records, then answers as it was told.
struct Impatient {
    wants: usize,
    then: fn() -> StorageResult<SinkFlow>,
}

impl RecordSink for Impatient {
    fn record(&mut self, _: &dyn RowView) -> StorageResult<SinkFlow> {
        if self.wants == 0 {
            panic!("a record after the last wanted one");
        }
        self.wants -= 1;
        if self.wants == 0 { (self.then)() } else { Ok(SinkFlow::Continue) }
    }
}

pub async fn a_sink_that_has_enough_gets_no_more(storage: Arc<dyn Storage>) {
    let (entity, _) = numbered(&storage, 10).await;
    let mut transaction = write(&storage, ALPHA).await;
    let mut sink = Impatient { wants: 3, then: || Ok(SinkFlow::Stop) };
    transaction.query(&entity, &Filter::everything(), &page(10), &mut sink).await.unwrap();
    assert_eq!(sink.wants, 0);
}

pub async fn a_sink_that_fails_ends_the_query_and_leaves_the_transaction(storage: Arc<dyn Storage>) {
    let (entity, ids) = numbered(&storage, 10).await;
    let mut transaction = write(&storage, ALPHA).await;
    let mut sink = Impatient { wants: 2, then: || Err(StorageError::new(ErrorKind::Bug, "sink")) };
    let error = transaction.query(&entity, &Filter::everything(), &page(10), &mut sink).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Bug, "sink"));
    let mut sink = Impatient { wants: 1, then: || Err(StorageError::new(ErrorKind::Bug, "sink")) };
    let error = transaction.get(&entity, ids[0], &mut sink).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::Bug, "sink"));
    let id = insert(&mut *transaction, &entity, &[Value::Integer(10)]).await;
    transaction.commit(None).await.unwrap();
    assert!(crate::fixture::seen(&storage, ALPHA, &entity, id).await.is_some());
}
