//! A backend whose transactions are not one or nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::NewEvent;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{EntitySchema, RecordId, Value};
use erp_plugin_storage::{
    Entity, InsertOutcome, Mode, NewRecord, QueryOutcome, RecordSink, Stamp, Storage, StorageResult,
    TenantScope, Transaction, TransactionOptions,
};

use crate::intercept::{Interceptor, Opened};

/// Where transactions that have read wait for another one to read the same, so that it does not take luck for two to
/// come between each other.
pub(super) struct Meeting {
    patience: Duration,
    came: AtomicU64,
}

impl Meeting {
    /// A meeting at which nobody waits longer than this.
    pub(super) fn of(patience: Duration) -> Self {
        Self { patience, came: AtomicU64::new(0) }
    }

    pub(super) async fn with_another(&self) {
        let ours = self.came.fetch_add(1, Ordering::SeqCst) + 1;
        let until = Instant::now() + self.patience;
        while self.came.load(Ordering::SeqCst) == ours && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The first record that a transaction inserted.
struct Insertion {
    scope: TenantScope,
    options: TransactionOptions,
    schema: EntitySchema,
    id: RecordId,
    values: Vec<Value>,
    at: DateTime<Utc>,
}

impl Insertion {
    async fn again(&self, storage: &Arc<dyn Storage>) -> StorageResult<()> {
        let mut transaction = storage.begin(&self.scope, self.options).await?;
        let record = NewRecord { id: self.id, values: &self.values };
        let stamp = Stamp { at: self.at, by: "nobody" };
        transaction.insert(&Entity::new(self.schema.clone()), record, stamp).await?;
        transaction.commit(None).await
    }
}

/// Of what a transaction wrote, one record stays when it is undone.
pub(super) struct KeepsAWrite {
    by_a_drop: bool,
    first: Mutex<BTreeMap<u64, Insertion>>,
    /// Of transactions that were dropped, until somebody can wait for it.
    kept: Mutex<Vec<Insertion>>,
}

impl KeepsAWrite {
    pub(super) fn by_a_rollback() -> Self {
        Self { by_a_drop: false, first: Mutex::default(), kept: Mutex::default() }
    }

    pub(super) fn by_a_drop() -> Self {
        Self { by_a_drop: true, first: Mutex::default(), kept: Mutex::default() }
    }

    fn first_of(&self, opened: &Opened) -> Option<Insertion> {
        self.first.lock().unwrap().remove(&opened.number())
    }
}

#[async_trait]
impl Interceptor for KeepsAWrite {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        for insertion in kept {
            insertion.again(storage).await?;
        }
        storage.begin(scope, options).await
    }

    async fn insert(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let insertion = Insertion {
            scope: opened.scope().clone(),
            options: opened.options(),
            schema: entity.schema().clone(),
            id: record.id,
            values: record.values.to_vec(),
            at: stamp.at,
        };
        self.first.lock().unwrap().entry(opened.number()).or_insert(insertion);
        opened.inner().insert(entity, record, stamp).await
    }

    async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.first_of(&opened);
        opened.into_inner().commit(record).await
    }

    async fn rollback(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let (first, storage) = (self.first_of(&opened), Arc::clone(opened.storage()));
        opened.into_inner().rollback(record).await?;
        match first {
            Some(insertion) if !self.by_a_drop => insertion.again(&storage).await,
            _ => Ok(()),
        }
    }

    fn dropped(&self, opened: Opened) {
        let first = self.first_of(&opened).filter(|_| self.by_a_drop);
        self.kept.lock().unwrap().extend(first);
    }
}

/// Events are written in a transaction of their own, so they stay when the invocation's is undone.
#[derive(Default)]
pub(super) struct OutboxOutside {
    published: Mutex<BTreeMap<u64, Vec<NewEvent>>>,
}

#[async_trait]
impl Interceptor for OutboxOutside {
    async fn publish(&self, opened: &mut Opened, events: &[NewEvent]) -> StorageResult<()> {
        self.published.lock().unwrap().entry(opened.number()).or_default().extend_from_slice(events);
        opened.inner().publish(events).await
    }

    async fn rollback(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let published = self.published.lock().unwrap().remove(&opened.number());
        let (storage, scope, options) =
            (Arc::clone(opened.storage()), opened.scope().clone(), opened.options());
        opened.into_inner().rollback(record).await?;
        let Some(events) = published else { return Ok(()) };
        let mut outside = storage.begin(&scope, options).await?;
        outside.publish(&events).await?;
        outside.commit(None).await
    }
}

/// A commit that answers before anything is kept, and then nothing is.
pub(super) struct CommitsNothing;

#[async_trait]
impl Interceptor for CommitsNothing {
    async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        opened.into_inner().rollback(record).await
    }
}

/// The record of an invocation goes with what it wrote.
pub(super) struct RollsTheRecordBack;

#[async_trait]
impl Interceptor for RollsTheRecordBack {
    async fn rollback(&self, opened: Opened, _: Option<&InvocationRecord>) -> StorageResult<()> {
        opened.into_inner().rollback(None).await
    }
}

/// What only reads leaves no record.
pub(super) struct ForgetsReaders;

#[async_trait]
impl Interceptor for ForgetsReaders {
    async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let record = record.filter(|_| opened.options().mode.writes());
        opened.into_inner().commit(record).await
    }
}

/// A transaction begins otherwise than it was told to.
pub(super) struct Begins(pub(super) fn(&mut TransactionOptions));

pub(super) fn readers_as_writers(options: &mut TransactionOptions) {
    if options.mode == Mode::Read {
        options.mode = Mode::Write;
    }
}

pub(super) fn without_a_deadline(options: &mut TransactionOptions) {
    options.deadline += Duration::from_secs(60);
}

#[async_trait]
impl Interceptor for Begins {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        mut options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        (self.0)(&mut options);
        storage.begin(scope, options).await
    }
}

/// Each query of such a transaction sees its own moment.
pub(super) struct EachQueryAlone {
    mode: Mode,
    meeting: Meeting,
}

impl EachQueryAlone {
    pub(super) fn of(mode: Mode) -> Self {
        Self { mode, meeting: Meeting::of(Duration::from_secs(1)) }
    }
}

#[async_trait]
impl Interceptor for EachQueryAlone {
    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let (scope, options) = (opened.scope().clone(), opened.options());
        if options.mode != self.mode {
            return opened.inner().query(entity, filter, page, sink).await;
        }
        opened.exchange(&scope, TransactionOptions { mode: Mode::Read, ..options }).await?;
        let outcome = opened.inner().query(entity, filter, page, sink).await?;
        opened.pause().await?;
        if options.mode.writes() {
            self.meeting.with_another().await;
            opened.exchange(&scope, options).await?;
        }
        Ok(outcome)
    }
}
