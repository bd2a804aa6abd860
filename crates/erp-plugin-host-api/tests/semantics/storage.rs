//! A storage that passes everything on, keeps what it was told of invocations, and loses commits when asked to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{EntityRef, EntitySchema, PluginName, RecordId, Version};
use erp_plugin_storage::{
    Activation, ActivationState, Aggregate, AggregateOutcome, Change, Counted, CreateDynamic, DeleteOutcome,
    DynamicEntities, Entity, ErrorKind, Events, InsertOutcome, JournalReader, LogQuery, NewRecord,
    PlatformScope, PlatformTransaction, QueryOutcome, RecordSink, RecordUpdate, Records, RestoreOutcome,
    Stamp, Storage, StorageError, StorageResult, StoredLogLine, Subscription, TenantScope, Transaction,
    TransactionOptions, UpdateOutcome, UsageTotal,
};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

pub(crate) struct Witness {
    storage: SqliteStorage,
    told: Arc<Mutex<Vec<InvocationRecord>>>,
    loses_commits: Arc<AtomicBool>,
}

impl Witness {
    pub(crate) fn in_memory() -> Self {
        let storage = SqliteStorage::open(&SqliteOptions::memory()).unwrap();
        Self { storage, told: Arc::default(), loses_commits: Arc::default() }
    }

    /// The records of invocations that were kept, in order.
    pub(crate) fn invocations(&self) -> Vec<InvocationRecord> {
        self.told.lock().unwrap().clone()
    }

    /// From now on a commit undoes everything and says that the transaction was lost.
    pub(crate) fn lose_commits(&self) {
        self.loses_commits.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Storage for Witness {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let inner = self.storage.begin(scope, options).await?;
        let (told, loses_commits) = (Arc::clone(&self.told), Arc::clone(&self.loses_commits));
        Ok(Box::new(Witnessed { inner, told, loses_commits }))
    }

    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        self.storage.begin_platform(scope, options).await
    }
}

struct Witnessed {
    inner: Box<dyn Transaction>,
    told: Arc<Mutex<Vec<InvocationRecord>>>,
    loses_commits: Arc<AtomicBool>,
}

#[async_trait]
impl Records for Witnessed {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        self.inner.insert(entity, record, stamp).await
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        self.inner.get(entity, id, sink).await
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        self.inner.query(entity, filter, page, sink).await
    }

    async fn update(
        &mut self,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        self.inner.update(entity, id, expected, change, stamp, sink).await
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        self.inner.delete(entity, id, stamp).await
    }

    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        self.inner.insert_many(entity, records, stamp).await
    }

    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        self.inner.count(entity, filter).await
    }

    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        self.inner.aggregate(entity, filter, aggregate).await
    }

    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        self.inner.update_many(entity, updates, stamp, sink).await
    }

    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        self.inner.restore(entity, id, stamp, sink).await
    }

    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        self.inner.purge(entity, deleted_before, limit).await
    }
}

#[async_trait]
impl Events for Witnessed {
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()> {
        self.inner.publish(events).await
    }

    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        self.inner.mark_done(delivery).await
    }

    async fn event_count(&mut self) -> StorageResult<u64> {
        self.inner.event_count().await
    }
}

#[async_trait]
impl Activation for Witnessed {
    async fn activation(&mut self, plugin: &PluginName) -> StorageResult<Option<ActivationState>> {
        self.inner.activation(plugin).await
    }

    async fn set_activation(
        &mut self,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()> {
        self.inner.set_activation(state, subscriptions).await
    }

    async fn config(&mut self, plugin: &PluginName) -> StorageResult<Vec<(String, String)>> {
        self.inner.config(plugin).await
    }

    async fn set_config(&mut self, plugin: &PluginName, key: &str, value: Option<&str>) -> StorageResult<()> {
        self.inner.set_config(plugin, key, value).await
    }
}

#[async_trait]
impl DynamicEntities for Witnessed {
    async fn create_dynamic(&mut self, entity: &Entity) -> StorageResult<CreateDynamic> {
        self.inner.create_dynamic(entity).await
    }

    async fn declare(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        self.inner.declare(schema).await
    }

    async fn has_dynamic(&mut self, name: &EntityRef) -> StorageResult<bool> {
        self.inner.has_dynamic(name).await
    }
}

#[async_trait]
impl JournalReader for Witnessed {
    async fn log(&mut self, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        self.inner.log(query).await
    }

    async fn usage(&mut self) -> StorageResult<Vec<UsageTotal>> {
        self.inner.usage().await
    }
}

#[async_trait]
impl Transaction for Witnessed {
    fn must_end_by(&self) -> Option<Instant> {
        self.inner.must_end_by()
    }

    async fn commit(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        if self.loses_commits.load(Ordering::SeqCst) {
            return Err(StorageError::new(ErrorKind::TransactionLost, "commit"));
        }
        self.inner.commit(record).await?;
        self.told.lock().unwrap().extend(record.cloned());
        Ok(())
    }

    async fn rollback(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.inner.rollback(record).await?;
        self.told.lock().unwrap().extend(record.cloned());
        Ok(())
    }
}
