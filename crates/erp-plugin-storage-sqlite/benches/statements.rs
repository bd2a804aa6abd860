//! What this crate adds to bare rusqlite: the same rows, the same pragmas, the same statements, inside a transaction.
//! And what group commit gives. Interleaved rounds, medians; on a shared machine only the ratios mean anything.
//!
//! `cargo bench -p erp-plugin-storage-sqlite`

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{
    EntityRef, EntitySchema, Field, FieldName, FieldType, Labels, RecordId, TenantId, Value, Version,
};
use erp_plugin_storage::{
    Change, Entity, Mode, NewRecord, PlatformScope, RecordSink, RowView, SinkFlow, Stamp, Storage,
    StorageResult, TenantScope, Transaction, TransactionOptions,
};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage, Synchronous};
use rusqlite::Connection;
use tokio::runtime::Runtime;
use uuid::Uuid;

const ROUNDS: usize = 15;
const ROWS: usize = 4_000;
const READS: usize = 10 * ROWS;
const QUERIES: usize = 400;
const BY: &str = "plugin:inventory";

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let folder = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    if wanted("statements") {
        statements(&runtime, folder.path());
    }
    if wanted("groups") {
        groups(&runtime, folder.path());
    }
}

fn statements(runtime: &Runtime, folder: &Path) {
    let ours = Arc::new(Ours::new(&folder.join("ours.db")));
    let bare = bare_connection(&folder.join("bare.db"));
    let mut figures = [const { Vec::new() }; 10];
    for round in 0..ROUNDS {
        let ours = ours.clone();
        // In a task: `block_on` alone would not be on one of the runtime's own threads.
        let times =
            runtime.block_on(async move { tokio::spawn(async move { ours.round(round).await }).await });
        for (figure, time) in figures.iter_mut().zip(times.unwrap()) {
            figure.push(time);
        }
        for (figure, time) in figures.iter_mut().skip(5).zip(bare_round(&bare, round)) {
            figure.push(time);
        }
    }
    let [insert, get, update, find, query, bare_insert, bare_get, bare_update, bare_find, bare_query] =
        figures.map(median);
    println!("inside a transaction, file, medians of {ROUNDS} rounds        ours        bare   ratio");
    for (name, ours, bare) in [
        ("insert a record", insert, bare_insert),
        ("get a record by id", get, bare_get),
        ("update a field of a record, and get it", update, bare_update),
        ("query one record by a unique field", find, bare_find),
        ("query 100 records", query, bare_query),
    ] {
        println!("{name:<54}{:>8.2} µs {:>8.2} µs   {:.2}", ours * 1e6, bare * 1e6, ours / bare);
    }
}

