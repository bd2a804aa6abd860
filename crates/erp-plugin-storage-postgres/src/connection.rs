//! Connections, and the roles in which they are used.
//!
//! Whoever logs in has no rights of its own: each transaction takes the role that it needs in the message that begins
//! it, `SET LOCAL ROLE`, and loses it with its end. A transaction of an invocation is the app role, which row-level
//! security keeps in its tenant; one that works across tenants is the worker role, which has rights on system tables
//! alone; one that makes tables is the owner. So a statement that is sent outside of a transaction, by whatever fault,
//! is refused. One URL does for everything, or two where the host's own user is not to be a member of the owner's role.
//!
//! A connection comes back to the pool only after a clean end (`session`), and is not looked at again when it is taken:
//! the driver notices a closed one by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use erp_plugin_model::TenantId;
use erp_plugin_storage::{ErrorKind, Mode, TransactionOptions};

use crate::error::{Error, Result};
use crate::options::{PostgresOptions, Target};
use crate::schema::Tables;
use crate::session::Session;
use crate::tls;
use crate::turns::Turns;

/// Connections of the owner: installations are rare, and one after another. One that builds an index takes two.
const OWNER_POOL_SIZE: usize = 4;
/// How long connecting may take at most, whatever the deadline.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// How long an idle transaction is left alone beyond its deadline, until the server ends it: its host has gone.
const IDLE_GRACE_MILLIS: u64 = 5_000;

/// A pool, and the queue before it.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool,
    turns: Arc<Turns>,
    /// What is known of the database's tables, whichever pool it was learnt through.
    tables: Arc<Tables>,
}

/// The names of the roles, as the database was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) owner: String,
    pub(crate) app: String,
    pub(crate) worker: String,
}

/// In which role a transaction begins, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum As<'a> {
    /// One tenant's invocation.
    Tenant(&'a TenantId),
    /// The platform's own work.
    Platform,
}

impl Connections {
    pub(crate) fn new(target: &Target, size: usize, tables: &Arc<Tables>) -> Result<Self> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(target.config.clone(), tls::connector(&target.tls)?, config);
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Pool(error.to_string()))?;
        Ok(Self { pool, turns: Turns::new(size), tables: Arc::clone(tables) })
    }

    /// A connection for a transaction that begins with its first statement.
    pub(crate) async fn begin(
        &self,
        queue: &TenantId,
        begin: String,
        options: TransactionOptions,
    ) -> Result<Session> {
        if Instant::now() >= options.deadline {
            return Err(Error::Kind(ErrorKind::DeadlineExceeded));
        }
        let turn = self.turns.take(queue, options.deadline).await?;
        let client = self.connect(options.deadline).await?;
        Ok(Session::new(client, turn, begin, options, self.clone()))
    }

    /// Forgets what is known of tables that are others by now, and closes the connections that nobody uses: what they have
    /// prepared is for those.
    pub(crate) fn forget_tables(&self) {
        self.tables.forget();
        drop(self.pool.retain(|_, _| false));
    }

    async fn connect(&self, deadline: Instant) -> Result<Object> {
        let patience = deadline.saturating_duration_since(Instant::now()).min(LONGEST_CONNECT);
        let timeouts = Timeouts { wait: Some(patience), create: Some(patience), recycle: Some(patience) };
        self.pool.timeout_get(&timeouts).await.map_err(|error| match error {
            PoolError::Backend(error) => unavailable(error),
            PoolError::Timeout(_) if Instant::now() >= deadline => Error::Kind(ErrorKind::DeadlineExceeded),
            other => Error::Pool(other.to_string()),
        })
    }
}

/// A connection that could not be made is not one that was lost.
fn unavailable(error: tokio_postgres::Error) -> Error {
    match error.code() {
        None => Error::Pool(chain(&error)),
        Some(state) if state.code().starts_with("57") => Error::Pool(chain(&error)),
        Some(_) => Error::Postgres(error),
    }
}

