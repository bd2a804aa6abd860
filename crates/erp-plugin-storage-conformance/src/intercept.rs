//! A storage that passes everything on, for tests that want one thing to be otherwise: a commit that is lost, a call
//! that is counted, a promise that is broken.
//!
//! ```ignore
//! struct LosesCommits;
//!
//! #[async_trait]
//! impl Interceptor for LosesCommits {
//!     async fn commit(&self, opened: Opened, _: Option<&InvocationRecord>) -> StorageResult<()> {
//!         drop(opened);
//!         Err(StorageError::new(ErrorKind::TransactionLost, "commit"))
//!     }
//! }
//!
//! let storage = Intercepted::new(storage, Arc::new(LosesCommits));
//! ```
//!
//! What an interceptor keeps, it keeps for all transactions: one that needs to tell them apart has
//! [`Opened::number`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, EventPattern, NewEvent};
use erp_plugin_model::evolution::{Archived, Check, Step};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::job::JobRun;
use erp_plugin_model::page::Page;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{
    EntityRef, EntitySchema, EventId, FieldName, PluginName, RecordId, Role, RoleAssignment, RoleName, RunId,
    TenantId, UserId, Value, Version, WorkerId,
};
use erp_plugin_storage::{
    Access, Activation, ActivationState, Aggregate, AggregateOutcome, Alter, Altered, Audit, AuditEntry,
    AuditQuery, AuditTrail, Backlog, Change, ClaimRequest, Clashes, Counted, CreateDynamic, DeadLetter,
    DeadLetterFilter, DeadLetters, DeleteOutcome, DeliveryStatus, Dispatch, DispatchOutcome, DueJob,
    DynamicEntities, Entity, Erasure, EventFilter, Events, Failure, History, HistoryQuery, HistorySink,
    InsertOutcome, JobRuns, Jobs, JournalReader, Ledger, LogQuery, Moved, NewChange, NewJob, NewRecord,
    NumberSeries, OneOff, Origin, Outbox, PlannedJob, PlatformScope, PlatformTransaction, PluginVersion,
    Quarantine, QueryOutcome, RecordSink, RecordUpdate, Records, Registry, Reshape, RestoreOutcome, Roles,
    RunFailure, RunFilter, RunRequest, SchemaAdmin, Series, Stamp, Storage, StorageResult, StoredEvent,
    StoredJob, StoredLogLine, StoredRun, Subscribers, Subscription, TenantScope, TenantState, Transaction,
    TransactionOptions, UpdateOutcome, UsageTotal, Which, WorkerState, Workers,
};

/// A storage whose every call goes through an [`Interceptor`].
pub struct Intercepted {
    storage: Arc<dyn Storage>,
    interceptor: Arc<dyn Interceptor>,
    begun: AtomicU64,
}

impl Intercepted {
    /// The storage, seen through the interceptor.
    pub fn new(storage: Arc<dyn Storage>, interceptor: Arc<dyn Interceptor>) -> Self {
        Self { storage, interceptor, begun: AtomicU64::new(0) }
    }
}

/// A tenant's transaction that an interceptor has in its hands.
pub struct Opened {
    number: u64,
    storage: Arc<dyn Storage>,
    scope: TenantScope,
    options: TransactionOptions,
    /// `None` between a pause and an exchange.
    inner: Option<Box<dyn Transaction>>,
}

impl Opened {
    /// The transaction of the storage below.
    pub fn inner(&mut self) -> &mut dyn Transaction {
        &mut **self.inner.as_mut().expect("there is none since a pause, or since an exchange that failed")
    }

    /// The transaction of the storage below, to end it.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Transaction> {
        self.inner.expect("there is none since a pause, or since an exchange that failed")
    }

    /// Which transaction of the storage it is, counted in the order in which they begin.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The storage below.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The scope that it was begun with.
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// How it was begun.
    #[must_use]
    pub fn options(&self) -> TransactionOptions {
        self.options
    }

    /// Commits the transaction below and begins another in its place: there is never more than one, since a database
    /// in memory has no more.
    ///
    /// # Errors
    ///
    /// As of a commit and a beginning.
    pub async fn exchange(&mut self, scope: &TenantScope, options: TransactionOptions) -> StorageResult<()> {
        self.pause().await?;
        self.inner = Some(self.storage.begin(scope, options).await?);
        Ok(())
    }

    /// Commits the transaction below, so that there is none until the next exchange.
    ///
    /// # Errors
    ///
    /// As of a commit.
    pub async fn pause(&mut self) -> StorageResult<()> {
        match self.inner.take() {
            Some(inner) => inner.commit(None).await,
            None => Ok(()),
        }
    }
}

