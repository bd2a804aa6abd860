//! Where transactions come from, and how they end.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin_model::usage::InvocationRecord;

use crate::{
    Access, Activation, Alter, Audit, AuditTrail, DeadLetters, Dispatch, DynamicEntities, Erasure, Events,
    History, JobRuns, Jobs, JournalReader, Ledger, NumberSeries, Outbox, PlatformScope, Records, Registry,
    Reshape, Roles, SchemaAdmin, StorageResult, Subscribers, TenantScope, Workers,
};

/// Whether a transaction may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads a snapshot; writes are refused as [`Bug`](crate::ErrorKind::Bug).
    Read,
    /// Reads and writes, serializable.
    Write,
    /// As [`Write`](Self::Write), and makes tables: what an installation and its trial do. A server backend gives it
    /// the role that owns the tables, and answers [`OwnerMissing`](crate::ErrorKind::OwnerMissing) when it was not told
    /// how to act in it.
    Migrate,
}

impl Mode {
    /// Whether a transaction of this mode may write.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Migrate)
    }
}

/// How a transaction begins.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// Whether it may write.
    pub mode: Mode,
    /// When waiting, and starting further statements, ends.
    pub deadline: Instant,
    /// How long it may hold what excludes other writers, from when it has it.
    pub writer_hold: Duration,
}

/// A storage backend.
#[async_trait]
pub trait Storage: Alter + Send + Sync {
    /// Begins a transaction in one tenant. Waits, fairly between tenants, until the deadline.
    ///
    /// Held by `transactions::past_the_deadline_nothing_more_is_done`,
    /// `transactions::waiting_for_another_writer_ends_at_the_deadline`,
    /// `isolation::writers_of_many_tenants_get_through`, `isolation::a_read_transaction_sees_one_moment`,
    /// `isolation::query_then_insert_if_none_leaves_one`,
    /// `isolation::what_one_reads_the_other_does_not_change_meanwhile`,
    /// `transactions::a_read_transaction_refuses_to_write`,
    /// `tenants::a_transaction_after_anothers_carries_nothing_of_it`.
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>>;

    /// Begins a transaction on the system's own tables. One that only reads never waits for those that write, where
    /// the backend can have both at once (a database in memory cannot).
    ///
    /// Held by `transactions::a_platform_transaction_may_only_read`.
    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>>;
}

/// A transaction of one tenant. Dropping it rolls it back, the journal included.
#[async_trait]
pub trait Transaction:
    Records
    + History
    + Events
    + Activation
    + Audit
    + Roles
    + NumberSeries
    + DynamicEntities
    + Jobs
    + JournalReader
    + Reshape
    + Erasure
{
    /// When the transaction must have ended because it keeps other writers waiting; `None` when it does not. Past
    /// it every operation answers [`WriterHoldExceeded`](crate::ErrorKind::WriterHoldExceeded).
    ///
    /// Held by `transactions::a_writer_held_too_long_is_told_and_rolled_back`.
    fn must_end_by(&self) -> Option<Instant>;

    /// Makes everything lasting, the invocation's record with it. Returns only when it is.
    ///
    /// Held by `transactions::a_commit_makes_all_of_it_visible`, `transactions::an_unpolled_commit_is_a_drop`,
    /// `journal::a_record_is_kept_with_a_commit_and_with_a_rollback`,
    /// `journal::a_read_transaction_keeps_its_record_too`.
    async fn commit(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()>;

    /// Undoes everything but the invocation's record, which is kept. Returns only when the record is lasting.
    ///
    /// Held by `transactions::a_rollback_leaves_only_the_invocations_record`,
    /// `transactions::dropping_a_transaction_rolls_it_back`, `journal::a_drop_keeps_no_record_and_nor_does_none`.
    async fn rollback(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()>;
}

/// A transaction on the system's own tables. Dropping it rolls it back.
#[async_trait]
pub trait PlatformTransaction:
    Registry
    + SchemaAdmin
    + Ledger
    + Access
    + AuditTrail
    + Dispatch
    + Workers
    + Subscribers
    + DeadLetters
    + Outbox
    + JobRuns
{
    /// Makes everything lasting.
    ///
    /// Held by `access::a_tenant_is_new_once`, `dispatch::a_claim_that_is_rolled_back_was_none`.
    async fn commit(self: Box<Self>) -> StorageResult<()>;

    /// Undoes everything.
    ///
    /// Held by `dispatch::a_claim_that_is_rolled_back_was_none`.
    async fn rollback(self: Box<Self>) -> StorageResult<()>;
}