/// An error and what caused it: the driver's own text says only what it was doing.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// The pools of a storage.
#[derive(Clone)]
pub(crate) struct Pools {
    pub(crate) everyday: Connections,
    /// `None` where nobody can act as the owner.
    pub(crate) owner: Option<Connections>,
    pub(crate) roles: Arc<Roles>,
    pub(crate) tables: Arc<Tables>,
}

impl Pools {
    /// `is_member` says whether the main URL's user may act as the owner.
    pub(crate) fn new(options: &PostgresOptions, roles: Roles, is_member: bool) -> Result<Self> {
        let owner = match &options.migration {
            Some(target) => Some(target),
            None if is_member => Some(&options.target),
            None => None,
        };
        let tables = Arc::default();
        Ok(Self {
            everyday: Connections::new(&options.target, options.pool_size, &tables)?,
            owner: owner.map(|target| Connections::new(target, OWNER_POOL_SIZE, &tables)).transpose()?,
            roles: Arc::new(roles),
            tables,
        })
    }

    /// Begins a transaction. `queue` is the tenant in whose name it waits for a connection.
    pub(crate) async fn begin(
        &self,
        who: As<'_>,
        queue: &TenantId,
        options: TransactionOptions,
    ) -> Result<Session> {
        let begin = self.begin_text(who, options);
        let connections = match options.mode {
            Mode::Migrate => self.owner.as_ref().ok_or_else(|| Error::Kind(ErrorKind::OwnerMissing))?,
            Mode::Read | Mode::Write => &self.everyday,
        };
        connections.begin(queue, begin, options).await
    }

    /// A connection of the owner's that begins with this text, which is no transaction.
    pub(crate) async fn begin_owner(
        &self,
        text: String,
        queue: &TenantId,
        options: TransactionOptions,
    ) -> Result<Session> {
        let owner = self.owner.as_ref().ok_or_else(|| Error::Kind(ErrorKind::OwnerMissing))?;
        owner.begin(queue, text, options).await
    }

    /// The one message that begins a transaction.
    ///
    /// Without scans of whole tables, also where a table is still small: under SERIALIZABLE a scan locks all of it,
    /// other tenants' records included, and each of their writes would then fail somebody. An index is always there,
    /// since every statement names its tenant. And without bitmaps: a page that is read in the order of an index stops
    /// at its end, while a bitmap of all that match, which is what a table without statistics gets, is read and sorted.
    ///
    /// And without compiling queries: to the planner a scan that it was told to avoid, as of a table of one row, is so
    /// dear that it compiles the query first, which took 100 ms.
    fn begin_text(&self, who: As<'_>, options: TransactionOptions) -> String {
        let Roles { owner, app, worker } = &*self.roles;
        let isolation = match (who, options.mode) {
            (_, Mode::Read) => "REPEATABLE READ READ ONLY",
            (As::Tenant(_), Mode::Write) => "SERIALIZABLE",
            // Workers lock the rows that they work on; who makes tables looks at what others made meanwhile.
            (As::Platform, Mode::Write) | (_, Mode::Migrate) => "READ COMMITTED",
        };
        let role = match (who, options.mode) {
            (_, Mode::Migrate) => owner,
            (As::Tenant(_), _) => app,
            (As::Platform, _) => worker,
        };
        let left = options.deadline.saturating_duration_since(Instant::now()).as_millis();
        // Zero would be no limit at all.
        let left = u64::try_from(left)
            .unwrap_or(u64::MAX)
            .clamp(1, u64::from(i32::MAX.unsigned_abs()) - IDLE_GRACE_MILLIS);
        let idle = left + IDLE_GRACE_MILLIS;
        let mut text = format!(
            "BEGIN ISOLATION LEVEL {isolation}; SET LOCAL ROLE {}; SET LOCAL statement_timeout = {left}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL enable_seqscan = off; \
             SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off",
            quote(role)
        );
        if let As::Tenant(tenant) = who {
            // A tenant's id has no character that means anything inside a literal.
            text.push_str("; SET LOCAL erp_plugin.tenant = '");
            text.push_str(tenant.as_str());
            text.push('\'');
        }
        text
    }
}

/// An identifier, quoted.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "tests, which fail by panicking")]
mod tests;