struct InterceptedTransaction {
    interceptor: Arc<dyn Interceptor>,
    /// `None` once it ends.
    opened: Option<Opened>,
}

impl InterceptedTransaction {
    fn parts(&mut self) -> (&dyn Interceptor, &mut Opened) {
        (&*self.interceptor, self.opened.as_mut().expect("it ends by value"))
    }
}

impl Drop for InterceptedTransaction {
    fn drop(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.interceptor.dropped(opened);
        }
    }
}

struct InterceptedPlatform {
    interceptor: Arc<dyn Interceptor>,
    inner: Box<dyn PlatformTransaction>,
}

/// From one list of the operations: the trait of what may be intercepted, in which each is passed on, and the storage
/// traits of the transactions, in which each is intercepted.
macro_rules! operations {
    (
        tenant { $($tenant:ident { $(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)* })* }
        platform { $($platform:ident { $(fn $p_name:ident($($p_arg:ident: $p_type:ty),*) -> $p_result:ty;)* })* }
    ) => {
        /// What becomes of each call on its way to the storage below. Every method passes it on; override what is to
        /// be otherwise.
        #[allow(clippy::too_many_arguments, reason = "those of the operation, and the transaction")]
        #[async_trait]
        pub trait Interceptor: Send + Sync {
            /// Of [`Storage::begin`].
            async fn begin(
                &self,
                storage: &Arc<dyn Storage>,
                scope: &TenantScope,
                options: TransactionOptions,
            ) -> StorageResult<Box<dyn Transaction>> {
                storage.begin(scope, options).await
            }

            /// Of [`Storage::begin_platform`].
            async fn begin_platform(
                &self,
                storage: &Arc<dyn Storage>,
                scope: PlatformScope,
                options: TransactionOptions,
            ) -> StorageResult<Box<dyn PlatformTransaction>> {
                storage.begin_platform(scope, options).await
            }

            /// Of [`Alter::alter`].
            async fn alter(
                &self,
                storage: &Arc<dyn Storage>,
                step: &Step,
                deadline: Instant,
            ) -> StorageResult<Altered> {
                storage.alter(PlatformScope::granted_by_host(), step, deadline).await
            }

            /// Of [`Alter::finish`].
            async fn finish(
                &self,
                storage: &Arc<dyn Storage>,
                step: &Step,
                deadline: Instant,
            ) -> StorageResult<Altered> {
                storage.finish(PlatformScope::granted_by_host(), step, deadline).await
            }

            /// Of [`Transaction::must_end_by`].
            fn must_end_by(&self, inner: &dyn Transaction) -> Option<Instant> {
                inner.must_end_by()
            }

            /// Of [`Transaction::commit`].
            async fn commit(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
                opened.into_inner().commit(record).await
            }

            /// Of [`Transaction::rollback`].
            async fn rollback(&self, opened: Opened, record: Option<&InvocationRecord>) -> StorageResult<()> {
                opened.into_inner().rollback(record).await
            }

            /// Of a transaction that is dropped.
            fn dropped(&self, opened: Opened) {
                drop(opened);
            }

            /// Of [`PlatformTransaction::commit`].
            async fn platform_commit(&self, inner: Box<dyn PlatformTransaction>) -> StorageResult<()> {
                inner.commit().await
            }

            /// Of [`PlatformTransaction::rollback`].
            async fn platform_rollback(&self, inner: Box<dyn PlatformTransaction>) -> StorageResult<()> {
                inner.rollback().await
            }

            $($(
                #[doc = concat!("Of [`", stringify!($tenant), "::", stringify!($name), "`].")]
                async fn $name(&self, opened: &mut Opened, $($arg: $type),*) -> StorageResult<$result> {
                    opened.inner().$name($($arg),*).await
                }
            )*)*

            $($(
                #[doc = concat!("Of [`", stringify!($platform), "::", stringify!($p_name), "`].")]
                async fn $p_name(
                    &self,
                    inner: &mut dyn PlatformTransaction,
                    $($p_arg: $p_type),*
                ) -> StorageResult<$p_result> {
                    inner.$p_name($($p_arg),*).await
                }
            )*)*
        }

        $(
            #[async_trait]
            impl $tenant for InterceptedTransaction {
                $(
                    async fn $name(&mut self, $($arg: $type),*) -> StorageResult<$result> {
                        let (interceptor, opened) = self.parts();
                        interceptor.$name(opened, $($arg),*).await
                    }
                )*
            }
        )*

        $(
            #[async_trait]
            impl $platform for InterceptedPlatform {
                $(
                    async fn $p_name(&mut self, $($p_arg: $p_type),*) -> StorageResult<$p_result> {
                        self.interceptor.$p_name(&mut *self.inner, $($p_arg),*).await
                    }
                )*
            }
        )*
    };
}

