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
use erp_plugin_model::{EntityRef, EntitySchema, Field, FieldName, FieldType, Labels, RecordId, Value};
use erp_plugin_storage::{
    Entity, InsertOutcome, Mode, NewRecord, RecordSink, RowView, SinkFlow, Stamp, Storage, StorageResult,
    Transaction,
};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

use support::{new_uuid, options, platform, scope};

/// A field that can be absent, with an index.
fn entity() -> Entity {
    let number = Field {
        name: FieldName::parse("n").unwrap(),
        field_type: FieldType::Integer,
        required: false,
        unique: false,
        indexed: true,
        searchable: false,
        default: Value::Null,
        min: None,
        max: None,
        max_length: None,
        read_permission: None,
        write_permission: None,
        pattern: None,
        label: Labels::default(),
        renamed_from: None,
        column: None,
    };
    let name = EntityRef::parse("suite.number").unwrap();
    Entity::new(EntitySchema::declared(name, Labels::default(), None, vec![number]))
}

/// Few values, which so many records share; every fifth has none.
async fn filled(storage: &SqliteStorage, records: i64) -> Entity {
    let entity = entity();
    let mut platform = platform(storage).await;
    assert!(platform.create_entity(entity.schema()).await.unwrap());
    platform.commit().await.unwrap();
    let mut transaction = storage.begin(&scope("a"), options(Mode::Write)).await.unwrap();
    let stamp = Stamp { at: chrono::DateTime::UNIX_EPOCH, by: "anna" };
    let began = Instant::now();
    for chunk in 0..records / 1000 {
        let values: Vec<_> = (0..1000)
            .map(|n| chunk * 1000 + n)
            .map(|n| [if n % 5 == 0 { Value::Null } else { Value::Integer(n % 7) }])
            .collect();
        let rows: Vec<_> =
            values.iter().map(|values| NewRecord { id: RecordId(new_uuid()), values }).collect();
        let outcomes = transaction.insert_many(&entity, &rows, stamp).await.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == InsertOutcome::Inserted));
    }
    transaction.commit(None).await.unwrap();
    println!("{records} records inserted, a thousand at once, in {:?}", began.elapsed());
    entity
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
    let mut pages = Vec::new();
    loop {
        let page = Page { limit: 50, sort: sort.clone().into(), start, total: false };
        let mut last = Last::default();
        let began = Instant::now();
        let outcome = transaction.query(entity, &Filter::everything(), &page, &mut last).await.unwrap();
        pages.push((outcome.rows_scanned, began.elapsed()));
        if !outcome.has_more {
            return pages;
        }
        start = Start::After(last.1);
    }
}

async fn every_page_costs_what_the_first_one_costs(records: i64) {
    let storage = SqliteStorage::open(&SqliteOptions::memory()).unwrap();
    let entity = filled(&storage, records).await;
    let mut transaction = storage.begin(&scope("a"), options(Mode::Read)).await.unwrap();
    for descending in [false, true] {
        let pages = walk(&mut *transaction, &entity, descending).await;
        assert_eq!(pages.len() as i64, records / 50);
        let first = pages[0].0;
        for (number, (scanned, _)) in pages.iter().enumerate() {
            assert!(*scanned <= 2 * first, "page {number}: {scanned} looked at, by the first {first}");
        }
        let median = |pages: &[(u64, Duration)]| {
            let mut times: Vec<_> = pages.iter().map(|(_, time)| *time).collect();
            times.sort();
            times[times.len() / 2]
        };
        let (begin, end) = (&pages[..pages.len() / 10], &pages[pages.len() * 9 / 10..]);
        println!(
            "descending {descending}: a page takes {:?} among the first tenth, {:?} among the last",
            median(begin),
            median(end)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_page_looks_at_no_more_records_than_the_first() {
    every_page_costs_what_the_first_one_costs(20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while; prints its times"]
async fn so_it_is_of_a_million_records() {
    every_page_costs_what_the_first_one_costs(1_000_000).await;
}
