//! A backend that forgets the tenant: in the condition of one statement, or on a connection.
//!
//! Such a statement reaches what another tenant committed. It is asked for there, in a transaction that takes the place
//! of the own one meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::Delivery;
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::Page;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{
    EntityRef, EntitySchema, FieldType, PluginName, RecordId, Role, RoleName, TenantId, UserId, Value,
    Version,
};
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Change, Counted, DeleteOutcome, Entity, FigureValue, HistoryQuery,
    HistorySink, InsertOutcome, LogQuery, NewRecord, QueryOutcome, RecordSink, RestoreOutcome, Series, Stamp,
    Storage, StorageResult, StoredLogLine, TenantScope, Transaction, TransactionOptions, UpdateOutcome,
    UsageTotal, Violation,
};

use super::rows::{self, Rows};
use crate::intercept::{Interceptor, Opened};

/// The statement that lacks the condition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Statement {
    Get,
    Query,
    Count,
    Aggregate,
    Update,
    /// The one that tells a stale version from a record that is not there.
    ActualVersion,
    Delete,
    Restore,
    Purge,
    Unique,
    Reference,
    MarkDone,
    EventCount,
    Config,
    Roles,
    RolesOf,
    RemoveRole,
    TakeNumbers,
    Log,
    Usage,
    History,
}

/// No condition on the tenant in one statement.
pub(super) struct NoTenantPredicate {
    statement: Statement,
    tenants: Mutex<BTreeSet<TenantId>>,
    schemas: Mutex<BTreeMap<EntityRef, EntitySchema>>,
}

impl NoTenantPredicate {
    pub(super) fn of(statement: Statement) -> Self {
        Self { statement, tenants: Mutex::default(), schemas: Mutex::default() }
    }

    /// The tenants that the statement reaches beside its own.
    fn others(&self, statement: Statement, opened: &Opened) -> Vec<TenantScope> {
        let tenants = self.tenants.lock().unwrap();
        let others = tenants.iter().filter(|tenant| *tenant != opened.scope().tenant());
        let others = others.cloned().map(TenantScope::granted_by_host);
        if self.statement == statement { others.collect() } else { Vec::new() }
    }

    /// Whether there is such a record of an entity in another tenant.
    async fn is_elsewhere(
        &self,
        statement: Statement,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
    ) -> StorageResult<bool> {
        let mut found = false;
        for other in self.others(statement, opened) {
            go(opened, &other).await?;
            found |= opened.inner().count(entity, filter).await?.count > 0;
        }
        home(opened).await?;
        Ok(found)
    }
}

async fn go(opened: &mut Opened, to: &TenantScope) -> StorageResult<()> {
    opened.exchange(to, opened.options()).await
}

async fn home(opened: &mut Opened) -> StorageResult<()> {
    let scope = opened.scope().clone();
    go(opened, &scope).await
}

fn has_id(id: RecordId) -> Filter {
    Filter::Compare(
        Column::System(erp_plugin_model::schema::SystemField::Id),
        Comparison::Eq,
        Value::Uuid(id.0),
    )
}

/// Adds the figures of one tenant to those of another.
fn add(to: &mut AggregateOutcome, theirs: AggregateOutcome) {
    for group in theirs.groups {
        let Some(ours) = to.groups.iter_mut().find(|ours| ours.key == group.key) else {
            to.groups.push(group);
            continue;
        };
        for (ours, theirs) in ours.figures.iter_mut().zip(group.figures) {
            match (ours, theirs) {
                (FigureValue::Count(ours), FigureValue::Count(theirs)) => *ours += theirs,
                (FigureValue::Sum { sum, of }, FigureValue::Sum { sum: theirs, of: of_theirs }) => {
                    *sum += theirs;
                    *of += of_theirs;
                }
                _ => {}
            }
        }
    }
}

