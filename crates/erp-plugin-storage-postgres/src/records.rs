//! [`Records`]: each primitive is one statement that holds its preconditions — tenant, live, expected version,
//! references — and only when it hit no row others ask why.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{RecordId, Version};
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Change, Counted, DeleteOutcome, Entity, InsertOutcome, NewRecord,
    QueryOutcome, RecordSink, RecordUpdate, Records, RestoreOutcome, Stamp, StorageResult, UpdateOutcome,
};

use crate::transaction::PostgresTransaction;
use crate::{aggregate, batch};

#[async_trait]
impl Records for PostgresTransaction {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("insert"))?;
        self.session.write("insert", context.insert(record, stamp)).await
    }

    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("insert"))?;
        self.session.write("insert", batch::insert(&context, records, stamp)).await
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        let client = self.session.client();
        let context = self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("get"))?;
        self.session.run("get", context.get(id, sink)).await
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("query"))?;
        self.session.run("query", context.query(filter, page, sink)).await
    }

    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("count"))?;
        self.session.run("count", context.count(filter)).await
    }

    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("aggregate"))?;
        self.session.run("aggregate", aggregate::run(&context, filter, aggregate)).await
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
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("update"))?;
        let update = RecordUpdate { id, expected, change };
        self.session.write("update", context.update(update, stamp, sink)).await
    }

    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("update"))?;
        self.session.write("update", batch::update(&context, updates, stamp, sink)).await
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("delete"))?;
        self.session.write("delete", context.delete(id, stamp)).await
    }

    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("restore"))?;
        self.session.write("restore", context.restore(id, stamp, sink)).await
    }

    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("purge"))?;
        self.session.write("purge", context.purge(deleted_before, limit)).await
    }
}
