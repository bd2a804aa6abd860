//! An entity with one text, and short ways to begin, to write and to look.

use std::sync::atomic::{AtomicU64, Ordering};
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
    Entity, InsertOutcome, Mode, NewRecord, PlatformScope, PlatformTransaction, RecordSink, RowView,
    SinkFlow, Stamp, Storage, StorageError, StorageResult, TenantScope, Transaction, TransactionOptions,
};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};
use uuid::Uuid;

use super::{As, Database};

pub(crate) const STAMP: Stamp<'static> = Stamp { at: DateTime::UNIX_EPOCH, by: "anna" };

/// A storage, and the table of the entity.
pub(crate) struct Notes {
    pub(crate) storage: PostgresStorage,
    pub(crate) entity: Entity,
    pub(crate) database: Database,
}

impl Notes {
    pub(crate) async fn new(server: &str) -> Self {
        Self::of(Database::new(server, As::App).await, |options| options).await
    }

    /// With one connection, so that whoever comes next has the one of whoever came before.
    pub(crate) async fn on_one_connection(server: &str) -> Self {
        Self::of(Database::new(server, As::App).await, |options| options.pool_size(1)).await
    }

    pub(crate) async fn of(database: Database, set: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Self {
        let storage = PostgresStorage::open(&set(database.options())).await.unwrap();
        let entity = note();
        create(&storage, &entity).await;
        Self { storage, entity, database }
    }

    pub(crate) async fn begin(&self, options: TransactionOptions) -> Box<dyn Transaction> {
        self.storage.begin(&scope("a"), options).await.unwrap()
    }

    pub(crate) async fn write(&self) -> Box<dyn Transaction> {
        self.begin(options(Mode::Write)).await
    }

    /// The texts of the tenant's notes, as a reader sees them now.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let mut transaction = self.begin(options(Mode::Read)).await;
        let mut texts = Texts::default();
        transaction.query(&self.entity, &Filter::everything(), &page(100_000), &mut texts).await.unwrap();
        transaction.rollback(None).await.unwrap();
        texts.0
    }

    pub(crate) async fn insert(
        &self,
        transaction: &mut dyn Transaction,
        text: &str,
    ) -> StorageResult<RecordId> {
        insert(transaction, &self.entity, text).await
    }

    /// Writes a note and commits it.
    pub(crate) async fn keep(&self, text: &str) -> StorageResult<RecordId> {
        let mut transaction = self.write().await;
        let id = self.insert(&mut *transaction, text).await?;
        transaction.commit(None).await?;
        Ok(id)
    }
}

/// The entity.
pub(crate) fn note() -> Entity {
    let name = EntityRef::parse("suite.note").unwrap();
    let fields = vec![field("text", FieldType::Text)];
    Entity::new(EntitySchema::declared(name, Labels::default(), None, fields))
}

pub(crate) fn field(name: &str, field_type: FieldType) -> Field {
    Field {
        name: FieldName::parse(name).unwrap(),
        field_type,
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
    }
}

pub(crate) fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted_by_host(TenantId::parse(tenant).unwrap())
}

pub(crate) fn options(mode: Mode) -> TransactionOptions {
    let ample = Duration::from_secs(60);
    TransactionOptions { mode, deadline: Instant::now() + ample, writer_hold: ample }
}

/// A write that has so many milliseconds.
pub(crate) fn patient_for(millis: u64) -> TransactionOptions {
    TransactionOptions { deadline: Instant::now() + Duration::from_millis(millis), ..options(Mode::Write) }
}

pub(crate) async fn platform(storage: &PostgresStorage, mode: Mode) -> Box<dyn PlatformTransaction> {
    storage.begin_platform(PlatformScope::granted_by_host(), options(mode)).await.unwrap()
}

/// Makes the table of an entity.
pub(crate) async fn create(storage: &PostgresStorage, entity: &Entity) {
    let mut platform = platform(storage, Mode::Migrate).await;
    assert!(platform.create_entity(entity.schema()).await.unwrap());
    platform.commit().await.unwrap();
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
) -> StorageResult<RecordId> {
    let values = [Value::Text(text.to_owned())];
    let id = RecordId(new_uuid());
    let outcome = transaction.insert(entity, NewRecord { id, values: &values }, STAMP).await?;
    assert_eq!(outcome, InsertOutcome::Inserted);
    Ok(id)
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

/// Takes what it is given.
pub(crate) struct Nothing;

impl RecordSink for Nothing {
    fn record(&mut self, _: &dyn RowView) -> StorageResult<SinkFlow> {
        Ok(SinkFlow::Continue)
    }
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

/// The error of something that must not succeed; transactions have no `Debug`.
pub(crate) fn refused<T>(result: StorageResult<T>) -> StorageError {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error,
    }
}

/// What an error says to whoever looks into all that it was caused by.
pub(crate) fn reason(error: &StorageError) -> String {
    let first = std::error::Error::source(error);
    let causes = std::iter::successors(first, |cause| cause.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
