//! Leaving: everything of one tenant, and the tenant, gone for good; or what a plugin has in every tenant.
//!
//! [`erase`] suspends the tenant, works off one table after the other in batches, each a commit of its own, looks again
//! until nothing is found, and takes the tenant itself away last. It may be stopped anywhere and begun again: it has no
//! state but what is left.
//!
//! What it returns is the only trace. **Whoever runs invocations must know of the suspension before**: what is written
//! while the last table is looked at would stay. The host that erases sees to its own and waits for the others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use erp_plugin_model::{PluginName, TenantId};

use crate::{Mode, PlatformScope, Storage, StorageResult, TenantScope, TenantState, TransactionOptions};

/// Rows that are erased and committed at once.
const BATCH: u32 = 500;
/// How long one batch may take, the wait for other writers included.
const LONGEST: Duration = Duration::from_secs(60);
/// How often a batch is tried again when its transaction is lost.
const RETRIES: u32 = 5;

/// Rows that were erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table, as the database calls it.
    pub table: String,
    /// How many rows.
    pub rows: u64,
}

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whether there was such a tenant. Of one that an earlier run took away, rows may be found all the same.
    pub was_there: bool,
    /// How many rows of which table this run erased, by the names that the database has for them.
    pub rows: BTreeMap<String, u64>,
}

impl Erased {
    /// All rows, the tenant's own not counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// Erases a tenant. `progress` is told of every batch.
pub async fn erase(
    storage: &dyn Storage,
    tenant: &TenantId,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> StorageResult<Erased> {
    let mut erased = Erased::default();
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Write)).await?;
    platform.set_tenant_state(tenant, TenantState::Suspended).await?;
    platform.commit().await?;
    loop {
        let before = erased.total();
        for table in tables(storage, tenant).await? {
            loop {
                let rows = batch(storage, tenant, Rows::Of(&table)).await?;
                if rows == 0 {
                    break;
                }
                *erased.rows.entry(table.clone()).or_default() += rows;
                progress(Progress { table: table.clone(), rows });
            }
        }
        if erased.total() == before {
            break;
        }
    }
    let mut platform = storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Write)).await?;
    erased.was_there = platform.remove_tenant(tenant).await?;
    platform.commit().await?;
    Ok(erased)
}

/// Erases what a plugin has in the system's own tables, in these tenants; returns how many rows. Its entities' tables are
/// another matter, and must be put aside before: what writes them writes their history.
pub async fn erase_plugin(
    storage: &dyn Storage,
    plugin: &PluginName,
    tenants: &[TenantId],
) -> StorageResult<u64> {
    let mut erased = 0;
    for tenant in tenants {
        loop {
            let rows = batch(storage, tenant, Rows::OfPlugin(plugin)).await?;
            if rows == 0 {
                break;
            }
            erased += rows;
        }
    }
    Ok(erased)
}

async fn tables(storage: &dyn Storage, tenant: &TenantId) -> StorageResult<Vec<String>> {
    let scope = TenantScope::granted_by_host(tenant.clone());
    let mut transaction = storage.begin(&scope, options(Mode::Migrate)).await?;
    let tables = transaction.tenant_tables().await?;
    transaction.rollback(None).await?;
    Ok(tables)
}

/// What is erased of a tenant.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// All rows of a table.
    Of(&'a str),
    /// Those of a plugin in the system's own tables.
    OfPlugin(&'a PluginName),
}

async fn batch(storage: &dyn Storage, tenant: &TenantId, rows: Rows<'_>) -> StorageResult<u64> {
    let mut retries = 0;
    loop {
        match try_batch(storage, tenant, rows).await {
            Err(error) if error.is_transient() && retries < RETRIES => retries += 1,
            done => return done,
        }
    }
}

async fn try_batch(storage: &dyn Storage, tenant: &TenantId, rows: Rows<'_>) -> StorageResult<u64> {
    let scope = TenantScope::granted_by_host(tenant.clone());
    let mut transaction = storage.begin(&scope, options(Mode::Migrate)).await?;
    let erased = match rows {
        Rows::Of(table) => transaction.erase(table, BATCH).await?,
        Rows::OfPlugin(plugin) => transaction.erase_plugin(plugin, BATCH).await?,
    };
    if erased == 0 {
        transaction.rollback(None).await?;
    } else {
        transaction.commit(None).await?;
    }
    Ok(erased)
}

fn options(mode: Mode) -> TransactionOptions {
    TransactionOptions { mode, deadline: Instant::now() + LONGEST, writer_hold: LONGEST }
}
