//! The storage port on embedded SQLite.
//!
//! Implements the traits of `erp-plugin-storage`, file by file of the same name; their docs say what is promised.
//! The only crate that knows `rusqlite`, and no type of it is public. Depends on nothing above the traits.
//!
//! Where to look first: `connection` says why connections are as they are, `writer` how several invocations share
//! one commit, `pool` who gets a connection next, `session` what every statement passes through.
//!
//! [`backup()`], [`restore`] and [`examine()`] work on files, beside whatever has them open.
//!
//! Needs a Tokio runtime with time enabled. On a multi-thread runtime (what a host has) commits and scans move other
//! tasks off their thread first; on a current-thread runtime they make them wait.
//!
//! ```
//! # async fn example() -> Result<(), erp_plugin_storage::StorageError> {
//! use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
//!
//! let storage = SqliteStorage::open(&SqliteOptions::memory())?;
//! # Ok(())
//! # }
//! ```

mod access;
mod aggregate;
mod alarm;
mod audit;
mod backup;
mod batch;
mod blocking;
mod columns;
mod connection;
mod dead_letters;
mod deleted;
mod dispatch;
mod document;
mod erasure;
mod error;
mod events;
mod evolution;
mod examine;
mod filter;
mod history;
mod jobs;
mod journal;
mod migrations;
mod names;
mod options;
mod outbox;
#[cfg(test)]
mod plans;
mod pool;
mod prepare;
mod query;
mod readers;
mod records;
mod registry;
mod reshape;
mod roles;
mod row;
mod schema;
mod search;
mod series;
mod session;
mod sql;
mod statements;
mod statistics;
mod subscribers;
mod table;
mod transaction;
mod transfer;
mod workers;
mod writer;

use std::fmt;

use async_trait::async_trait;
use erp_plugin_model::TenantId;
use erp_plugin_storage::{
    ErrorKind, PlatformScope, PlatformTransaction, Storage, StorageError, StorageResult, TenantScope,
    Transaction, TransactionOptions,
};

pub use crate::backup::{backup, restore};
pub use crate::examine::{Examination, examine};
pub use crate::options::{SqliteOptions, Synchronous};

use crate::pool::Pool;
use crate::session::Connections;
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};

/// A database in a file or in memory. Transactions keep it open; the last one to end closes it.
pub struct SqliteStorage {
    connections: Connections,
    /// In whose name the platform waits for its turn. A tenant of this name would share it, and nothing else.
    platform: TenantId,
}

impl SqliteStorage {
    /// Opens a database, and makes it if it is not there. Waits for the disk, and for up to five seconds for another
    /// process that is just making or migrating it; call it at the start.
    ///
    /// What is refused is left untouched: the file of another program is
    /// [`Foreign`](ErrorKind::Foreign), one that says a host must be newer is [`TooNew`](ErrorKind::TooNew), a
    /// file that cannot be written is [`ReadOnly`](ErrorKind::ReadOnly), one that was cut short is
    /// [`Corrupt`](ErrorKind::Corrupt), a missing folder is [`Io`](ErrorKind::Io). The error's source names the path.
    pub fn open(options: &SqliteOptions) -> StorageResult<Self> {
        let opened = || -> error::Result<_> {
            let writer = connection::open_writer(options)?;
            let readers = match &options.path {
                None => None,
                Some(path) => {
                    let readers = (0..options.readers)
                        .map(|_| connection::open_reader(path, options))
                        .collect::<error::Result<Vec<_>>>()?;
                    Some(Pool::new(readers))
                }
            };
            Ok(Connections { writer: Pool::new([writer]), readers })
        };
        let connections = opened().map_err(|error| error.at("open"))?;
        let platform = TenantId::parse("platform")
            .map_err(|error| StorageError::with_source(ErrorKind::Bug, "open", error))?;
        Ok(Self { connections, platform })
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        Ok(Box::new(SqliteTransaction::begin(&self.connections, scope.tenant(), options).await?))
    }

    async fn begin_platform(
        &self,
        _scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        let session = self.connections.begin(&self.platform, options).await?;
        Ok(Box::new(SqlitePlatformTransaction { session }))
    }
}

impl fmt::Debug for SqliteStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStorage").finish_non_exhaustive()
    }
}
