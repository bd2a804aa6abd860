//! Where transactions come from, and how they end.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin_model::usage::InvocationRecord;

use crate::{
    Access, Activation, Dispatch, DynamicEntities, Events, JournalReader, PlatformScope, Records, Registry,
    SchemaAdmin, StorageResult, TenantScope,
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
pub trait Storage: Send + Sync {
    /// Begins a transaction in one tenant. Waits, fairly between tenants, until the deadline.
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>>;

    /// Begins a transaction on the system's own tables. One that only reads never waits for those that write, where
    /// the backend can have both at once (a database in memory cannot).
    async fn begin_platform(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>>;
}

/// A transaction of one tenant. Dropping it rolls it back, the journal included.
#[async_trait]
pub trait Transaction: Records + Events + Activation + DynamicEntities + JournalReader {
    /// When the transaction must have ended because it keeps other writers waiting; `None` when it does not. Past
    /// it every operation answers [`WriterHoldExceeded`](crate::ErrorKind::WriterHoldExceeded).
    fn must_end_by(&self) -> Option<Instant>;

    /// Makes everything lasting, the invocation's record with it. Returns only when it is.
    async fn commit(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()>;

    /// Undoes everything but the invocation's record, which is kept. Returns only when the record is lasting.
    async fn rollback(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()>;
}

/// A transaction on the system's own tables. Dropping it rolls it back.
#[async_trait]
pub trait PlatformTransaction: Registry + SchemaAdmin + Access + Dispatch {
    /// Makes everything lasting.
    async fn commit(self: Box<Self>) -> StorageResult<()>;

    /// Undoes everything.
    async fn rollback(self: Box<Self>) -> StorageResult<()>;
}
