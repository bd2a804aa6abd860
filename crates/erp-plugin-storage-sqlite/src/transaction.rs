//! [`Transaction`] and [`PlatformTransaction`]: how they end. What they do is in the files named after their traits.

use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::TenantId;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_storage::{Mode, PlatformTransaction, StorageResult, Transaction, TransactionOptions};

use crate::journal;
use crate::session::{Connections, Session};

/// A transaction of one tenant.
pub(crate) struct SqliteTransaction {
    pub(crate) session: Session,
    pub(crate) tenant: TenantId,
    /// For the journal of a transaction that only read.
    connections: Connections,
    options: TransactionOptions,
}

impl SqliteTransaction {
    pub(crate) async fn begin(
        connections: &Connections,
        tenant: &TenantId,
        options: TransactionOptions,
    ) -> StorageResult<Self> {
        let session = connections.begin(tenant, options).await?;
        Ok(Self { session, tenant: tenant.clone(), connections: connections.clone(), options })
    }

    /// Ends a transaction that has nothing to keep but a record of itself.
    async fn keep_only(self, record: &InvocationRecord) -> StorageResult<()> {
        let Self { session, tenant, connections, options } = self;
        let session = if session.holds_writer() {
            session
        } else {
            // The snapshot goes before the wait for the writer begins.
            session.undo();
            connections.begin(&tenant, TransactionOptions { mode: Mode::Write, ..options }).await?
        };
        session.undo_but(|connection| journal::write(connection, &tenant, record)).await?.wait().await
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    fn must_end_by(&self) -> Option<Instant> {
        self.session.must_end_by()
    }

    async fn commit(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        match record {
            Some(record) if !self.session.holds_writer() => self.keep_only(record).await,
            _ => {
                let Self { session, tenant, .. } = *self;
                let ending = session.keep(|connection| match record {
                    Some(record) => journal::write(connection, &tenant, record),
                    None => Ok(()),
                })?;
                ending.wait().await
            }
        }
    }

    async fn rollback(self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        match record {
            Some(record) => self.keep_only(record).await,
            None => {
                self.session.undo();
                Ok(())
            }
        }
    }
}

/// A transaction on the system's own tables.
pub(crate) struct SqlitePlatformTransaction {
    pub(crate) session: Session,
}

#[async_trait]
impl PlatformTransaction for SqlitePlatformTransaction {
    async fn commit(self: Box<Self>) -> StorageResult<()> {
        let ending = self.session.keep(|_| Ok(()))?;
        ending.wait().await
    }

    async fn rollback(self: Box<Self>) -> StorageResult<()> {
        self.session.undo();
        Ok(())
    }
}
