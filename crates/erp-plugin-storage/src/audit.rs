//! Who changed what about plugins and tenants, when, from what to what. What records were changed is the
//! [history](crate::History)'s.
//!
//! What was done in a tenant is the tenant's, and goes with it; what was done to the platform names none.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{PluginName, TenantId, UserId};
use uuid::Uuid;

use crate::StorageResult;

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its own id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: UserId,
    /// What: `plugin.enabled`.
    pub action: String,
    /// Where; `None` for what was done to the platform.
    pub tenant: Option<TenantId>,
    /// To which plugin.
    pub plugin: Option<PluginName>,
    /// What there was before: a version, a state.
    pub from: Option<String>,
    /// What there is now.
    pub to: Option<String>,
    /// What else is to be known. Never a value that may be secret.
    pub detail: Option<String>,
}

/// Whose entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditScope<'q> {
    /// Everybody's.
    All,
    /// What was done to the platform.
    Platform,
    /// What was done in this tenant.
    Tenant(&'q TenantId),
}

impl<'q> AuditScope<'q> {
    /// The tenant as it is stored: none for everybody, '' for the platform.
    #[must_use]
    pub fn stored(self) -> Option<&'q str> {
        match self {
            Self::All => None,
            Self::Platform => Some(""),
            Self::Tenant(tenant) => Some(tenant.as_str()),
        }
    }
}

/// Which entries are wanted: the newest that fulfil everything.
#[derive(Clone, Copy, Debug)]
pub struct AuditQuery<'q> {
    /// Whose.
    pub scope: AuditScope<'q>,
    /// About this plugin.
    pub plugin: Option<&'q PluginName>,
    /// Older than this one, given by its time and id.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    /// At most so many.
    pub limit: u32,
}

/// What was done in the transaction's tenant.
#[async_trait]
pub trait Audit: Send {
    /// Notes what is done in this transaction: its tenant is the transaction's, whatever the entry says.
    ///
    /// Held by `audit::what_was_done_is_noted_with_it_or_not_at_all`.
    async fn note_audit(&mut self, entry: &AuditEntry) -> StorageResult<()>;
}

/// What was done, as the platform sees it.
#[async_trait]
pub trait AuditTrail: Send {
    /// Notes what is done to the platform, or to a tenant as a whole.
    ///
    /// Held by `audit::what_was_done_is_noted_with_it_or_not_at_all`.
    async fn note_platform_audit(&mut self, entry: &AuditEntry) -> StorageResult<()>;

    /// Entries, the newest first.
    ///
    /// Held by `audit::entries_are_found_by_tenant_and_plugin_the_newest_first`.
    async fn audit(&mut self, query: AuditQuery<'_>) -> StorageResult<Vec<AuditEntry>>;
}
