//! The storage port on Postgres, 14 or newer.
//!
//! Implements the traits of `erp-plugin-storage`, file by file of the same name; their docs say what is promised.
//! The only crate that knows `tokio-postgres`, and no type of it is public. Depends on nothing above the traits.
//!
//! Where to look first: `connection` says in which role what is done, `session` what every statement passes through
//! and when a connection may be used again, `transaction` what becomes of a commit that nobody answers, `dispatch` who
//! writes which row of a stream, `query` why a page is asked for in two parts.
//!
//! The database is set up once by [`setup`], with a user who may; a storage never changes its schema by itself. Needs
//! a Tokio runtime with time and I/O enabled.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};
//!
//! let options = PostgresOptions::from_url("postgres://erp@db.example/erp?sslmode=verify-full")?;
//! let storage = PostgresStorage::open(&options).await?;
//! # Ok(())
//! # }
//! ```

// What makes databases for the tests in `tests/` makes them for those in here too.
#[cfg(test)]
extern crate self as erp_plugin_storage_postgres;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

mod access;
mod aggregate;
mod audit;
mod batch;
mod client;
mod columns;
mod connection;
mod context;
mod dead_letters;
mod deleted;
mod dispatch;
mod document;
mod erasure;
mod error;
mod events;
mod evolution;
mod filter;
mod found;
mod history;
mod insert;
mod jobs;
mod journal;
mod migrations;
mod names;
mod options;
mod outbox;
#[cfg(test)]
mod plans;
mod query;
mod reading;
mod records;
mod registry;
mod reshape;
mod roles;
mod row;
mod scanned;
mod schema;
mod series;
mod session;
pub mod setup;
mod sql;
mod statements;
mod subscribers;
mod temporary;
mod tls;
mod transaction;
mod transfer;
mod turns;
mod update;
mod workers;

use std::fmt;

use async_trait::async_trait;
use erp_plugin_model::TenantId;
use erp_plugin_storage::{
    ErrorKind, PlatformScope, PlatformTransaction, Storage, StorageError, StorageResult, TenantScope,
    Transaction, TransactionOptions,
};

pub use crate::options::{InvalidUrl, PostgresOptions};
pub use crate::temporary::TemporaryDatabase;

use crate::connection::{As, Pools};
use crate::error::Error;
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};

/// A database that [`setup::init`] has set up.
pub struct PostgresStorage {
    pools: Pools,
    /// In whose name the platform waits for its turn. A tenant of this name would share it, and nothing else.
    platform: TenantId,
}

impl PostgresStorage {
    /// Connects, and looks whether the database is one that this release can work with:
    /// [`NeedsMigration`](ErrorKind::NeedsMigration) when it was never set up or has older tables,
    /// [`TooNew`](ErrorKind::TooNew) when it says that a host must be newer, [`Unavailable`](ErrorKind::Unavailable)
    /// when it cannot be reached or does not let this user in, or the migration URL leads to another database. The
    /// source says more. Nothing is changed.
    pub async fn open(options: &PostgresOptions) -> StorageResult<Self> {
        let opened = async {
            let found = found::look(&options.target).await?;
            if let Some(migration) = &options.migration {
                found::check_same(&options.target, migration).await?;
            }
            Pools::new(options, found.roles, found.may_migrate)
        };
        let pools = opened.await.map_err(|error: Error| error.at("open"))?;
        let platform = TenantId::parse("platform")
            .map_err(|error| StorageError::with_source(ErrorKind::Bug, "open", error))?;
        Ok(Self { pools, platform })
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    async fn begin(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn Transaction>> {
        Ok(Box::new(PostgresTransaction::begin(&self.pools, scope.tenant(), options).await?))
    }

    async fn begin_platform(
        &self,
        _scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        let session = self.pools.begin(As::Platform, &self.platform, options).await;
        let session = session.map_err(|error| error.at("begin"))?;
        Ok(Box::new(PostgresPlatformTransaction { session, pools: self.pools.clone() }))
    }
}

impl fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStorage").finish_non_exhaustive()
    }
}
