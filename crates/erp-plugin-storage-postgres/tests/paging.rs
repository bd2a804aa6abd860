//! A page after a cursor costs what the first one costs, wherever it is.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, EntitySchema, Field, FieldType, Labels, RecordId, Value};
use erp_plugin_storage::{
    Entity, InsertOutcome, Mode, NewRecord, RecordSink, RowView, SinkFlow, Storage, StorageResult,
    Transaction, TransactionOptions,
};
use erp_plugin_storage_postgres::PostgresStorage;

use support::notes::{STAMP, create, field, new_uuid, options, scope};
use support::{As, Database};

/// A field that can be absent, with an index.
fn entity() -> Entity {
    let number = Field { indexed: true, ..field("n", FieldType::Integer) };
    let name = EntityRef::parse("suite.number").unwrap();
    Entity::new(EntitySchema::declared(name, Labels::default(), None, vec![number]))
}

/// For as long as it takes.
fn patient(mode: Mode) -> TransactionOptions {
    TransactionOptions { deadline: Instant::now() + Duration::from_secs(1800), ..options(mode) }
}

/// Few values, which so many records share; every fifth has none.
async fn fill(storage: &PostgresStorage, entity: &Entity, records: i64) {
    let began = Instant::now();
    for chunk in 0..records / 1000 {
        let mut transaction = storage.begin(&scope("a"), options(Mode::Write)).await.unwrap();
        let values: Vec<_> = (0..1000)
            .map(|n| chunk * 1000 + n)
            .map(|n| [if n % 5 == 0 { Value::Null } else { Value::Integer(n % 7) }])
            .collect();
        let rows: Vec<_> =
            values.iter().map(|values| NewRecord { id: RecordId(new_uuid()), values }).collect();
        let outcomes = transaction.insert_many(entity, &rows, STAMP).await.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == InsertOutcome::Inserted));
        transaction.commit(None).await.unwrap();
    }
    println!("{records} records inserted, a thousand at once, in {:?}", began.elapsed());
}

#[derive(Default)]
struct Last(u64, Vec<Value>);

impl RecordSink for Last {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.0 += 1;
        self.1 = vec![row.field(0)?.to_owned(), Value::Uuid(row.system()?.id.0)];
        Ok(SinkFlow::Continue)
    }
}

/// Walks through all pages; how much each one looked at, and how long it took.
async fn walk(transaction: &mut dyn Transaction, entity: &Entity, descending: bool) -> Vec<(u64, Duration)> {
    let columns = [Column::Field(0), Column::System(SystemField::Id)];
    let sort = columns.map(|column| SortKey { column, descending });
    let mut start = Start::Offset(0);
    let (mut pages, mut given) = (Vec::new(), 0);
    loop {
        let page = Page { limit: 50, sort: sort.clone().into(), start, total: false };
        let mut last = Last::default();
        let began = Instant::now();
        let outcome = transaction.query(entity, &Filter::everything(), &page, &mut last).await.unwrap();
        pages.push((outcome.rows_scanned, began.elapsed()));
        given += last.0;
        if !outcome.has_more {
            assert_eq!(given, 50 * pages.len() as u64, "each record once");
            return pages;
        }
        start = Start::After(last.1);
    }
}

async fn every_page_costs_what_the_first_one_costs(how: As, records: i64) {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, how).await;
    let storage = PostgresStorage::open(&database.options()).await.unwrap();
    let entity = entity();
    create(&storage, &entity).await;
    fill(&storage, &entity, records).await;
    // The server does so by itself, a minute later.
    database.admin().await.batch_execute("VACUUM ANALYZE erp_plugin.suite__number").await.unwrap();
    let mut transaction = storage.begin(&scope("a"), patient(Mode::Read)).await.unwrap();
    for descending in [false, true] {
        let pages = walk(&mut *transaction, &entity, descending).await;
        assert_eq!(pages.len() as i64, records / 50);
        let first = pages[0].0;
        assert!((50..=60).contains(&first), "{first} looked at for a page of 50");
        for (number, (scanned, _)) in pages.iter().enumerate() {
            assert!(*scanned <= 2 * first, "page {number}: {scanned} looked at, by the first {first}");
        }
        let median = |pages: &[(u64, Duration)]| {
            let mut times: Vec<_> = pages.iter().map(|(_, time)| *time).collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (begin, end) = (&pages[..pages.len() / 10], &pages[pages.len() * 9 / 10..]);
        println!(
            "descending {descending}: a page takes {:?} among the first tenth, {:?} among the last",
            median(begin),
            median(end)
        );
    }
    transaction.rollback(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_page_looks_at_no_more_records_than_the_first() {
    every_page_costs_what_the_first_one_costs(As::App, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_it_in_partitions() {
    every_page_costs_what_the_first_one_costs(As::Partitioned, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while; prints its times"]
async fn so_it_is_of_a_million_records() {
    every_page_costs_what_the_first_one_costs(As::App, 1_000_000).await;
}
