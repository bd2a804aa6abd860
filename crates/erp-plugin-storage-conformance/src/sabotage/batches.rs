//! A backend that does several things at once otherwise than one by one.

use async_trait::async_trait;
use erp_plugin_storage::{
    Entity, InsertOutcome, NewRecord, RecordSink, RecordUpdate, Stamp, StorageResult, UpdateOutcome,
    Violation,
};

use crate::intercept::{Interceptor, Opened};

/// A record whose unique value is taken is passed over, as by `ON CONFLICT DO NOTHING`, and nobody looks.
pub(super) struct DuplicatesPassForInserted;

#[async_trait]
impl Interceptor for DuplicatesPassForInserted {
    async fn insert_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let mut outcomes = opened.inner().insert_many(entity, records, stamp).await?;
        for outcome in &mut outcomes {
            if matches!(outcome, InsertOutcome::Violates(Violation::Unique(_))) {
                *outcome = InsertOutcome::Inserted;
            }
        }
        Ok(outcomes)
    }
}

/// Of two with one unique value the last is kept.
pub(super) struct TheLastIsKept;

#[async_trait]
impl Interceptor for TheLastIsKept {
    async fn insert_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let backwards: Vec<_> = records.iter().rev().copied().collect();
        let mut outcomes = opened.inner().insert_many(entity, &backwards, stamp).await?;
        outcomes.reverse();
        Ok(outcomes)
    }
}

/// Each after the other, so that one may refer to another.
pub(super) struct OneByOne;

#[async_trait]
impl Interceptor for OneByOne {
    async fn insert_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let mut outcomes = Vec::new();
        for record in records {
            outcomes.push(opened.inner().insert(entity, *record, stamp).await?);
        }
        Ok(outcomes)
    }
}

/// Nothing is written of a batch of which one is refused.
pub(super) struct AllOrNothing;

#[async_trait]
impl Interceptor for AllOrNothing {
    async fn insert_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let outcomes = opened.inner().insert_many(entity, records, stamp).await?;
        if outcomes.iter().any(|outcome| *outcome != InsertOutcome::Inserted) {
            for (record, outcome) in records.iter().zip(&outcomes) {
                if *outcome == InsertOutcome::Inserted {
                    opened.inner().delete(entity, record.id, stamp).await?;
                }
            }
        }
        Ok(outcomes)
    }
}

/// Updated records come by their ids.
pub(super) struct UpdatesById;

#[async_trait]
impl Interceptor for UpdatesById {
    async fn update_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        let mut by_id: Vec<_> = updates.iter().enumerate().collect();
        by_id.sort_by_key(|(_, update)| update.id);
        let sorted: Vec<_> = by_id.iter().map(|(_, update)| **update).collect();
        let outcomes = opened.inner().update_many(entity, &sorted, stamp, sink).await?;
        let mut in_place: Vec<_> = by_id.iter().map(|(place, _)| *place).zip(outcomes).collect();
        in_place.sort_by_key(|(place, _)| *place);
        Ok(in_place.into_iter().map(|(_, outcome)| outcome).collect())
    }
}