operations! {
    tenant {
        Records {
            fn insert(entity: &Entity, record: NewRecord<'_>, stamp: Stamp<'_>) -> InsertOutcome;
            fn insert_many(entity: &Entity, records: &[NewRecord<'_>], stamp: Stamp<'_>) -> Vec<InsertOutcome>;
            fn get(entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> bool;
            fn query(entity: &Entity, filter: &Filter, page: &Page, sink: &mut dyn RecordSink) -> QueryOutcome;
            fn count(entity: &Entity, filter: &Filter) -> Counted;
            fn aggregate(entity: &Entity, filter: &Filter, aggregate: &Aggregate) -> AggregateOutcome;
            fn update(
                entity: &Entity, id: RecordId, expected: Version, change: Change<'_>, stamp: Stamp<'_>,
                sink: &mut dyn RecordSink
            ) -> UpdateOutcome;
            fn update_many(
                entity: &Entity, updates: &[RecordUpdate<'_>], stamp: Stamp<'_>, sink: &mut dyn RecordSink
            ) -> Vec<UpdateOutcome>;
            fn delete(entity: &Entity, id: RecordId, stamp: Stamp<'_>) -> DeleteOutcome;
            fn restore(
                entity: &Entity, id: RecordId, stamp: Stamp<'_>, sink: &mut dyn RecordSink
            ) -> RestoreOutcome;
            fn purge(entity: &Entity, deleted_before: DateTime<Utc>, limit: u32) -> u64;
        }
        History {
            fn note_changes(origin: Origin<'_>, changes: &[NewChange<'_>]) -> ();
            fn history(entity: &EntityRef, query: HistoryQuery<'_>, sink: &mut dyn HistorySink) -> bool;
            fn prune_history(entity: &EntityRef, before: DateTime<Utc>, limit: u32) -> u64;
        }
        Events {
            fn publish(events: &[NewEvent]) -> ();
            fn mark_done(delivery: &Delivery) -> bool;
            fn event_count() -> u64;
        }
        Activation {
            fn activation(plugin: &PluginName) -> Option<ActivationState>;
            fn require_version(plugin: &PluginName, version: &str) -> ();
            fn set_activation(state: &ActivationState, subscriptions: &[Subscription]) -> ();
            fn set_quarantine(
                plugin: &PluginName, until: Option<DateTime<Utc>>, quarantine: Option<&Quarantine>
            ) -> bool;
            fn config(plugin: &PluginName) -> Vec<(String, String)>;
            fn set_config(plugin: &PluginName, key: &str, value: Option<&str>) -> ();
        }
        Audit {
            fn note_audit(entry: &AuditEntry) -> ();
        }
        Roles {
            fn roles() -> Vec<Role>;
            fn set_role(role: &Role) -> ();
            fn remove_role(role: &RoleName) -> bool;
            fn assign_role(user: &UserId, role: &RoleName) -> bool;
            fn unassign_role(user: &UserId, role: &RoleName) -> bool;
            fn roles_of(user: &UserId, beside: &[RoleName]) -> Vec<Role>;
            fn role_assignments() -> Vec<RoleAssignment>;
        }
        NumberSeries {
            fn take_numbers(series: Series<'_>, count: u32) -> u64;
            fn give_back_numbers(series: Series<'_>, count: u32) -> ();
        }
        DynamicEntities {
            fn create_dynamic(entity: &Entity) -> CreateDynamic;
            fn declare(schema: &EntitySchema) -> bool;
            fn has_dynamic(name: &EntityRef) -> bool;
        }
        Jobs {
            fn set_jobs(plugin: &PluginName, jobs: &[NewJob], at: DateTime<Utc>, gone: &str) -> ();
            fn mark_run_done(run: &JobRun, at: DateTime<Utc>) -> bool;
        }
        JournalReader {
            fn log(query: &LogQuery) -> Vec<StoredLogLine>;
            fn usage() -> Vec<UsageTotal>;
        }
        Reshape {
            fn values(
                schema: &EntitySchema,
                field: Option<&FieldName>,
                after: Option<RecordId>,
                limit: u32
            ) -> Vec<(RecordId, Value)>;
            fn clashes(schema: &EntitySchema, check: &Check, limit: u32) -> Clashes;
            fn move_records(step: &Step, which: Which, limit: u32) -> Moved;
        }
        Erasure {
            fn tenant_tables() -> Vec<String>;
            fn erase(table: &str, limit: u32) -> u64;
            fn erase_plugin(plugin: &PluginName, limit: u32) -> u64;
        }
    }
    platform {
        Registry {
            fn put_component(hash: &[u8; 32], bytes: &[u8]) -> ();
            fn component(hash: &[u8; 32]) -> Option<Vec<u8>>;
            fn add_version(version: &PluginVersion) -> bool;
            fn set_granted(plugin: &PluginName, version: &semver::Version, granted: &[u8]) -> bool;
            fn activate(plugin: &PluginName, version: &semver::Version) -> ();
            fn deactivate(plugin: &PluginName) -> bool;
            fn remove_versions(plugin: &PluginName) -> u64;
            fn enabled_in(plugin: &PluginName) -> Vec<TenantId>;
            fn active_versions() -> Vec<(PluginName, semver::Version)>;
            fn versions() -> Vec<PluginVersion>;
            fn deviations() -> Vec<(TenantId, PluginName, semver::Version)>;
            fn revision() -> String;
            fn note_change() -> ();
            fn system_config() -> Vec<(String, String)>;
            fn set_system_config(key: &str, value: Option<&str>) -> ();
        }
        SchemaAdmin {
            fn create_entity(schema: &EntitySchema) -> bool;
        }
        Ledger {
            fn entities(plugin: &PluginName) -> Vec<EntitySchema>;
            fn set_version(plugin: &PluginName, version: &semver::Version) -> ();
            fn archived(plugin: &PluginName) -> Vec<Archived>;
            fn purge_archived(archived: &Archived) -> bool;
        }
        Access {
            fn create_tenant(tenant: &TenantId, at: DateTime<Utc>) -> bool;
            fn tenant_state(tenant: &TenantId) -> Option<TenantState>;
            fn set_tenant_state(tenant: &TenantId, state: TenantState) -> bool;
            fn tenants() -> Vec<TenantId>;
            fn suspended_tenants() -> Vec<TenantId>;
            fn remove_tenant(tenant: &TenantId) -> bool;
        }
        AuditTrail {
            fn note_platform_audit(entry: &AuditEntry) -> ();
            fn audit(query: AuditQuery<'_>) -> Vec<AuditEntry>;
        }
        Dispatch {
            fn dispatch(limit: u32) -> DispatchOutcome;
            fn claim(request: &ClaimRequest<'_>) -> Vec<Vec<Delivery>>;
            fn end_claims(worker: WorkerId, claims: &[&Delivery]) -> ();
            fn record_failure(failure: Failure<'_>) -> bool;
            fn release(delivery: &Delivery) -> bool;
        }
        Workers {
            fn beat(worker: WorkerId) -> ();
            fn workers() -> Vec<WorkerState>;
            fn retire(worker: WorkerState) -> bool;
        }
        JobRuns {
            fn due_jobs(at: DateTime<Utc>, limit: u32) -> Vec<DueJob>;
            fn plan_job(planned: &PlannedJob<'_>) -> bool;
            fn put_off(due: &DueJob, plan_at: DateTime<Utc>) -> ();
            fn is_run_due(at: DateTime<Utc>) -> bool;
            fn claim_runs(request: &RunRequest<'_>) -> Vec<JobRun>;
            fn add_run(one_off: &OneOff) -> bool;
            fn start_run(worker: WorkerId, one_off: &OneOff) -> Option<JobRun>;
            fn fail_run(failure: RunFailure<'_>) -> bool;
            fn release_run(run: &JobRun, due_at: DateTime<Utc>) -> bool;
            fn jobs(tenant: &TenantId, at: DateTime<Utc>) -> Vec<StoredJob>;
            fn runs(tenant: &TenantId, filter: &RunFilter, limit: u32) -> Vec<StoredRun>;
            fn run(tenant: &TenantId, run: RunId) -> Option<StoredRun>;
            fn retry_run(tenant: &TenantId, run: RunId, at: DateTime<Utc>) -> bool;
            fn cancel_run(tenant: &TenantId, run: RunId, at: DateTime<Utc>, note: &str) -> bool;
            fn prune_runs(before: DateTime<Utc>, limit: u32) -> u64;
        }
        Subscribers {
            fn subscribe(subscriber: &PluginName, pattern: &EventPattern) -> bool;
            fn unsubscribe(subscriber: &PluginName, pattern: &EventPattern) -> bool;
            fn subscriptions() -> Vec<(PluginName, EventPattern)>;
        }
        DeadLetters {
            fn dead_letters(
                filter: &DeadLetterFilter, after: Option<&Delivery>, limit: u32
            ) -> Vec<DeadLetter>;
            fn resend(filter: &DeadLetterFilter, limit: u32) -> u64;
            fn drop_dead_letters(filter: &DeadLetterFilter, limit: u32) -> u64;
        }
        Outbox {
            fn events(filter: &EventFilter, newest: bool, limit: u32) -> Vec<StoredEvent>;
            fn event(tenant: &TenantId, event: EventId) -> Option<StoredEvent>;
            fn deliveries(tenant: &TenantId, event: EventId) -> Vec<DeliveryStatus>;
            fn backlog(tenant: Option<&TenantId>) -> Backlog;
            fn prune_events(before: DateTime<Utc>, limit: u32) -> u64;
            fn prune_log(before: DateTime<Utc>, limit: u32) -> u64;
        }
    }
}

#[async_trait]
impl Alter for Intercepted {
    async fn alter(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.interceptor.alter(&self.storage, step, deadline).await
    }

    async fn finish(&self, _: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered> {
        self.interceptor.finish(&self.storage, step, deadline).await
    }

    fn statements(&self, step: &Step) -> Vec<String> {
        self.storage.statements(step)
    }
}

#[async_trait]
impl Storage for Intercepted {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        let inner = self.interceptor.begin(&self.storage, scope, options).await?;
        let opened = Opened {
            number: self.begun.fetch_add(1, Ordering::Relaxed),
            storage: Arc::clone(&self.storage),
            scope: scope.clone(),
            options,
            inner: Some(inner),
        };
        Ok(Box::new(InterceptedTransaction {
            interceptor: Arc::clone(&self.interceptor),
            opened: Some(opened),
        }))
    }

    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        let inner = self.interceptor.begin_platform(&self.storage, scope, options).await?;
        Ok(Box::new(InterceptedPlatform { interceptor: Arc::clone(&self.interceptor), inner }))
    }
}

#[async_trait]
impl Transaction for InterceptedTransaction {
    fn must_end_by(&self) -> Option<Instant> {
        let inner = self.opened.as_ref().and_then(|opened| opened.inner.as_deref())?;
        self.interceptor.must_end_by(inner)
    }

    async fn commit(mut self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let opened = self.opened.take().expect("it ends once");
        self.interceptor.commit(opened, record).await
    }

    async fn rollback(mut self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let opened = self.opened.take().expect("it ends once");
        self.interceptor.rollback(opened, record).await
    }
}

#[async_trait]
impl PlatformTransaction for InterceptedPlatform {
    async fn commit(self: Box<Self>) -> StorageResult<()> {
        let Self { interceptor, inner } = *self;
        interceptor.platform_commit(inner).await
    }

    async fn rollback(self: Box<Self>) -> StorageResult<()> {
        let Self { interceptor, inner } = *self;
        interceptor.platform_rollback(inner).await
    }
}
