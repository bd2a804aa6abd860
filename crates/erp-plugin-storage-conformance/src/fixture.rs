//! What cases are made of: tenants, entities, records, short ways to begin and to read.
//!
//! Times and ids are fixed or counted, never taken from a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, EventPattern, NewEvent, Publisher};
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::ids::{EventId, EventType};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::usage::{InvocationRecord, LogLevel, LogLine, Usage};
use erp_plugin_model::{
    EntityRef, EntitySchema, ErrorCode, Field, FieldName, FieldType, InvocationId, Labels, OnDelete,
    PluginName, RecordId, Role, RoleAssignment, RoleName, TenantId, UserId, Value, Version, WorkerId,
};
use erp_plugin_storage::{
    ActivationState, Change, ClaimRequest, Entity, Failure, InsertOutcome, Mode, NewRecord, PlatformScope,
    PlatformTransaction, QueryOutcome, RecordSink, RowView, SinkFlow, Stamp, Storage, StorageResult,
    Subscription, TenantScope, Transaction, TransactionOptions, UpdateOutcome,
};
use uuid::Uuid;

pub(crate) const ALPHA: &str = "alpha";
pub(crate) const BETA: &str = "beta";

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

pub(crate) fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).unwrap()
}

pub(crate) fn field_name(name: &str) -> FieldName {
    FieldName::parse(name).unwrap()
}

pub(crate) fn scope(name: &str) -> TenantScope {
    TenantScope::granted_by_host(tenant(name))
}

/// Far enough away that only a hang reaches it.
pub(crate) fn options(mode: Mode) -> TransactionOptions {
    let ample = Duration::from_secs(60);
    TransactionOptions { mode, deadline: Instant::now() + ample, writer_hold: ample }
}

/// Begins a write that may fail, for concurrent writers.
pub(crate) async fn begin(storage: &Arc<dyn Storage>, tenant: &str) -> StorageResult<Box<dyn Transaction>> {
    storage.begin(&scope(tenant), options(Mode::Write)).await
}

/// Does it again as long as the storage says that this may help, as a host does with an invocation.
pub(crate) async fn retried<T, F: Future<Output = StorageResult<T>>>(mut work: impl FnMut() -> F) -> T {
    for _ in 0..1000 {
        match work().await {
            Err(error) if error.is_transient() => tokio::task::yield_now().await,
            done => return done.unwrap(),
        }
    }
    panic!("a thousand transient errors")
}

pub(crate) async fn write(storage: &Arc<dyn Storage>, tenant: &str) -> Box<dyn Transaction> {
    storage.begin(&scope(tenant), options(Mode::Write)).await.unwrap()
}

pub(crate) async fn read(storage: &Arc<dyn Storage>, tenant: &str) -> Box<dyn Transaction> {
    storage.begin(&scope(tenant), options(Mode::Read)).await.unwrap()
}

pub(crate) async fn platform(storage: &Arc<dyn Storage>) -> Box<dyn PlatformTransaction> {
    storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Write)).await.unwrap()
}

/// Begins a transaction that makes tables.
pub(crate) async fn installation(storage: &Arc<dyn Storage>) -> Box<dyn PlatformTransaction> {
    storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Migrate)).await.unwrap()
}

/// Begins a tenant's transaction that makes tables.
pub(crate) async fn trial(storage: &Arc<dyn Storage>, tenant: &str) -> Box<dyn Transaction> {
    storage.begin(&scope(tenant), options(Mode::Migrate)).await.unwrap()
}

/// Seconds after a fixed moment.
pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_225_600_000_000 + seconds * 1_000_000).unwrap()
}

pub(crate) fn stamp() -> Stamp<'static> {
    Stamp { at: time(0), by: "anna" }
}

