//! [`Transaction`] and [`PlatformTransaction`]: how they end. What they do is in the files named after their traits.
//!
//! The record of an invocation is the witness of its commit. When the connection goes between COMMIT and its answer,
//! another transaction writes that same row: if it was there, the invocation was committed; if not, it never will be,
//! since its own row would be the second. Waiting for the other's end is what the primary key does anyway.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{EntityRef, EntitySchema, ErrorCode, PluginName, TenantId};
use erp_plugin_storage::{
    CreateDynamic, ErrorKind, Mode, PlatformTransaction, StorageError, StorageResult, Transaction,
    TransactionOptions,
};
use futures_util::future::join3;

use crate::connection::{As, Pools};
use crate::history::Noted;
use crate::journal::{self, Row};
use crate::schema::{self, Tables};
use crate::session::{Committed, Session};
use crate::sql::Parameter;

/// How long it is tried to find out what became of a commit, and a record to be kept.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after which an unreachable server is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Tenant, plugin, version. A function that asked for itself would take longer: its plan is not this statement's.
const REQUIRE_VERSION: &str = "SELECT CASE WHEN NOT EXISTS (
         SELECT 1 FROM erp_plugin.activations WHERE tenant_id = $1 AND plugin = $2 AND version = $3 AND enabled
     ) THEN erp_plugin.another_version() END";

/// A transaction of one tenant.
pub(crate) struct PostgresTransaction {
    pub(crate) session: Session,
    pub(crate) tenant: TenantId,
    pub(crate) pools: Pools,
    pub(crate) tables: Arc<Tables>,
    /// What goes out with COMMIT.
    pub(crate) noted: Option<Noted>,
    /// The version of a plugin that must run here when it is committed; asked with COMMIT, so that it costs no round trip.
    pub(crate) required: Option<(PluginName, String)>,
    /// Dynamic entities that were made for it.
    pub(crate) made: HashSet<EntityRef>,
    options: TransactionOptions,
}

impl PostgresTransaction {
    pub(crate) async fn begin(
        pools: &Pools,
        tenant: &TenantId,
        options: TransactionOptions,
    ) -> StorageResult<Self> {
        let session =
            pools.begin(As::Tenant(tenant), tenant, options).await.map_err(|error| error.at("begin"))?;
        Ok(Self {
            session,
            tenant: tenant.clone(),
            pools: pools.clone(),
            tables: Arc::clone(&pools.tables),
            noted: None,
            required: None,
            made: HashSet::new(),
            options,
        })
    }

    /// Makes a dynamic entity's table in a transaction of the owner's.
    pub(crate) async fn create_beside(&mut self, schema: &EntitySchema) -> StorageResult<CreateDynamic> {
        let options = TransactionOptions { mode: Mode::Migrate, ..self.options };
        let begun = self.pools.begin(As::Platform, &self.tenant, options).await;
        let mut session = begun.map_err(|error| error.at("create dynamic entity"))?;
        let (client, roles) = (session.client(), self.pools.roles.clone());
        let outcome =
            session.write("create dynamic entity", schema::create_dynamic(&client, &roles, schema)).await?;
        match session.commit_alone().await? {
            Committed::Yes => Ok(outcome),
            // Whatever became of it, asking again finds out.
            Committed::Unknown => Err(StorageError::new(ErrorKind::TransactionLost, "create dynamic entity")),
        }
    }

    /// Commits, the record with it.
    async fn end(&mut self, record: Option<&InvocationRecord>) -> StorageResult<Committed> {
        let (noted, required) = (self.noted.take(), self.required.take());
        if record.is_none() && noted.is_none() && required.is_none() {
            return self.session.commit_alone().await;
        }
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let prepare = async {
            if noted.is_some() {
                Noted::ready(&client).await?;
            }
            if required.is_some() {
                client.ready(REQUIRE_VERSION).await?;
            }
            if record.is_some() {
                journal::ready(&client, Row::New).await?;
            }
            Ok(())
        };
        let history = async {
            match &noted {
                Some(noted) => noted.send(&client).await,
                None => Ok(()),
            }
        };
        let journal = async {
            match record {
                Some(record) => journal::write(&client, &tenant, record, Row::New).await.map(drop),
                None => Ok(()),
            }
        };
        let version = async {
            let Some((plugin, version)) = &required else { return Ok(()) };
            let parameters = [tenant.as_str(), plugin.as_str(), version].map(Parameter::Text);
            client.execute(REQUIRE_VERSION, &parameters).await.map(drop)
        };
        // All are sent before any is answered, and so before COMMIT.
        let last = async {
            let (noted, required, written) = join3(history, version, journal).await;
            noted.and(required).and(written)
        };
        self.session.commit(prepare, last).await
    }

