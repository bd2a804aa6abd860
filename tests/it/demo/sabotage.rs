//! Storage that breaks one promise and keeps all others.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, NewEvent};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{EntityRef, EntitySchema, PluginName, RecordId, TenantId, Version};
use erp_plugin_storage::{
    Activation, ActivationState, Aggregate, AggregateOutcome, Change, Counted, CreateDynamic, DeleteOutcome,
    DynamicEntities, Entity, Events, InsertOutcome, JournalReader, LogQuery, NewRecord, PlatformScope,
    PlatformTransaction, QueryOutcome, RecordSink, RecordUpdate, Records, RestoreOutcome, Stamp, Storage,
    StorageResult, StoredLogLine, Subscription, TenantScope, Transaction, TransactionOptions, UpdateOutcome,
    UsageTotal,
};

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    VersionCheck,
    TenantPredicate,
    Subscription,
}

pub(crate) struct Sabotaged {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) broken: Broken,
}

struct SabotagedTransaction {
    storage: Arc<dyn Storage>,
    broken: Broken,
    options: TransactionOptions,
    /// `None` only while one is exchanged for another.
    inner: Option<Box<dyn Transaction>>,
}

impl SabotagedTransaction {
    fn inner(&mut self) -> &mut dyn Transaction {
        &mut **self.inner.as_mut().unwrap()
    }
}

#[async_trait]
impl Storage for Sabotaged {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let inner = self.storage.begin(scope, options).await?;
        let storage = Arc::clone(&self.storage);
        Ok(Box::new(SabotagedTransaction { storage, broken: self.broken, options, inner: Some(inner) }))
    }

    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        self.storage.begin_platform(scope, options).await
    }
}

#[async_trait]
impl Records for SabotagedTransaction {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        self.inner().insert(entity, record, stamp).await
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        self.inner().get(entity, id, sink).await
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        self.inner().query(entity, filter, page, sink).await
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
        let outcome = self.inner().update(entity, id, expected, change, stamp, sink).await?;
        match (self.broken, outcome) {
            (Broken::VersionCheck, UpdateOutcome::VersionMismatch { actual }) => {
                self.inner().update(entity, id, actual, change, stamp, sink).await
            }
            (Broken::TenantPredicate, UpdateOutcome::NotFound) => {
                // The demo's attempt is the first thing in its transaction, so nothing is lost with it.
                let other = TenantScope::granted_by_host(TenantId::parse("northwind").unwrap());
                self.inner.take().unwrap().rollback(None).await?;
                self.inner = Some(self.storage.begin(&other, self.options).await?);
                self.inner().update(entity, id, expected, change, stamp, sink).await
            }
            (_, outcome) => Ok(outcome),
        }
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        self.inner().delete(entity, id, stamp).await
    }

    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        self.inner().insert_many(entity, records, stamp).await
    }

    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        self.inner().count(entity, filter).await
    }

    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        self.inner().aggregate(entity, filter, aggregate).await
    }

    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        self.inner().update_many(entity, updates, stamp, sink).await
    }

    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        self.inner().restore(entity, id, stamp, sink).await
    }

    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        self.inner().purge(entity, deleted_before, limit).await
    }
}

#[async_trait]
impl Activation for SabotagedTransaction {
    async fn activation(&mut self, plugin: &PluginName) -> StorageResult<Option<ActivationState>> {
        self.inner().activation(plugin).await
    }

    async fn set_activation(
        &mut self,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()> {
        let missing = self.broken == Broken::Subscription && state.plugin.as_str() == "purchasing";
        let kept: Vec<Subscription> = subscriptions
            .iter()
            .filter(|subscription| !(missing && subscription.pattern.as_str() == "inventory.stock.low"))
            .cloned()
            .collect();
        self.inner().set_activation(state, &kept).await
    }

    async fn config(&mut self, plugin: &PluginName) -> StorageResult<Vec<(String, String)>> {
        self.inner().config(plugin).await
    }

    async fn set_config(&mut self, plugin: &PluginName, key: &str, value: Option<&str>) -> StorageResult<()> {
        self.inner().set_config(plugin, key, value).await
    }
}

#[async_trait]
impl Events for SabotagedTransaction {
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()> {
        self.inner().publish(events).await
    }

    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool> {
        self.inner().mark_done(delivery).await
    }

    async fn event_count(&mut self) -> StorageResult<u64> {
        self.inner().event_count().await
    }
}

#[async_trait]
impl DynamicEntities for SabotagedTransaction {
    async fn create_dynamic(&mut self, entity: &Entity) -> StorageResult<CreateDynamic> {
        self.inner().create_dynamic(entity).await
    }

    async fn declare(&mut self, schema: &EntitySchema) -> StorageResult<bool> {
        self.inner().declare(schema).await
    }

    async fn has_dynamic(&mut self, name: &EntityRef) -> StorageResult<bool> {
        self.inner().has_dynamic(name).await
    }
}

#[async_trait]
impl JournalReader for SabotagedTransaction {
    async fn log(&mut self, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        self.inner().log(query).await
    }

    async fn usage(&mut self) -> StorageResult<Vec<UsageTotal>> {
        self.inner().usage().await
    }
}

#[async_trait]
impl Transaction for SabotagedTransaction {
    fn must_end_by(&self) -> Option<std::time::Instant> {
        self.inner.as_ref().and_then(|inner| inner.must_end_by())
    }

    async fn commit(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.inner.unwrap().commit(record).await
    }

    async fn rollback(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.inner.unwrap().rollback(record).await
    }
}
