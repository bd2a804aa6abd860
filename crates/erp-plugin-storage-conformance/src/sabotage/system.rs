//! A backend that is careless with figures, and with its own tables.

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::{EntitySchema, Role, RoleAssignment, RoleName, TenantId, UserId};
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, CreateDynamic, Entity, FigureValue, LogQuery, PlatformTransaction,
    PluginVersion, StorageResult, StoredLogLine, TenantState, UsageTotal,
};

use crate::intercept::{Interceptor, Opened};

/// Sums are what such a type can hold.
pub(super) struct Sums(pub(super) fn(i128) -> i128);

#[expect(clippy::cast_possible_truncation, reason = "the sabotage")]
pub(super) fn in_64_bits(sum: i128) -> i128 {
    i128::from(sum as i64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the sabotage")]
pub(super) fn as_a_float(sum: i128) -> i128 {
    sum as f64 as i128
}

#[async_trait]
impl Interceptor for Sums {
    async fn aggregate(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let mut outcome = opened.inner().aggregate(entity, filter, aggregate).await?;
        for figure in outcome.groups.iter_mut().flat_map(|group| &mut group.figures) {
            if let FigureValue::Sum { sum, .. } = figure {
                *sum = (self.0)(*sum);
            }
        }
        Ok(outcome)
    }
}

/// A group whose key is absent is no group.
pub(super) struct NoGroupOfAbsentValues;

#[async_trait]
impl Interceptor for NoGroupOfAbsentValues {
    async fn aggregate(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let mut outcome = opened.inner().aggregate(entity, filter, aggregate).await?;
        outcome.groups.retain(|group| !group.key.iter().any(erp_plugin_model::Value::is_null));
        Ok(outcome)
    }
}

/// Log lines come the newest first.
pub(super) struct NewestFirst;

#[async_trait]
impl Interceptor for NewestFirst {
    async fn log(&self, opened: &mut Opened, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        let mut lines = opened.inner().log(query).await?;
        lines.reverse();
        Ok(lines)
    }
}

/// The moment of a log line is cut to the millisecond.
pub(super) struct MillisecondLines;

#[async_trait]
impl Interceptor for MillisecondLines {
    async fn log(&self, opened: &mut Opened, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        let lines = opened.inner().log(query).await?;
        Ok(lines.into_iter().map(|line| StoredLogLine { at: line.at.trunc_subsecs(3), ..line }).collect())
    }
}

/// A purge takes as many as there are.
pub(super) struct PurgesAll;

#[async_trait]
impl Interceptor for PurgesAll {
    async fn purge(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        _limit: u32,
    ) -> StorageResult<u64> {
        opened.inner().purge(entity, deleted_before, u32::MAX).await
    }
}

/// Failures are not counted.
pub(super) struct NothingFails;

#[async_trait]
impl Interceptor for NothingFails {
    async fn usage(&self, opened: &mut Opened) -> StorageResult<Vec<UsageTotal>> {
        let totals = opened.inner().usage().await?;
        Ok(totals.into_iter().map(|total| UsageTotal { failed: 0, ..total }).collect())
    }
}

/// A plugin may have as many dynamic entities as it likes.
pub(super) struct DynamicWithoutEnd;

#[async_trait]
impl Interceptor for DynamicWithoutEnd {
    async fn create_dynamic(&self, opened: &mut Opened, entity: &Entity) -> StorageResult<CreateDynamic> {
        opened.inner().create_dynamic(entity).await.map(|_| CreateDynamic::Ready)
    }
}

/// `CREATE TABLE IF NOT EXISTS`, and nobody looks at the table that is there; likewise with rows.
pub(super) struct IfNotExists;

#[async_trait]
impl Interceptor for IfNotExists {
    async fn create_entity(
        &self,
        inner: &mut dyn PlatformTransaction,
        schema: &EntitySchema,
    ) -> StorageResult<bool> {
        inner.create_entity(schema).await.map(|_| true)
    }

    async fn create_tenant(
        &self,
        inner: &mut dyn PlatformTransaction,
        tenant: &TenantId,
        at: DateTime<Utc>,
    ) -> StorageResult<bool> {
        inner.create_tenant(tenant, at).await.map(|_| true)
    }

    async fn add_version(
        &self,
        inner: &mut dyn PlatformTransaction,
        version: &PluginVersion,
    ) -> StorageResult<bool> {
        inner.add_version(version).await.map(|_| true)
    }
}

/// A tenant is found by the beginning of its id.
pub(super) struct TenantsByPrefix;

#[async_trait]
impl Interceptor for TenantsByPrefix {
    async fn tenant_state(
        &self,
        inner: &mut dyn PlatformTransaction,
        tenant: &TenantId,
    ) -> StorageResult<Option<TenantState>> {
        let tenants = inner.tenants().await?;
        let found = tenants.iter().any(|other| other.as_str().starts_with(tenant.as_str()));
        Ok(found.then_some(TenantState::Active))
    }
}

/// `DELETE FROM roles` and nothing else: who had a role has the next one of its name.
#[derive(Default)]
pub(super) struct RolesComeBack(Mutex<Vec<RoleAssignment>>);

#[async_trait]
impl Interceptor for RolesComeBack {
    async fn remove_role(&self, opened: &mut Opened, role: &RoleName) -> StorageResult<bool> {
        let had = opened.inner().role_assignments().await?;
        self.0.lock().unwrap().extend(had.into_iter().filter(|own| own.role == *role));
        opened.inner().remove_role(role).await
    }

    async fn set_role(&self, opened: &mut Opened, role: &Role) -> StorageResult<()> {
        opened.inner().set_role(role).await?;
        let left: Vec<_> = self.0.lock().unwrap().extract_if(.., |own| own.role == role.name).collect();
        for RoleAssignment { user, role } in left {
            opened.inner().assign_role(&user, &role).await?;
        }
        Ok(())
    }
}

/// Nobody looks whether there is the role.
pub(super) struct AssignsAnything;

#[async_trait]
impl Interceptor for AssignsAnything {
    async fn assign_role(&self, opened: &mut Opened, user: &UserId, role: &RoleName) -> StorageResult<bool> {
        opened.inner().assign_role(user, role).await.map(|_| true)
    }
}