    /// Keeps a record of a transaction that has ended, or that only read, and nothing else.
    async fn keep_only(mut self, record: &InvocationRecord) -> StorageResult<()> {
        self.session.rollback().await;
        let Self { session, tenant, pools, options, .. } = self;
        // The record is worth a moment more than the invocation had.
        let deadline = options.deadline.max(Instant::now() + PATIENCE);
        let options = TransactionOptions { mode: Mode::Write, deadline, ..options };
        // The connection goes back before another one is waited for.
        drop(session);
        write_record(&pools, &tenant, record, options).await.map(drop)
    }

    /// What became of a commit that was not answered.
    async fn find_out(self, record: &InvocationRecord) -> StorageResult<()> {
        let Self { session, tenant, pools, options, .. } = self;
        drop(session);
        let lost = InvocationRecord { error: Some(ErrorCode::Unavailable), ..record.clone() };
        let until = Instant::now() + PATIENCE;
        let options = TransactionOptions { mode: Mode::Write, deadline: until, ..options };
        loop {
            match write_record(&pools, &tenant, &lost, options).await {
                // Ours is the first: the other will not be committed any more.
                Ok(true) => return Err(StorageError::new(ErrorKind::TransactionLost, "commit")),
                Ok(false) => return Ok(()),
                Err(_) if Instant::now() + PAUSE < until => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(StorageError::with_source(ErrorKind::Unavailable, "commit", error)),
            }
        }
    }
}

/// Writes an invocation's record in a transaction of its own; returns whether it was not there.
async fn write_record(
    pools: &Pools,
    tenant: &TenantId,
    record: &InvocationRecord,
    options: TransactionOptions,
) -> StorageResult<bool> {
    let begun = pools.begin(As::Tenant(tenant), tenant, options).await;
    let mut session = begun.map_err(|error| error.at("rollback"))?;
    let client = session.client();
    let written = session.write("rollback", journal::write(&client, tenant, record, Row::Perhaps)).await?;
    match session.commit_alone().await? {
        Committed::Yes => Ok(written),
        Committed::Unknown => Err(StorageError::new(ErrorKind::Unavailable, "rollback")),
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    fn must_end_by(&self) -> Option<Instant> {
        None
    }

    async fn commit(mut self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        if !self.session.mode().writes() {
            return match record {
                Some(record) => self.keep_only(record).await,
                None => {
                    self.session.rollback().await;
                    Ok(())
                }
            };
        }
        match (self.end(record).await?, record) {
            (Committed::Yes, _) => Ok(()),
            (Committed::Unknown, Some(record)) => self.find_out(record).await,
            (Committed::Unknown, None) => Err(StorageError::new(ErrorKind::Unavailable, "commit")),
        }
    }

    async fn rollback(mut self: Box<Self>, record: Option<&InvocationRecord>) -> StorageResult<()> {
        match record {
            Some(record) => self.keep_only(record).await,
            None => {
                self.session.rollback().await;
                Ok(())
            }
        }
    }
}

/// A transaction on the system's own tables.
pub(crate) struct PostgresPlatformTransaction {
    pub(crate) session: Session,
    pub(crate) pools: Pools,
}

#[async_trait]
impl PlatformTransaction for PostgresPlatformTransaction {
    async fn commit(mut self: Box<Self>) -> StorageResult<()> {
        match self.session.commit_alone().await? {
            Committed::Yes => Ok(()),
            Committed::Unknown => Err(StorageError::new(ErrorKind::Unavailable, "commit")),
        }
    }

    async fn rollback(mut self: Box<Self>) -> StorageResult<()> {
        self.session.rollback().await;
        Ok(())
    }
}
