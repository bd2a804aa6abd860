//! [`Audit`] and [`AuditTrail`]: what was done, by whom. The platform's own entries have no tenant, which is stored as ''.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_storage::{Audit, AuditEntry, AuditQuery, AuditTrail, StorageResult};
use tokio_postgres::Row;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::{read_plugin, read_tenant, read_text, read_time, read_user, read_uuid};
use crate::row::raw;
use crate::sql::Parameter;
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};

/// Entries, the newest first: tenant, plugin, and the time and id of the one after them, each of which may be absent; how many.
const LIST: &str =
    "SELECT id, at, done_by, action, tenant_id, plugin, before, after, detail FROM erp_plugin.audit
     WHERE ($1::text IS NULL OR tenant_id = $1) AND ($2::text IS NULL OR plugin = $2)
         AND ($3::timestamptz IS NULL OR (at, id) < ($3, $4::uuid))
     ORDER BY at DESC, id DESC LIMIT $5";

#[async_trait]
impl Audit for PostgresTransaction {
    async fn note_audit(&mut self, entry: &AuditEntry) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        self.session.write("note audit", note(&client, tenant, entry)).await
    }
}

#[async_trait]
impl AuditTrail for PostgresPlatformTransaction {
    async fn note_platform_audit(&mut self, entry: &AuditEntry) -> StorageResult<()> {
        let client = self.session.client();
        let tenant = entry.tenant.as_ref().map_or("", |tenant| tenant.as_str());
        self.session.write("note platform audit", note(&client, tenant, entry)).await
    }

    async fn audit(&mut self, query: AuditQuery<'_>) -> StorageResult<Vec<AuditEntry>> {
        let client = self.session.client();
        let work = async {
            let parameters = [
                Parameter::text(query.scope.stored()),
                Parameter::text(query.plugin.map(PluginName::as_str)),
                query.before.map_or(Parameter::Null, |(at, _)| Parameter::Time(at)),
                query.before.map_or(Parameter::Null, |(_, id)| Parameter::Uuid(id)),
                Parameter::Integer(i64::from(query.limit)),
            ];
            client.rows(LIST, &parameters).await?.iter().map(read_entry).collect()
        };
        self.session.run("audit", work).await
    }
}

async fn note(client: &Client, tenant: &str, entry: &AuditEntry) -> Result<()> {
    let sql =
        "INSERT INTO erp_plugin.audit (tenant_id, at, id, done_by, action, plugin, before, after, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let parameters = [
        Parameter::Text(tenant),
        Parameter::Time(entry.at),
        Parameter::Uuid(entry.id),
        Parameter::Text(entry.by.as_str()),
        Parameter::Text(&entry.action),
        Parameter::text(entry.plugin.as_ref().map(PluginName::as_str)),
        Parameter::text(entry.from.as_deref()),
        Parameter::text(entry.to.as_deref()),
        Parameter::text(entry.detail.as_deref()),
    ];
    client.execute(sql, &parameters).await?;
    Ok(())
}

fn read_entry(row: &Row) -> Result<AuditEntry> {
    let is_platforms = read_text(row, 4)?.is_empty();
    let has_plugin = raw(row, 5)?.is_some();
    Ok(AuditEntry {
        id: read_uuid(row, 0)?,
        at: read_time(row, 1)?,
        by: read_user(row, 2)?.ok_or_else(|| Error::Unreadable("user id"))?,
        action: read_text(row, 3)?.to_owned(),
        tenant: if is_platforms { None } else { Some(read_tenant(row, 4)?) },
        plugin: if has_plugin { Some(read_plugin(row, 5)?) } else { None },
        from: row.try_get(6)?,
        to: row.try_get(7)?,
        detail: row.try_get(8)?,
    })
}
