//! [`Audit`] and [`AuditTrail`]: what was done, by whom. The platform's own entries have no tenant, which is stored as ''.

use async_trait::async_trait;
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{Audit, AuditEntry, AuditQuery, AuditTrail, StorageResult};
use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::names::{read_plugin, read_tenant, read_text, read_time, read_user, read_uuid};
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};

/// Entries, the newest first: tenant, plugin, and the time and id of the one after them, each of which may be absent; how many.
const LIST: &str = "SELECT id, at, done_by, action, tenant_id, plugin, before, after, detail FROM audit
     WHERE (?1 IS NULL OR tenant_id = ?1) AND (?2 IS NULL OR plugin = ?2) AND (?3 IS NULL OR (at, id) < (?3, ?4))
     ORDER BY at DESC, id DESC LIMIT ?5";

#[async_trait]
impl Audit for SqliteTransaction {
    async fn note_audit(&mut self, entry: &AuditEntry) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("note audit", |connection| note(connection, Some(tenant), entry))
    }
}

#[async_trait]
impl AuditTrail for SqlitePlatformTransaction {
    async fn note_platform_audit(&mut self, entry: &AuditEntry) -> StorageResult<()> {
        self.session.write("note platform audit", |connection| note(connection, entry.tenant.as_ref(), entry))
    }

    async fn audit(&mut self, query: AuditQuery<'_>) -> StorageResult<Vec<AuditEntry>> {
        self.session.scan("audit", |connection| {
            let mut statement = connection.prepare_cached(LIST)?;
            let mut rows = statement.query((
                query.scope.stored(),
                query.plugin.map(PluginName::as_str),
                query.before.map(|(at, _)| at.timestamp_micros()),
                query.before.map(|(_, id)| id.into_bytes().to_vec()),
                query.limit,
            ))?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(read_entry(row)?);
            }
            Ok(entries)
        })
    }
}

fn note(connection: &Connection, tenant: Option<&TenantId>, entry: &AuditEntry) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit (tenant_id, at, id, done_by, action, plugin, before, after, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute((
            tenant.map_or("", |tenant| tenant.as_str()),
            entry.at.timestamp_micros(),
            &entry.id.as_bytes()[..],
            entry.by.as_str(),
            &entry.action,
            entry.plugin.as_ref().map(PluginName::as_str),
            &entry.from,
            &entry.to,
            &entry.detail,
        ))?;
    Ok(())
}

fn read_entry(row: &Row<'_>) -> Result<AuditEntry> {
    let is_platforms = read_text(row, 4)?.is_empty();
    let has_plugin = row.get_ref(5)? != rusqlite::types::ValueRef::Null;
    Ok(AuditEntry {
        id: read_uuid(row, 0)?,
        at: read_time(row, 1)?,
        by: read_user(row, 2)?.ok_or_else(|| Error::Unreadable("user id"))?,
        action: row.get(3)?,
        tenant: if is_platforms { None } else { Some(read_tenant(row, 4)?) },
        plugin: if has_plugin { Some(read_plugin(row, 5)?) } else { None },
        from: row.get(6)?,
        to: row.get(7)?,
        detail: row.get(8)?,
    })
}
