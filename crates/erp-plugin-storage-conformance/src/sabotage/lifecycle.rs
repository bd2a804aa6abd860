//! A backend that is careless with where plugins stand, and with who did what.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::PluginName;
use erp_plugin_model::event::Delivery;
use erp_plugin_storage::{
    AuditEntry, AuditQuery, AuditScope, ClaimRequest, PlatformTransaction, Quarantine, StorageResult,
};

use crate::intercept::{Interceptor, Opened};

/// Whose the entries are is not looked at.
pub(super) struct AuditOfAll;

#[async_trait]
impl Interceptor for AuditOfAll {
    async fn audit(
        &self,
        inner: &mut dyn PlatformTransaction,
        query: AuditQuery<'_>,
    ) -> StorageResult<Vec<AuditEntry>> {
        inner.audit(AuditQuery { scope: AuditScope::All, ..query }).await
    }
}

/// What is noted in a tenant is committed at once.
pub(super) struct AuditAtOnce;

#[async_trait]
impl Interceptor for AuditAtOnce {
    async fn note_audit(&self, opened: &mut Opened, entry: &AuditEntry) -> StorageResult<()> {
        opened.inner().note_audit(entry).await?;
        let (scope, options) = (opened.scope().clone(), opened.options());
        opened.exchange(&scope, options).await
    }
}

/// What is in quarantine is claimed like everything else.
pub(super) struct QuarantineOver;

#[async_trait]
impl Interceptor for QuarantineOver {
    async fn claim(
        &self,
        inner: &mut dyn PlatformTransaction,
        request: &ClaimRequest<'_>,
    ) -> StorageResult<Vec<Vec<Delivery>>> {
        let now = request.now + chrono::TimeDelta::days(10_000);
        inner.claim(&ClaimRequest { now, ..*request }).await
    }
}

/// Whatever version wrote it is kept.
pub(super) struct AnyVersion;

#[async_trait]
impl Interceptor for AnyVersion {
    async fn require_version(&self, _: &mut Opened, _: &PluginName, _: &str) -> StorageResult<()> {
        Ok(())
    }
}

/// Whoever changes a quarantine is told that it was as he thought.
pub(super) struct QuarantineForAll;

#[async_trait]
impl Interceptor for QuarantineForAll {
    async fn set_quarantine(
        &self,
        opened: &mut Opened,
        plugin: &PluginName,
        until: Option<DateTime<Utc>>,
        quarantine: Option<&Quarantine>,
    ) -> StorageResult<bool> {
        opened.inner().set_quarantine(plugin, until, quarantine).await?;
        Ok(true)
    }
}