/// A UUIDv7 that nothing else in this process has.
pub(crate) fn new_uuid() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u128(0x019b_7d00_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

pub(crate) fn new_id() -> RecordId {
    RecordId(new_uuid())
}

pub(crate) fn optional(name: &str, field_type: FieldType) -> Field {
    Field {
        name: field_name(name),
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

pub(crate) fn required(name: &str, field_type: FieldType) -> Field {
    Field { required: true, ..optional(name, field_type) }
}

pub(crate) fn unique(name: &str, field_type: FieldType) -> Field {
    Field { unique: true, ..optional(name, field_type) }
}

pub(crate) fn indexed(name: &str, field_type: FieldType) -> Field {
    Field { indexed: true, ..optional(name, field_type) }
}

pub(crate) fn money() -> FieldType {
    FieldType::Decimal { precision: 18, scale: 2 }
}

pub(crate) fn reference(target: &str) -> FieldType {
    FieldType::Reference { target: EntityRef::parse(target).unwrap(), on_delete: OnDelete::Restrict }
}

pub(crate) fn schema(name: &str, fields: Vec<Field>) -> EntitySchema {
    EntitySchema::declared(EntityRef::parse(name).unwrap(), Labels::default(), None, fields)
}

/// Declares an entity and makes its table.
pub(crate) async fn declare(storage: &Arc<dyn Storage>, name: &str, fields: Vec<Field>) -> Entity {
    let entity = Entity::new(schema(name, fields));
    let mut platform = installation(storage).await;
    assert!(platform.create_entity(entity.schema()).await.unwrap());
    platform.commit().await.unwrap();
    entity
}

/// One field of each type, called after the type; the reference is to the entity itself.
pub(crate) fn every_type() -> Vec<Field> {
    vec![
        optional("string", FieldType::String),
        optional("text", FieldType::Text),
        optional("integer", FieldType::Integer),
        optional("decimal", money()),
        optional("boolean", FieldType::Boolean),
        optional("date", FieldType::Date),
        optional("datetime", FieldType::DateTime),
        optional("uuid", FieldType::Uuid),
        optional("enum", FieldType::Enum { options: vec!["open".to_owned(), "closed".to_owned()] }),
        optional("reference", reference("suite.sample")),
        optional("json", FieldType::Json),
        optional("file", FieldType::File),
    ]
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

/// A record as a sink saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: RecordId,
    pub(crate) version: i64,
    pub(crate) created: (DateTime<Utc>, String),
    pub(crate) updated: (DateTime<Utc>, String),
    pub(crate) values: Vec<Value>,
}

/// Keeps what it is given, and of each row the values of the sort's columns.
pub(crate) struct Collect<'a> {
    columns: usize,
    sort: &'a [SortKey],
    pub(crate) found: Vec<Found>,
    pub(crate) cursors: Vec<Vec<Value>>,
}

impl<'a> Collect<'a> {
    pub(crate) fn of(entity: &Entity, sort: &'a [SortKey]) -> Self {
        let schema = entity.schema();
        let columns = if schema.is_dynamic() { 1 } else { schema.fields().len() };
        Self { columns, sort, found: Vec::new(), cursors: Vec::new() }
    }
}

impl RecordSink for Collect<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let system = row.system()?;
        let values =
            (0..self.columns).map(|at| Ok(row.field(at)?.to_owned())).collect::<StorageResult<_>>()?;
        let cursor = self.sort.iter().map(|key| Ok(row.column(&key.column)?.to_owned()));
        self.cursors.push(cursor.collect::<StorageResult<_>>()?);
        self.found.push(Found {
            id: system.id,
            version: system.version.get(),
            created: (system.created_at, system.created_by.to_owned()),
            updated: (system.updated_at, system.updated_by.to_owned()),
            values,
        });
        Ok(SinkFlow::Continue)
    }
}

