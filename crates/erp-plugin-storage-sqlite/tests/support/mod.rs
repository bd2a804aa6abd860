//! An entity with one text, short ways to begin and to look, and what the write-ahead log tells from outside.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::DateTime;
use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::usage::{InvocationRecord, Usage};
use erp_plugin_model::{
    EntityRef, EntitySchema, ErrorCode, Field, FieldName, FieldType, InvocationId, Labels, PluginName,
    RecordId, TenantId, Value,
};
use erp_plugin_storage::{
    Entity, InsertOutcome, Mode, NewRecord, PlatformScope, RecordSink, RowView, SinkFlow, Stamp, Storage,
    StorageError, StorageResult, TenantScope, Transaction, TransactionOptions,
};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use tempfile::TempDir;
use uuid::Uuid;

/// A database in a folder of its own.
pub(crate) struct Database {
    pub(crate) storage: SqliteStorage,
    pub(crate) entity: Entity,
    folder: TempDir,
}

impl Database {
    /// A new one, with the table of the entity.
    pub(crate) async fn new(set: impl FnOnce(SqliteOptions) -> SqliteOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(&set(SqliteOptions::file(folder.path().join("data.db")))).unwrap();
        let entity = note();
        let mut platform = platform(&storage).await;
        assert!(platform.create_entity(entity.schema()).await.unwrap());
        platform.commit().await.unwrap();
        Self { storage, entity, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data.db")
    }

    /// Opens the file once more, as another process would.
    pub(crate) fn open_again(&self) -> SqliteStorage {
        SqliteStorage::open(&SqliteOptions::file(self.path())).unwrap()
    }

    /// A connection of another program to the file.
    pub(crate) fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// Commits in the write-ahead log.
    pub(crate) fn commits(&self) -> usize {
        commits_in(&self.folder.path().join("data.db-wal"))
    }

    pub(crate) async fn write(&self, tenant: &str) -> Box<dyn Transaction> {
        self.storage.begin(&scope(tenant), options(Mode::Write)).await.unwrap()
    }

    /// The texts of a tenant's notes, as a reader sees them now.
    pub(crate) async fn notes(&self, tenant: &str) -> Vec<String> {
        notes(&self.storage, &self.entity, tenant).await
    }

    pub(crate) async fn insert(&self, transaction: &mut dyn Transaction, text: &str) -> StorageResult<()> {
        insert(transaction, &self.entity, text).await
    }
}

/// The entity.
pub(crate) fn note() -> Entity {
    note_called("note")
}

pub(crate) fn note_called(name: &str) -> Entity {
    let text = Field {
        name: FieldName::parse("text").unwrap(),
        field_type: FieldType::Text,
        required: false,
        unique: false,
        indexed: false,
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
    let name = EntityRef::parse(&format!("suite.{name}")).unwrap();
    Entity::new(EntitySchema::declared(name, Labels::default(), None, vec![text]))
}

pub(crate) fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted_by_host(TenantId::parse(tenant).unwrap())
}

pub(crate) fn options(mode: Mode) -> TransactionOptions {
    let ample = Duration::from_secs(60);
    TransactionOptions { mode, deadline: Instant::now() + ample, writer_hold: ample }
}

/// A write that waits for so many milliseconds.
pub(crate) fn patient_for(millis: u64) -> TransactionOptions {
    TransactionOptions { deadline: Instant::now() + Duration::from_millis(millis), ..options(Mode::Write) }
}

pub(crate) async fn platform(storage: &SqliteStorage) -> Box<dyn erp_plugin_storage::PlatformTransaction> {
    storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Migrate)).await.unwrap()
}

/// An id that nothing else in this process has.
pub(crate) fn new_uuid() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(0x019b_7d00_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

pub(crate) async fn insert(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    text: &str,
) -> StorageResult<()> {
    let values = [Value::Text(text.to_owned())];
    let record = NewRecord { id: RecordId(new_uuid()), values: &values };
    let stamp = Stamp { at: DateTime::UNIX_EPOCH, by: "anna" };
    assert_eq!(transaction.insert(entity, record, stamp).await?, InsertOutcome::Inserted);
    Ok(())
}

#[derive(Default)]
struct Texts(Vec<String>);

impl RecordSink for Texts {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        match row.field(0)?.to_owned() {
            Value::Text(text) => self.0.push(text),
            other => panic!("{other:?} is no text"),
        }
        Ok(SinkFlow::Continue)
    }
}

pub(crate) async fn notes(storage: &SqliteStorage, entity: &Entity, tenant: &str) -> Vec<String> {
    let mut transaction = storage.begin(&scope(tenant), options(Mode::Read)).await.unwrap();
    let mut texts = Texts::default();
    transaction.query(entity, &Filter::everything(), &page(100_000), &mut texts).await.unwrap();
    texts.0
}

pub(crate) fn page(limit: u32) -> Page {
    let by_id = SortKey { column: Column::System(SystemField::Id), descending: false };
    Page { limit, sort: vec![by_id], start: Start::Offset(0), total: false }
}

pub(crate) fn invocation(error: Option<ErrorCode>) -> InvocationRecord {
    InvocationRecord {
        id: InvocationId(new_uuid()),
        plugin: PluginName::parse("suite").unwrap(),
        plugin_version: "1.0.0".to_owned(),
        trigger: "init".to_owned(),
        caused_by: None,
        started_at: DateTime::UNIX_EPOCH,
        error,
        usage: Usage::default(),
        log: Vec::new(),
    }
}

/// Polls a future once: what it answers now, or `None` while it waits.
pub(crate) async fn now<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The error of something that must not succeed; transactions have no `Debug`.
pub(crate) fn refused<T>(result: StorageResult<T>) -> StorageError {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

/// Counts the frames of a write-ahead log that end a commit; valid until it is begun anew, after a thousand pages.
fn commits_in(log: &Path) -> usize {
    let log = std::fs::read(log).unwrap();
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page_size = number(8) as usize;
    let salt = [number(16), number(20)];
    (32..log.len())
        .step_by(24 + page_size)
        .take_while(|frame| [number(frame + 8), number(frame + 12)] == salt)
        // The size of the database after the commit; zero in all frames but its last.
        .filter(|frame| number(frame + 4) != 0)
        .count()
}
