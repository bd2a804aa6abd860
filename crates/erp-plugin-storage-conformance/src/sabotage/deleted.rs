//! A backend that forgets, in the condition of one statement, that a record was deleted.

use std::sync::Mutex;

use async_trait::async_trait;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{EntityRef, FieldType, RecordId, TenantId, Value, Version};
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Change, Counted, DeleteOutcome, Entity, Figure, FigureValue, InsertOutcome,
    NewRecord, QueryOutcome, RecordSink, RestoreOutcome, Stamp, StorageResult, UpdateOutcome, Violation,
};

use super::rows::{self, Row, Rows};
use crate::intercept::{Interceptor, Opened};

/// The statement that lacks the condition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    Get,
    Query,
    Count,
    Aggregate,
    Update,
    Delete,
    Unique,
    Reference,
    /// The check of a record that is to live again.
    Restore,
}

struct Grave {
    tenant: TenantId,
    entity: EntityRef,
    row: Row,
    /// Whether it was restored in spite of what it breaks.
    risen: bool,
}

/// No condition on deletion in one statement.
pub(super) struct SeesDeleted {
    statement: Statement,
    graves: Mutex<Vec<Grave>>,
}

impl SeesDeleted {
    pub(super) fn by(statement: Statement) -> Self {
        Self { statement, graves: Mutex::default() }
    }

    /// The deleted records that the statement takes for live ones.
    fn seen(&self, statement: Statement, opened: &Opened, entity: &EntityRef) -> Vec<Row> {
        let graves = self.graves.lock().unwrap();
        let ours = graves.iter().filter(|grave| {
            let is_seen = self.statement == statement || grave.risen;
            is_seen && grave.tenant == *opened.scope().tenant() && grave.entity == *entity
        });
        ours.map(|grave| grave.row.clone()).collect()
    }

    fn seen_one(
        &self,
        statement: Statement,
        opened: &Opened,
        entity: &EntityRef,
        id: RecordId,
    ) -> Option<Row> {
        self.seen(statement, opened, entity).into_iter().find(|row| row.id == id)
    }

    fn seen_matching(
        &self,
        statement: Statement,
        opened: &Opened,
        entity: &Entity,
        filter: &Filter,
    ) -> Vec<Row> {
        let mut rows = self.seen(statement, opened, &entity.schema().name);
        rows.retain(|row| row.matches(filter));
        rows
    }
}

#[async_trait]
impl Interceptor for SeesDeleted {
    async fn delete(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let name = &entity.schema().name;
        let row = rows::one(opened.inner(), entity, id).await?;
        let outcome = opened.inner().delete(entity, id, stamp).await?;
        if outcome == DeleteOutcome::NotFound
            && let Some(grave) = self.seen_one(Statement::Delete, opened, name, id)
        {
            return Ok(DeleteOutcome::Deleted(grave.version));
        }
        let tenant = opened.scope().tenant().clone();
        let graves = row.map(|row| Grave { tenant, entity: name.clone(), row, risen: false });
        self.graves.lock().unwrap().extend(graves);
        Ok(outcome)
    }

    async fn get(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<bool> {
        let found = opened.inner().get(entity, id, sink).await?;
        match self.seen_one(Statement::Get, opened, &entity.schema().name, id) {
            Some(row) if !found => sink.record(&row).map(|_| true),
            _ => Ok(found),
        }
    }

    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let mut found = Rows::of(entity);
        let mut outcome = opened.inner().query(entity, filter, page, &mut found).await?;
        let deleted = self.seen_matching(Statement::Query, opened, entity, filter);
        outcome.total = outcome.total.map(|total| total + deleted.len() as u64);
        let mut rows = found.rows;
        rows.extend(deleted);
        rows.truncate(page.limit as usize);
        rows::give(&rows, sink)?;
        Ok(outcome)
    }

    async fn count(&self, opened: &mut Opened, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        let mut counted = opened.inner().count(entity, filter).await?;
        counted.count += self.seen_matching(Statement::Count, opened, entity, filter).len() as u64;
        Ok(counted)
    }

    async fn aggregate(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let mut outcome = opened.inner().aggregate(entity, filter, aggregate).await?;
        let deleted = self.seen_matching(Statement::Aggregate, opened, entity, filter).len() as u64;
        for group in outcome.groups.iter_mut().filter(|_| aggregate.group_by.is_empty()) {
            for (figure, value) in aggregate.figures.iter().zip(&mut group.figures) {
                if let (Figure::Count, FigureValue::Count(count)) = (figure, value) {
                    *count += deleted;
                }
            }
        }
        Ok(outcome)
    }

    async fn insert(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let schema = entity.schema();
        let outcome = opened.inner().insert(entity, record, stamp).await?;
        match &outcome {
            InsertOutcome::Violates(Violation::Reference(field)) => {
                let position = schema.position(field.as_str()).unwrap();
                let FieldType::Reference { target, .. } = &schema.fields()[position].field_type else {
                    return Ok(outcome);
                };
                let Value::Uuid(id) = record.values[position] else { return Ok(outcome) };
                if self.seen_one(Statement::Reference, opened, target, RecordId(id)).is_none() {
                    return Ok(outcome);
                }
                // What cannot be kept below is left out.
                let mut values = record.values.to_vec();
                values[position] = Value::Null;
                opened.inner().insert(entity, NewRecord { id: record.id, values: &values }, stamp).await
            }
            InsertOutcome::Inserted => {
                let deleted = self.seen(Statement::Unique, opened, &schema.name);
                let taken = schema.fields().iter().enumerate().find(|(position, field)| {
                    let value = &record.values[*position];
                    let is_taken = deleted.iter().any(|row| row.values[*position] == *value);
                    field.unique && !value.is_null() && is_taken
                });
                let Some((_, field)) = taken else { return Ok(outcome) };
                opened.inner().delete(entity, record.id, stamp).await?;
                Ok(InsertOutcome::Violates(Violation::Unique(field.name.clone())))
            }
            InsertOutcome::Violates(_) => Ok(outcome),
        }
    }

    async fn update(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        let outcome = opened.inner().update(entity, id, expected, change, stamp, sink).await?;
        match self.seen_one(Statement::Update, opened, &entity.schema().name, id) {
            Some(row) if outcome == UpdateOutcome::NotFound && row.version == expected => {
                sink.record(&row.raised()).map(|_| UpdateOutcome::Written)
            }
            _ => Ok(outcome),
        }
    }

    async fn restore(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        let outcome = opened.inner().restore(entity, id, stamp, sink).await?;
        let mut graves = self.graves.lock().unwrap();
        match outcome {
            RestoreOutcome::Restored => graves.retain(|grave| grave.row.id != id),
            RestoreOutcome::Violates(_) if self.statement == Statement::Restore => {
                let grave = graves.iter_mut().find(|grave| grave.row.id == id).unwrap();
                grave.risen = true;
                grave.row = grave.row.clone().raised();
                return sink.record(&grave.row).map(|_| RestoreOutcome::Restored);
            }
            RestoreOutcome::NotFound | RestoreOutcome::Violates(_) => {}
        }
        Ok(outcome)
    }
}
