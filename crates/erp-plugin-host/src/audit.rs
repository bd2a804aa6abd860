//! Who did what: each change of what is installed, of tenants, configuration and roles notes itself in its own transaction.

use chrono::{DateTime, Utc};
use erp_plugin_model::{PluginName, TenantId, UserId};
use erp_plugin_storage::{AuditEntry, AuditQuery, AuditScope};
use uuid::Uuid;

use crate::error::HostResult;
use crate::host::Inner;

/// Which entries of the audit trail are wanted: the newest that fulfil everything.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    /// Of this tenant; else of everybody and of the platform.
    pub tenant: Option<TenantId>,
    /// About this plugin.
    pub plugin: Option<PluginName>,
    /// Older than this entry, given by its time and id.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    /// At most so many. Default: 100.
    pub limit: u32,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { tenant: None, plugin: None, before: None, limit: 100 }
    }
}

impl Inner {
    /// That somebody does something now.
    pub(crate) fn done(&self, by: &UserId, action: &str) -> AuditEntry {
        let at = self.services.clock.now();
        AuditEntry {
            id: self.services.ids.new_id(at),
            at,
            by: by.clone(),
            action: action.to_owned(),
            tenant: None,
            plugin: None,
            from: None,
            to: None,
            detail: None,
        }
    }

    pub(crate) async fn audit(&self, filter: &AuditFilter) -> HostResult<Vec<AuditEntry>> {
        let scope = filter.tenant.as_ref().map_or(AuditScope::All, AuditScope::Tenant);
        let query =
            AuditQuery { scope, plugin: filter.plugin.as_ref(), before: filter.before, limit: filter.limit };
        let mut platform = self.look_at_platform().await?;
        let entries = platform.audit(query).await?;
        platform.rollback().await?;
        Ok(entries)
    }
}