fn groups(runtime: &Runtime, folder: &Path) {
    for synchronous in [Synchronous::Full, Synchronous::Normal] {
        let mut rates = [const { Vec::new() }; 2];
        for round in 0..ROUNDS {
            for (rate, writers) in rates.iter_mut().zip([1, 16]) {
                let path = folder.join(format!("group-{synchronous:?}-{writers}-{round}.db"));
                rate.push(runtime.block_on(invocations_per_second(&path, synchronous, writers)));
            }
        }
        let [one, sixteen] = rates.map(median);
        println!(
            "invocations per second, one insert each, {synchronous:?}: 1 writer {one:.0}, 16 writers {sixteen:.0}, \
             ratio {:.1}",
            sixteen / one
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn tenant() -> TenantId {
    TenantId::parse("northwind").unwrap()
}

fn options(mode: Mode) -> TransactionOptions {
    TransactionOptions {
        mode,
        deadline: Instant::now() + Duration::from_secs(600),
        writer_hold: Duration::from_secs(600),
    }
}

fn entity() -> Entity {
    let field = |name: &str, field_type: FieldType, unique: bool| Field {
        name: FieldName::parse(name).unwrap(),
        field_type,
        required: false,
        unique,
        indexed: false,
        default: Value::Null,
        min: None,
        max: None,
        max_length: None,
        pattern: None,
        label: Labels::default(),
    };
    Entity::new(EntitySchema::declared(
        EntityRef::parse("inventory.item").unwrap(),
        Labels::default(),
        None,
        vec![
            field("sku", FieldType::String, true),
            field("name", FieldType::String, false),
            field("category", FieldType::String, false),
            field("unit", FieldType::String, false),
            field("unit_price", FieldType::Decimal { precision: 12, scale: 2 }, false),
            field("on_hand", FieldType::Integer, false),
            field("reorder_level", FieldType::Integer, false),
            field("discontinued", FieldType::Boolean, false),
        ],
    ))
}

fn id(round: usize, number: usize) -> RecordId {
    let number = u128::try_from(round * ROWS + number).unwrap();
    RecordId(Uuid::from_u128((0x0198_c0de_0000_7000_8000_0000_0000_0000) | number))
}

fn values(round: usize, number: usize) -> [Value; 8] {
    [
        Value::Text(format!("SKU-{round:03}-{number:06}")),
        Value::Text("Chai, first flush".to_owned()),
        Value::Text("Beverages".to_owned()),
        Value::Text("10 boxes x 20 bags".to_owned()),
        Value::Decimal(1850),
        Value::Integer(39),
        Value::Integer(10),
        Value::Boolean(false),
    ]
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_760_000_000_000_000).unwrap()
}

/// Looks at every value of every row, as the writer of an answer does.
#[derive(Default)]
struct Look {
    rows: usize,
}

impl RecordSink for Look {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.rows += 1;
        black_box(row.system()?);
        for position in 0..8 {
            black_box(row.field(position)?);
        }
        Ok(SinkFlow::Continue)
    }
}

struct Ours {
    storage: SqliteStorage,
    entity: Entity,
}

impl Ours {
    fn new(path: &Path) -> Self {
        Self { storage: SqliteStorage::open(&SqliteOptions::file(path)).unwrap(), entity: entity() }
    }

    async fn round(&self, round: usize) -> [f64; 5] {
        if round == 0 {
            create(&self.storage, &self.entity).await;
        }
        let scope = TenantScope::granted_by_host(tenant());
        let mut transaction = self.storage.begin(&scope, options(Mode::Write)).await.unwrap();
        let rows: Vec<_> = (0..ROWS).map(|number| (id(round, number), values(round, number))).collect();
        let (at, by) = (now(), BY);
        let start = Instant::now();
        for (id, values) in &rows {
            transaction.insert(&self.entity, NewRecord { id: *id, values }, Stamp { at, by }).await.unwrap();
        }
        let insert = start.elapsed().as_secs_f64() / ROWS as f64;
        let mut look = Look::default();
        let start = Instant::now();
        for (id, _) in rows.iter().cycle().take(READS) {
            transaction.get(&self.entity, *id, &mut look).await.unwrap();
        }
        let get = start.elapsed().as_secs_f64() / READS as f64;
        assert_eq!(look.rows, READS);
        let change = [(5, Value::Integer(40))];
        let start = Instant::now();
        for (id, _) in &rows {
            let (change, stamp) = (Change::Fields(&change), Stamp { at, by });
            transaction.update(&self.entity, *id, Version::FIRST, change, stamp, &mut look).await.unwrap();
        }
        let update = start.elapsed().as_secs_f64() / ROWS as f64;
        let find = self.finds(&mut *transaction, &rows).await;
        let query = self.queries(&mut *transaction).await;
        transaction.rollback(None).await.unwrap();
        [insert, get, update, find, query]
    }

    async fn finds(&self, transaction: &mut dyn Transaction, rows: &[(RecordId, [Value; 8])]) -> f64 {
        let page = Page {
            limit: 1,
            sort: vec![SortKey { column: Column::System(SystemField::Id), descending: false }],
            start: Start::Offset(0),
            total: false,
        };
        let mut look = Look::default();
        let filters: Vec<_> = rows
            .iter()
            .map(|(_, values)| Filter::Compare(Column::Field(0), Comparison::Eq, values[0].clone()))
            .collect();
        let start = Instant::now();
        for filter in &filters {
            transaction.query(&self.entity, filter, &page, &mut look).await.unwrap();
        }
        assert_eq!(look.rows, ROWS);
        start.elapsed().as_secs_f64() / ROWS as f64
    }

    async fn queries(&self, transaction: &mut dyn Transaction) -> f64 {
        let page = Page {
            limit: 100,
            sort: vec![SortKey { column: Column::System(SystemField::Id), descending: false }],
            start: Start::Offset(0),
            total: false,
        };
        let filter = Filter::everything();
        let mut look = Look::default();
        let start = Instant::now();
        for _ in 0..QUERIES {
            transaction.query(&self.entity, &filter, &page, &mut look).await.unwrap();
        }
        assert_eq!(look.rows, 100 * QUERIES);
        start.elapsed().as_secs_f64() / QUERIES as f64
    }
}

async fn create(storage: &SqliteStorage, entity: &Entity) {
    let scope = PlatformScope::granted_by_host();
    let mut platform = storage.begin_platform(scope, options(Mode::Write)).await.unwrap();
    assert!(platform.create_entity(entity.schema()).await.unwrap());
    platform.commit().await.unwrap();
}

async fn invocations_per_second(path: &Path, synchronous: Synchronous, writers: usize) -> f64 {
    const INVOCATIONS: usize = 480;
    let storage = SqliteStorage::open(&SqliteOptions::file(path).synchronous(synchronous)).unwrap();
    let (storage, entity) = (Arc::new(storage), Arc::new(entity()));
    create(&storage, &entity).await;
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (storage, entity) = (storage.clone(), entity.clone());
            tokio::spawn(async move {
                let scope = TenantScope::granted_by_host(TenantId::parse(&format!("t{writer}")).unwrap());
                for number in 0..INVOCATIONS / writers {
                    let mut transaction = storage.begin(&scope, options(Mode::Write)).await.unwrap();
                    let (id, values) = (id(writer, number), values(writer, number));
                    let stamp = Stamp { at: now(), by: BY };
                    transaction.insert(&entity, NewRecord { id, values: &values }, stamp).await.unwrap();
                    transaction.commit(None).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    INVOCATIONS as f64 / start.elapsed().as_secs_f64()
}

fn bare_connection(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA temp_store = memory;
             PRAGMA cache_size = -16384; PRAGMA foreign_keys = off;
             CREATE TABLE item (tenant_id TEXT NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,
                 created_at INTEGER NOT NULL, created_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
                 updated_by TEXT NOT NULL, deleted_at INTEGER, deleted_by TEXT, sku TEXT, name TEXT,
                 category TEXT, unit TEXT, unit_price INTEGER, on_hand INTEGER, reorder_level INTEGER,
                 discontinued INTEGER, PRIMARY KEY (tenant_id, id)) STRICT, WITHOUT ROWID;
             CREATE UNIQUE INDEX item_sku ON item (tenant_id, sku) WHERE deleted_at IS NULL;",
        )
        .unwrap();
    connection
}

const BARE_COLUMNS: &str = "id, version, created_at, created_by, updated_at, updated_by, sku, name, category, \
                            unit, unit_price, on_hand, reorder_level, discontinued";

fn bare_round(connection: &Connection, round: usize) -> [f64; 5] {
    let tenant = tenant();
    connection.execute_batch("BEGIN IMMEDIATE; SAVEPOINT member").unwrap();
    let rows: Vec<_> = (0..ROWS).map(|number| (id(round, number), values(round, number))).collect();
    let at = now().timestamp_micros();
    let start = Instant::now();
    for (id, values) in &rows {
        let mut statement = connection
            .prepare_cached(
                "INSERT INTO item (tenant_id, id, version, created_at, created_by, updated_at, updated_by, sku,
                 name, category, unit, unit_price, on_hand, reorder_level, discontinued)
                 VALUES (?1, ?2, 1, ?3, ?4, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )
            .unwrap();
        let [sku, name, category, unit, price, on_hand, level, discontinued] =
            values.each_ref().map(bare_value);
        statement
            .execute(rusqlite::params![
                tenant.as_str(),
                &id.0.as_bytes()[..],
                at,
                BY,
                sku,
                name,
                category,
                unit,
                price,
                on_hand,
                level,
                discontinued
            ])
            .unwrap();
    }
    let insert = start.elapsed().as_secs_f64() / ROWS as f64;
    let sql =
        format!("SELECT {BARE_COLUMNS} FROM item WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL");
    let start = Instant::now();
    for (id, _) in rows.iter().cycle().take(READS) {
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let mut rows = statement.query((tenant.as_str(), &id.0.as_bytes()[..])).unwrap();
        bare_look(rows.next().unwrap().unwrap());
    }
    let get = start.elapsed().as_secs_f64() / READS as f64;
    let sql = format!(
        "UPDATE item SET version = version + 1, updated_at = ?4, updated_by = ?5, on_hand = ?6
         WHERE tenant_id = ?1 AND id = ?2 AND version = ?3 AND deleted_at IS NULL RETURNING {BARE_COLUMNS}"
    );
    let start = Instant::now();
    for (id, _) in &rows {
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let parameters = (tenant.as_str(), &id.0.as_bytes()[..], 1, at, BY, 40);
        let mut rows = statement.query(parameters).unwrap();
        bare_look(rows.next().unwrap().unwrap());
        assert!(rows.next().unwrap().is_none());
    }
    let update = start.elapsed().as_secs_f64() / ROWS as f64;
    let sql = format!(
        "SELECT {BARE_COLUMNS} FROM item WHERE tenant_id = ?1 AND deleted_at IS NULL AND sku = ?2 ORDER BY id LIMIT ?3"
    );
    let start = Instant::now();
    for (_, values) in &rows {
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let mut rows = statement.query((tenant.as_str(), bare_value(&values[0]), 2)).unwrap();
        bare_look(rows.next().unwrap().unwrap());
        assert!(rows.next().unwrap().is_none());
    }
    let find = start.elapsed().as_secs_f64() / ROWS as f64;
    let sql = format!(
        "SELECT {BARE_COLUMNS} FROM item WHERE tenant_id = ?1 AND deleted_at IS NULL ORDER BY id LIMIT ?2"
    );
    let start = Instant::now();
    for _ in 0..QUERIES {
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let mut rows = statement.query((tenant.as_str(), 100)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            bare_look(row);
        }
    }
    let query = start.elapsed().as_secs_f64() / QUERIES as f64;
    connection.execute_batch("ROLLBACK").unwrap();
    [insert, get, update, find, query]
}

fn bare_value(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    use rusqlite::types::{ToSqlOutput, ValueRef as Stored};
    ToSqlOutput::Borrowed(match value.as_ref() {
        ValueRef::Text(text) => Stored::Text(text.as_bytes()),
        ValueRef::Integer(number) | ValueRef::Decimal(number) => Stored::Integer(number),
        ValueRef::Boolean(truth) => Stored::Integer(i64::from(truth)),
        _ => Stored::Null,
    })
}

/// The same values in the same types.
fn bare_look(row: &rusqlite::Row<'_>) {
    black_box(Uuid::from_slice(row.get_ref(0).unwrap().as_blob().unwrap()).unwrap());
    for column in [2, 4] {
        black_box(DateTime::from_timestamp_micros(row.get_ref(column).unwrap().as_i64().unwrap()).unwrap());
    }
    for column in [1, 10, 11, 12, 13] {
        black_box(row.get_ref(column).unwrap().as_i64().unwrap());
    }
    for column in [3, 5, 6, 7, 8, 9] {
        black_box(row.get_ref(column).unwrap().as_str().unwrap());
    }
}