/// Inserts a record, which must succeed.
pub(crate) async fn insert(transaction: &mut dyn Transaction, entity: &Entity, values: &[Value]) -> RecordId {
    let id = new_id();
    let outcome = transaction.insert(entity, NewRecord { id, values }, stamp()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
    id
}

/// Inserts records in a transaction of their own.
pub(crate) async fn given(
    storage: &Arc<dyn Storage>,
    tenant: &str,
    entity: &Entity,
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> Vec<RecordId> {
    let mut transaction = write(storage, tenant).await;
    let mut ids = Vec::new();
    for row in rows {
        ids.push(insert(&mut *transaction, entity, &row).await);
    }
    transaction.commit(None).await.unwrap();
    ids
}

pub(crate) async fn get(transaction: &mut dyn Transaction, entity: &Entity, id: RecordId) -> Option<Found> {
    let mut sink = Collect::of(entity, &[]);
    let found = transaction.get(entity, id, &mut sink).await.unwrap();
    assert_eq!(usize::from(found), sink.found.len());
    sink.found.pop()
}

/// What a transaction of its own sees of a record.
pub(crate) async fn seen(
    storage: &Arc<dyn Storage>,
    tenant: &str,
    entity: &Entity,
    id: RecordId,
) -> Option<Found> {
    get(&mut *read(storage, tenant).await, entity, id).await
}

pub(crate) fn by_id() -> Vec<SortKey> {
    vec![SortKey { column: Column::System(SystemField::Id), descending: false }]
}

pub(crate) fn page(limit: u32) -> Page {
    Page { limit, sort: by_id(), start: Start::Offset(0), total: false }
}

pub(crate) async fn query(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    filter: &Filter,
    page: &Page,
) -> (QueryOutcome, Vec<Found>) {
    let mut sink = Collect::of(entity, &page.sort);
    let outcome = transaction.query(entity, filter, page, &mut sink).await.unwrap();
    (outcome, sink.found)
}

/// The ids of all records that fulfil the filter, by id.
pub(crate) async fn matching(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    filter: &Filter,
) -> Vec<RecordId> {
    let (outcome, found) = query(transaction, entity, filter, &page(1000)).await;
    assert!(!outcome.has_more);
    found.into_iter().map(|found| found.id).collect()
}

/// How many records a tenant has.
pub(crate) async fn count(storage: &Arc<dyn Storage>, tenant: &str, entity: &Entity) -> usize {
    matching(&mut *read(storage, tenant).await, entity, &Filter::everything()).await.len()
}

pub(crate) async fn update(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    id: RecordId,
    version: i64,
    change: Change<'_>,
) -> (UpdateOutcome, Option<Found>) {
    try_update(transaction, entity, id, version, change).await.unwrap()
}

pub(crate) async fn try_update(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    id: RecordId,
    version: i64,
    change: Change<'_>,
) -> StorageResult<(UpdateOutcome, Option<Found>)> {
    let mut sink = Collect::of(entity, &[]);
    let expected = Version::new(version).unwrap();
    let stamp = Stamp { at: time(60), by: "ben" };
    let outcome = transaction.update(entity, id, expected, change, stamp, &mut sink).await?;
    assert_eq!(usize::from(outcome == UpdateOutcome::Written), sink.found.len());
    Ok((outcome, sink.found.pop()))
}

pub(crate) fn compare(position: usize, comparison: Comparison, value: Value) -> Filter {
    Filter::Compare(Column::Field(position), comparison, value)
}

pub(crate) fn equals(position: usize, value: Value) -> Filter {
    compare(position, Comparison::Eq, value)
}

/// The record of an invocation that wrote one log line.
pub(crate) fn invocation(name: &str, error: Option<ErrorCode>) -> InvocationRecord {
    InvocationRecord {
        id: InvocationId(new_uuid()),
        plugin: plugin(name),
        plugin_version: "1.0.0".to_owned(),
        trigger: "handle-event order.created".to_owned(),
        caused_by: None,
        started_at: time(0),
        error,
        usage: Usage { fuel: 1000, micros: 20, host_calls: 3, ..Usage::default() },
        log: vec![LogLine { level: LogLevel::Info, message: format!("{name} was here"), at: time(1) }],
    }
}

/// An event of the platform, told from others by its ordinal.
pub(crate) fn event(event_type: &str, key: &str, ordinal: u32) -> NewEvent {
    NewEvent {
        id: EventId(new_uuid()),
        event_type: EventType::parse(event_type).unwrap(),
        key: key.to_owned(),
        payload: format!("{{\"n\":{ordinal}}}"),
        publisher: Publisher::Platform,
        invocation: InvocationId(new_uuid()),
        ordinal,
        caused_by: None,
        parent: None,
        depth: 0,
        published_at: time(i64::from(ordinal)),
    }
}

/// Enables a plugin in a tenant, with subscriptions to others' events.
pub(crate) async fn subscribe(storage: &Arc<dyn Storage>, tenant: &str, name: &str, patterns: &[&str]) {
    let state = ActivationState {
        plugin: plugin(name),
        version: semver::Version::new(1, 0, 0),
        enabled: true,
        tenant_told: true,
        pinned: false,
        quarantine: None,
    };
    let subscriptions: Vec<_> = patterns
        .iter()
        .map(|text| Subscription { pattern: pattern(text), own_events: false, key: None })
        .collect();
    let mut transaction = write(storage, tenant).await;
    transaction.set_activation(&state, &subscriptions).await.unwrap();
    transaction.commit(None).await.unwrap();
}

pub(crate) async fn publish(storage: &Arc<dyn Storage>, tenant: &str, events: &[NewEvent]) {
    let mut transaction = write(storage, tenant).await;
    transaction.publish(events).await.unwrap();
    transaction.commit(None).await.unwrap();
}

/// Numbers all events and claims the head of every stream.
pub(crate) async fn work(storage: &Arc<dyn Storage>) -> Vec<Delivery> {
    let mut numbering = platform(storage).await;
    numbering.dispatch(1000).await.unwrap();
    numbering.commit().await.unwrap();
    claim(storage, 1000).await
}

/// Claims the head of so many streams in a transaction of its own, whoever had them: the worker is another each time, and
/// those before it are taken for dead.
pub(crate) async fn claim(storage: &Arc<dyn Storage>, streams: u32) -> Vec<Delivery> {
    retire_all(storage).await;
    claim_as(storage, worker(), streams, 1).await.into_iter().flatten().collect()
}

/// Claims for a worker, long after everything else.
pub(crate) async fn claim_as(
    storage: &Arc<dyn Storage>,
    worker: WorkerId,
    streams: u32,
    batch: u32,
) -> Vec<Vec<Delivery>> {
    let request = ClaimRequest { worker, streams, batch, ..request() };
    claim_with(storage, &request).await
}

/// What somebody asks for who was not there before: of ten streams the heads, long after everything else.
pub(crate) fn request() -> ClaimRequest<'static> {
    ClaimRequest {
        worker: worker(),
        at: time(1_000_000),
        now: time(1_000_000),
        streams: 10,
        batch: 1,
        per_tenant: 1000,
        full: &[],
        subscribers: &[],
    }
}

pub(crate) async fn claim_with(storage: &Arc<dyn Storage>, request: &ClaimRequest<'_>) -> Vec<Vec<Delivery>> {
    let mut platform = platform(storage).await;
    let claimed = platform.claim(request).await.unwrap();
    platform.commit().await.unwrap();
    claimed
}

pub(crate) fn worker() -> WorkerId {
    WorkerId(new_uuid())
}

/// Takes every worker for dead.
pub(crate) async fn retire_all(storage: &Arc<dyn Storage>) {
    let mut platform = platform(storage).await;
    for state in platform.workers().await.unwrap() {
        assert!(platform.retire(state).await.unwrap());
    }
    platform.commit().await.unwrap();
}

/// Records a failure in a transaction of its own.
pub(crate) async fn fail(
    storage: &Arc<dyn Storage>,
    delivery: &Delivery,
    error: &str,
    retry_at: Option<DateTime<Utc>>,
) -> bool {
    let mut platform = platform(storage).await;
    let failure = Failure { delivery, error, at: time(9), retry_at };
    let was_ours = platform.record_failure(failure).await.unwrap();
    platform.commit().await.unwrap();
    was_ours
}

pub(crate) fn pattern(text: &str) -> EventPattern {
    EventPattern::parse(text).unwrap()
}

/// Marks a delivery as done in a transaction of its own.
pub(crate) async fn done(storage: &Arc<dyn Storage>, delivery: &Delivery) {
    let mut transaction = write(storage, delivery.tenant.as_str()).await;
    assert!(transaction.mark_done(delivery).await.unwrap());
    transaction.commit(None).await.unwrap();
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(crate) fn role_name(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

/// A role with these permissions.
pub(crate) fn role(name: &str, permissions: &[&str]) -> Role {
    Role::new(role_name(name), permissions.iter().map(|text| text.parse().unwrap()).collect())
}

/// Pairs of user and role.
pub(crate) fn assignments(pairs: &[(&str, &str)]) -> Vec<RoleAssignment> {
    pairs.iter().map(|(of, name)| RoleAssignment { user: user(of), role: role_name(name) }).collect()
}
