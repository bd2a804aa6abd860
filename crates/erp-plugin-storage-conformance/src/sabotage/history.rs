//! A backend whose history has holes, or is not the transaction's.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{EntityRef, RecordId, Value, Version};
use erp_plugin_storage::{
    Change, ChangeFilter, Entity, HistoryQuery, HistorySink, NewChange, NotedChange, Origin, RecordSink,
    RecordUpdate, ReplacedView, RowView, SinkFlow, Stamp, StorageResult, UpdateOutcome, Verb,
};

use super::rows;
use crate::intercept::{Interceptor, Opened};

/// Changes are noted in a transaction of their own, which takes with it what was written before.
pub(super) struct Outside;

#[async_trait]
impl Interceptor for Outside {
    async fn note_changes(
        &self,
        opened: &mut Opened,
        origin: Origin<'_>,
        changes: &[NewChange<'_>],
    ) -> StorageResult<()> {
        opened.inner().note_changes(origin, changes).await?;
        let (scope, options) = (opened.scope().clone(), opened.options());
        opened.exchange(&scope, options).await
    }
}

/// Passes on records alone.
struct RecordsAlone<'a>(&'a mut dyn RecordSink);

impl RecordSink for RecordsAlone<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.0.record(row)
    }
}

/// Nobody is shown what an update replaces.
pub(super) struct ShowsNothingReplaced;

#[async_trait]
impl Interceptor for ShowsNothingReplaced {
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
        opened.inner().update(entity, id, expected, change, stamp, &mut RecordsAlone(sink)).await
    }

    async fn update_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        opened.inner().update_many(entity, updates, stamp, &mut RecordsAlone(sink)).await
    }
}

struct Values(Vec<Value>);

impl ReplacedView for Values {
    fn replaced_field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        Ok(self.0[position].as_ref())
    }
}

/// What an update replaces is read after it has: RETURNING, where the statement knows the new row alone.
pub(super) struct ShowsTheNewOne;

#[async_trait]
impl Interceptor for ShowsTheNewOne {
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
        let mut found = rows::Rows::of(entity);
        let outcome = opened.inner().update(entity, id, expected, change, stamp, &mut found).await?;
        for row in found.rows {
            if sink.wants_replaced() {
                sink.replaced(id, &Values(row.values.clone()))?;
            }
            sink.record(&row)?;
        }
        Ok(outcome)
    }
}

/// Pruning has no limit.
pub(super) struct PrunesAll;

#[async_trait]
impl Interceptor for PrunesAll {
    async fn prune_history(
        &self,
        opened: &mut Opened,
        entity: &EntityRef,
        before: DateTime<Utc>,
        _limit: u32,
    ) -> StorageResult<u64> {
        opened.inner().prune_history(entity, before, u32::MAX).await
    }
}

/// Of two changes with one version the deletion is taken for the earlier.
pub(super) struct DeletesFirst;

/// Gives a change to a sink, later.
type Later = Box<dyn FnOnce(&mut dyn HistorySink) -> StorageResult<SinkFlow> + Send>;

#[derive(Default)]
struct Kept(Vec<(Version, Verb, Later)>);

impl HistorySink for Kept {
    fn change(&mut self, change: &NotedChange<'_>) -> StorageResult<SinkFlow> {
        let NotedChange { place, invocation, .. } = *change;
        let (by, changes) = (change.by.to_owned(), change.changes.map(str::to_owned));
        let again = move |sink: &mut dyn HistorySink| {
            sink.change(&NotedChange {
                place,
                by: &by,
                caused_by: None,
                plugin: None,
                plugin_version: None,
                invocation,
                changes: changes.as_deref(),
            })
        };
        self.0.push((place.version, place.verb, Box::new(again)));
        Ok(SinkFlow::Continue)
    }
}

#[async_trait]
impl Interceptor for DeletesFirst {
    async fn history(
        &self,
        opened: &mut Opened,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool> {
        let mut kept = Kept::default();
        let more = opened.inner().history(entity, query, &mut kept).await?;
        kept.0.sort_by_key(|(version, verb, _)| (std::cmp::Reverse(version.get()), *verb == Verb::Delete));
        for (_, _, again) in kept.0 {
            again(sink)?;
        }
        Ok(more)
    }
}

/// What was asked for is not looked at.
pub(super) struct FiltersNothing;

#[async_trait]
impl Interceptor for FiltersNothing {
    async fn history(
        &self,
        opened: &mut Opened,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool> {
        let all = HistoryQuery { filter: ChangeFilter::default(), ..query };
        opened.inner().history(entity, all, sink).await
    }
}
