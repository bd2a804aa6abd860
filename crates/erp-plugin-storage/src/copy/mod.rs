//! Moving over: everything that one database holds into another, of the same backend or not, with ids, versions, times
//! and numbers as they are.
//!
//! [`copy`] compares, fills and verifies. What the target holds already must be the beginning of what the source
//! holds, so a copy that was killed is begun again and goes on, and one into a database that holds anything else is
//! refused before it writes. Each page is a transaction.
//!
//! **Both databases must be quiet.** Stop every host on the source before, and start none on the target until the copy
//! has ended. A tenant is read in one snapshot, but not all tenants in the same one, and no snapshot lasts until the
//! verification: what was changed meanwhile is found there, as a table that is not equal.

mod compare;
mod contents;
mod digest;
mod error;
mod fill;
mod verify;

use std::time::{Duration, Instant};

use erp_plugin_model::{EntitySchema, TenantId};

pub use error::CopyError;

use crate::transfer::{TenantTable, Transfer};
use crate::{Mode, PlatformScope, TenantScope, TransactionOptions};
use contents::Contents;

/// Rows that are read and committed at once.
pub(crate) const PAGE: u32 = 250;
/// How long one tenant may take: nobody waits for it but who began the copy.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rows of the target are those of the source.
    Compared,
    /// Rows were written.
    Copied,
    /// Rows of the source were hashed, and those of the target.
    Verified,
}

/// A step that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Whose rows; `None` for what belongs to no tenant.
    pub tenant: Option<TenantId>,
    /// The table, as people call it.
    pub table: String,
    /// How many rows.
    pub rows: u64,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over all of them in the order of their keys, in a form that does not depend on the backend.
    pub hash: [u8; 32],
}

/// A table on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Whose it is; `None` for what belongs to no tenant.
    pub tenant: Option<TenantId>,
    /// The table, as people call it.
    pub table: String,
    /// What the source holds.
    pub source: Summary,
    /// What the target holds.
    pub target: Summary,
}

impl TableReport {
    /// Whether both hold the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target
    }
}

/// Every table of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// The tables that belong to no tenant, then each tenant's.
    pub tables: Vec<TableReport>,
}

impl CopyReport {
    /// Whether both sides hold the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableReport::is_equal)
    }
}

/// Copies everything that the source holds into the target, and verifies it. A report whose tables are not all equal
/// means that somebody wrote to one of the databases meanwhile.
///
/// May be dropped and begun again at any time. `progress` is told of every page.
pub async fn copy(
    source: &dyn Transfer,
    target: &dyn Transfer,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<CopyReport, CopyError> {
    let contents = Contents::of(source).await.map_err(CopyError::Source)?;
    let schemas = contents.schemas()?;
    let held = Contents::of(target).await.map_err(CopyError::Target)?;
    compare::contents(&contents, &held)?;
    let (from, to) = ((source, &contents), (target, &held));
    let reached = compare::tenants(from, to, &schemas, progress).await?;
    fill::contents(from, to, &schemas).await?;
    fill::tenants(from, target, &schemas, &reached, progress).await?;
    verify(source, target, progress).await
}

/// Compares every table of two databases by the number and the hash of its rows, and writes nothing.
pub async fn verify(
    source: &dyn Transfer,
    target: &dyn Transfer,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<CopyReport, CopyError> {
    let ours = Contents::of(source).await.map_err(CopyError::Source)?;
    let theirs = Contents::of(target).await.map_err(CopyError::Target)?;
    let schemas = ours.schemas()?;
    let mut tables = verify::contents((source, &ours), (target, &theirs)).await?;
    for (tenant, _) in &ours.tenants {
        tables.extend(verify::tenant(source, (target, &theirs), &schemas, tenant, progress).await?);
    }
    Ok(CopyReport { tables })
}

/// A table of a tenant, by its place among [`tables`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Position {
    tenant: TenantId,
    table: usize,
}

/// All that belongs to a tenant, in the order in which it is taken in.
pub(crate) fn tables(schemas: &[EntitySchema]) -> impl Iterator<Item = TenantTable<'_>> {
    schemas.iter().map(TenantTable::Records).chain(TenantTable::SYSTEM)
}

/// Copying is the platform's own work, in every tenant that there is.
pub(crate) fn scope() -> PlatformScope {
    PlatformScope::granted_by_host()
}

pub(crate) fn tenant_scope(tenant: &TenantId) -> TenantScope {
    TenantScope::granted_by_host(tenant.clone())
}

pub(crate) fn reading() -> TransactionOptions {
    options(Mode::Read)
}

pub(crate) fn writing() -> TransactionOptions {
    options(Mode::Write)
}

pub(crate) fn making() -> TransactionOptions {
    options(Mode::Migrate)
}

fn options(mode: Mode) -> TransactionOptions {
    TransactionOptions { mode, deadline: Instant::now() + LONGEST, writer_hold: LONGEST }
}
