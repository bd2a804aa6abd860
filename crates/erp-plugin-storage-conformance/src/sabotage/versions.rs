//! A backend that is careless with versions.

use async_trait::async_trait;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{RecordId, Version};
use erp_plugin_storage::{
    Change, Entity, Mode, QueryOutcome, RecordSink, RecordUpdate, Stamp, StorageResult, TransactionOptions,
    UpdateOutcome,
};

use super::rows::{self, Altered, Row};
use super::transactions::Meeting;
use crate::intercept::{Interceptor, Opened};

/// Versions are not looked at.
pub(super) struct NoVersionCheck;

#[async_trait]
impl Interceptor for NoVersionCheck {
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
        match opened.inner().update(entity, id, expected, change, stamp, sink).await? {
            UpdateOutcome::VersionMismatch { actual } => {
                opened.inner().update(entity, id, actual, change, stamp, sink).await
            }
            outcome => Ok(outcome),
        }
    }
}

/// Nor in several updates at once.
pub(super) struct NoVersionCheckInBatches;

#[async_trait]
impl Interceptor for NoVersionCheckInBatches {
    async fn update_many(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        let mut at_their_versions = Vec::new();
        for update in updates {
            let row = rows::one(opened.inner(), entity, update.id).await?;
            let expected = row.map_or(update.expected, |row| row.version);
            at_their_versions.push(RecordUpdate { expected, ..*update });
        }
        opened.inner().update_many(entity, &at_their_versions, stamp, sink).await
    }
}

/// The version is checked in one transaction and the record written in the next.
pub(super) struct CheckedInAnotherTransaction(pub(super) Meeting);

#[async_trait]
impl Interceptor for CheckedInAnotherTransaction {
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
        let (scope, options) = (opened.scope().clone(), opened.options());
        opened.exchange(&scope, TransactionOptions { mode: Mode::Read, ..options }).await?;
        let Some(row) = rows::one(opened.inner(), entity, id).await? else {
            return Ok(UpdateOutcome::NotFound);
        };
        if row.version != expected {
            return Ok(UpdateOutcome::VersionMismatch { actual: row.version });
        }
        opened.pause().await?;
        self.0.with_another().await;
        opened.exchange(&scope, options).await?;
        NoVersionCheck.update(opened, entity, id, expected, change, stamp, sink).await
    }
}

/// A record has the version that it began with for ever.
pub(super) struct NotRaised;

fn first(row: &mut Row) {
    row.version = Version::FIRST;
}

#[async_trait]
impl Interceptor for NotRaised {
    async fn get(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<bool> {
        opened.inner().get(entity, id, &mut Altered { entity, sink, alter: first }).await
    }

    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        opened.inner().query(entity, filter, page, &mut Altered { entity, sink, alter: first }).await
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
        let Some(row) = rows::one(opened.inner(), entity, id).await? else {
            return Ok(UpdateOutcome::NotFound);
        };
        if expected != Version::FIRST {
            return Ok(UpdateOutcome::VersionMismatch { actual: Version::FIRST });
        }
        let mut sink = Altered { entity, sink, alter: first };
        opened.inner().update(entity, id, row.version, change, stamp, &mut sink).await
    }
}

/// An update that changes nothing is none.
pub(super) struct NotRaisedByNothing;

#[async_trait]
impl Interceptor for NotRaisedByNothing {
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
        let row = rows::one(opened.inner(), entity, id).await?;
        match (change, row) {
            (Change::Fields([]) | Change::Document([]), Some(row)) if row.version == expected => {
                sink.record(&row).map(|_| UpdateOutcome::Written)
            }
            _ => opened.inner().update(entity, id, expected, change, stamp, sink).await,
        }
    }
}