#[async_trait]
impl Interceptor for NoTenantPredicate {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        self.tenants.lock().unwrap().insert(scope.tenant().clone());
        storage.begin(scope, options).await
    }

    async fn get(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<bool> {
        let mut found = opened.inner().get(entity, id, sink).await?;
        if !found {
            for other in self.others(Statement::Get, opened) {
                go(opened, &other).await?;
                found |= opened.inner().get(entity, id, sink).await?;
                home(opened).await?;
            }
        }
        Ok(found)
    }

    async fn query(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let others = self.others(Statement::Query, opened);
        if others.is_empty() {
            return opened.inner().query(entity, filter, page, sink).await;
        }
        let mut found = Rows::of(entity);
        let mut outcome = opened.inner().query(entity, filter, page, &mut found).await?;
        for other in others {
            go(opened, &other).await?;
            let theirs = opened.inner().query(entity, filter, page, &mut found).await?;
            outcome.has_more |= theirs.has_more;
            outcome.total = outcome.total.zip(theirs.total).map(|(ours, theirs)| ours + theirs);
        }
        home(opened).await?;
        let mut rows = found.rows;
        rows.sort_by(|a, b| {
            rows::compare(&a.key(&page.sort), &b.key(&page.sort), &page.sort, rows::absent_last)
        });
        outcome.has_more |= rows.len() > page.limit as usize;
        rows.truncate(page.limit as usize);
        rows::give(&rows, sink)?;
        Ok(outcome)
    }

    async fn count(&self, opened: &mut Opened, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        let mut counted = opened.inner().count(entity, filter).await?;
        for other in self.others(Statement::Count, opened) {
            go(opened, &other).await?;
            counted.count += opened.inner().count(entity, filter).await?.count;
            home(opened).await?;
        }
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
        for other in self.others(Statement::Aggregate, opened) {
            go(opened, &other).await?;
            add(&mut outcome, opened.inner().aggregate(entity, filter, aggregate).await?);
            home(opened).await?;
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
        self.schemas.lock().unwrap().insert(schema.name.clone(), schema.clone());
        if self.statement == Statement::Unique {
            for (position, field) in schema.fields().iter().enumerate().filter(|(_, field)| field.unique) {
                let value = &record.values[position];
                let same = Filter::Compare(Column::Field(position), Comparison::Eq, value.clone());
                if !value.is_null() && self.is_elsewhere(Statement::Unique, opened, entity, &same).await? {
                    return Ok(InsertOutcome::Violates(Violation::Unique(field.name.clone())));
                }
            }
        }
        let outcome = opened.inner().insert(entity, record, stamp).await?;
        // A reference that is refused is let through when another tenant has the record. What cannot be kept below is
        // left out.
        if self.statement == Statement::Reference
            && let InsertOutcome::Violates(Violation::Reference(field)) = &outcome
            && let Some(position) = schema.position(field.as_str())
            && let (FieldType::Reference { target, .. }, Value::Uuid(id)) =
                (&schema.fields()[position].field_type, &record.values[position])
        {
            let target = self.schemas.lock().unwrap()[target].clone();
            let there = has_id(RecordId(*id));
            if self.is_elsewhere(Statement::Reference, opened, &Entity::new(target), &there).await? {
                let mut values = record.values.to_vec();
                values[position] = Value::Null;
                let record = NewRecord { id: record.id, values: &values };
                return opened.inner().insert(entity, record, stamp).await;
            }
        }
        Ok(outcome)
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
        let mut outcome = opened.inner().update(entity, id, expected, change, stamp, sink).await?;
        if outcome == UpdateOutcome::NotFound {
            for other in self.others(Statement::Update, opened) {
                go(opened, &other).await?;
                outcome = opened.inner().update(entity, id, expected, change, stamp, sink).await?;
                home(opened).await?;
            }
            for other in self.others(Statement::ActualVersion, opened) {
                go(opened, &other).await?;
                if let Some(row) = rows::one(opened.inner(), entity, id).await? {
                    outcome = UpdateOutcome::VersionMismatch { actual: row.version };
                }
                home(opened).await?;
            }
        }
        Ok(outcome)
    }

    async fn delete(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let mut outcome = opened.inner().delete(entity, id, stamp).await?;
        for other in self.others(Statement::Delete, opened) {
            go(opened, &other).await?;
            let theirs = opened.inner().delete(entity, id, stamp).await?;
            if matches!(theirs, DeleteOutcome::Deleted(_)) {
                outcome = theirs;
            }
            home(opened).await?;
        }
        Ok(outcome)
    }

    async fn restore(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        let mut outcome = opened.inner().restore(entity, id, stamp, sink).await?;
        if outcome == RestoreOutcome::NotFound {
            for other in self.others(Statement::Restore, opened) {
                go(opened, &other).await?;
                outcome = opened.inner().restore(entity, id, stamp, sink).await?;
                home(opened).await?;
            }
        }
        Ok(outcome)
    }

    async fn purge(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        let mut removed = opened.inner().purge(entity, deleted_before, limit).await?;
        for other in self.others(Statement::Purge, opened) {
            go(opened, &other).await?;
            removed += opened.inner().purge(entity, deleted_before, limit).await?;
            home(opened).await?;
        }
        Ok(removed)
    }

    async fn mark_done(&self, opened: &mut Opened, delivery: &Delivery) -> StorageResult<bool> {
        let mut was_ours = opened.inner().mark_done(delivery).await?;
        for other in self.others(Statement::MarkDone, opened) {
            go(opened, &other).await?;
            was_ours |= opened.inner().mark_done(delivery).await?;
            home(opened).await?;
        }
        Ok(was_ours)
    }

    async fn event_count(&self, opened: &mut Opened) -> StorageResult<u64> {
        let mut count = opened.inner().event_count().await?;
        for other in self.others(Statement::EventCount, opened) {
            go(opened, &other).await?;
            count += opened.inner().event_count().await?;
            home(opened).await?;
        }
        Ok(count)
    }

    async fn config(&self, opened: &mut Opened, plugin: &PluginName) -> StorageResult<Vec<(String, String)>> {
        let mut config = opened.inner().config(plugin).await?;
        for other in self.others(Statement::Config, opened) {
            go(opened, &other).await?;
            config.extend(opened.inner().config(plugin).await?);
            home(opened).await?;
        }
        Ok(config)
    }

    async fn roles(&self, opened: &mut Opened) -> StorageResult<Vec<Role>> {
        let mut roles = opened.inner().roles().await?;
        for other in self.others(Statement::Roles, opened) {
            go(opened, &other).await?;
            roles.extend(opened.inner().roles().await?);
            home(opened).await?;
        }
        Ok(roles)
    }

    async fn roles_of(
        &self,
        opened: &mut Opened,
        user: &UserId,
        beside: &[RoleName],
    ) -> StorageResult<Vec<Role>> {
        let mut roles = opened.inner().roles_of(user, beside).await?;
        for other in self.others(Statement::RolesOf, opened) {
            go(opened, &other).await?;
            roles.extend(opened.inner().roles_of(user, beside).await?);
            home(opened).await?;
        }
        Ok(roles)
    }

    async fn remove_role(&self, opened: &mut Opened, role: &RoleName) -> StorageResult<bool> {
        let mut removed = opened.inner().remove_role(role).await?;
        for other in self.others(Statement::RemoveRole, opened) {
            go(opened, &other).await?;
            removed |= opened.inner().remove_role(role).await?;
            home(opened).await?;
        }
        Ok(removed)
    }

    async fn take_numbers(&self, opened: &mut Opened, series: Series<'_>, count: u32) -> StorageResult<u64> {
        match self.others(Statement::TakeNumbers, opened).first() {
            None => opened.inner().take_numbers(series, count).await,
            Some(other) => {
                go(opened, other).await?;
                let first = opened.inner().take_numbers(series, count).await?;
                home(opened).await?;
                Ok(first)
            }
        }
    }

    async fn log(&self, opened: &mut Opened, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        let mut lines = opened.inner().log(query).await?;
        for other in self.others(Statement::Log, opened) {
            go(opened, &other).await?;
            lines.extend(opened.inner().log(query).await?);
            home(opened).await?;
        }
        Ok(lines)
    }

    async fn history(
        &self,
        opened: &mut Opened,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool> {
        let mut more = opened.inner().history(entity, query, sink).await?;
        for other in self.others(Statement::History, opened) {
            go(opened, &other).await?;
            more |= opened.inner().history(entity, query, sink).await?;
            home(opened).await?;
        }
        Ok(more)
    }

    async fn usage(&self, opened: &mut Opened) -> StorageResult<Vec<UsageTotal>> {
        let mut totals = opened.inner().usage().await?;
        for other in self.others(Statement::Usage, opened) {
            go(opened, &other).await?;
            totals.extend(opened.inner().usage().await?);
            home(opened).await?;
        }
        Ok(totals)
    }
}

/// Tenants whose names differ only in case are one.
pub(super) struct TenantsIgnoreCase;

#[async_trait]
impl Interceptor for TenantsIgnoreCase {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let tenant = TenantId::parse(&scope.tenant().as_str().to_lowercase()).unwrap();
        storage.begin(&TenantScope::granted_by_host(tenant), options).await
    }
}

/// What is set on the only connection of a pool.
#[derive(Default)]
enum Connection {
    /// The tenant of the transaction that has it, or none.
    #[default]
    AsItShould,
    /// The tenant of a transaction that has ended.
    Left(TenantScope),
    /// That tenant, and another one's transaction has it: the pool makes it anew afterwards.
    Mistaken,
}

/// A pooled connection keeps the tenant of a transaction that ended in one of these ways, and the next transaction on
/// it acts in that tenant.
pub(super) struct TenantLeftBehind {
    by_an_end: bool,
    by_a_drop: bool,
    connection: Mutex<Connection>,
}

impl TenantLeftBehind {
    pub(super) fn by_an_end() -> Self {
        Self { by_an_end: true, by_a_drop: false, connection: Mutex::default() }
    }

    pub(super) fn by_a_drop() -> Self {
        Self { by_an_end: false, by_a_drop: true, connection: Mutex::default() }
    }

    fn end(&self, leaves: bool, opened: &Opened) {
        let mut connection = self.connection.lock().unwrap();
        if leaves && matches!(*connection, Connection::AsItShould) {
            *connection = Connection::Left(opened.scope().clone());
        }
    }
}

#[async_trait]
impl Interceptor for TenantLeftBehind {
    async fn begin(
        &self,
        storage: &Arc<dyn Storage>,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let acts_in = {
            let mut connection = self.connection.lock().unwrap();
            match std::mem::take(&mut *connection) {
                Connection::Left(left) => {
                    *connection = Connection::Mistaken;
                    left
                }
                Connection::AsItShould | Connection::Mistaken => scope.clone(),
            }
        };
        storage.begin(&acts_in, options).await
    }

    async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.end(self.by_an_end, &opened);
        opened.into_inner().commit(record).await
    }

    async fn rollback(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
        self.end(self.by_an_end, &opened);
        opened.into_inner().rollback(record).await
    }

    fn dropped(&self, opened: Opened) {
        self.end(self.by_a_drop, &opened);
    }
}
