//! [`Access`]: tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;
use erp_plugin_storage::{Access, StorageResult, TenantState};
use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::names::{read_tenant, read_text};
use crate::transaction::SqlitePlatformTransaction;

#[async_trait]
impl Access for SqlitePlatformTransaction {
    async fn create_tenant(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<bool> {
        self.session.write("create tenant", |connection| {
            let made = connection
                .prepare_cached(
                    "INSERT INTO tenants (id, created_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((tenant.as_str(), at.timestamp_micros()))?;
            Ok(made > 0)
        })
    }

    async fn tenant_state(&mut self, tenant: &TenantId) -> StorageResult<Option<TenantState>> {
        self.session.read("tenant state", |connection| {
            let mut statement = connection.prepare_cached("SELECT state FROM tenants WHERE id = ?1")?;
            let mut rows = statement.query([tenant.as_str()])?;
            rows.next()?.map(|row| read_tenant_state(row, 0)).transpose()
        })
    }

    async fn set_tenant_state(&mut self, tenant: &TenantId, state: TenantState) -> StorageResult<bool> {
        self.session.write("set tenant state", |connection| {
            let set = connection
                .prepare_cached("UPDATE tenants SET state = ?2 WHERE id = ?1")?
                .execute((tenant.as_str(), state.as_str()))?;
            Ok(set > 0)
        })
    }

    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        self.session.read("tenants", |connection| listed(connection, "SELECT id FROM tenants ORDER BY id"))
    }

    async fn suspended_tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        let sql = "SELECT id FROM tenants WHERE state = 'suspended' ORDER BY id";
        self.session.read("suspended tenants", |connection| listed(connection, sql))
    }

    async fn remove_tenant(&mut self, tenant: &TenantId) -> StorageResult<bool> {
        self.session.write("remove tenant", |connection| {
            for table in ["outbox", "deliveries", "streams", "jobs", "job_runs"] {
                connection
                    .prepare_cached(&format!("DELETE FROM {table} WHERE tenant_id = ?1"))?
                    .execute([tenant.as_str()])?;
            }
            for turn in ["claimed", "numbered"] {
                connection
                    .prepare_cached(&format!(
                        "UPDATE turns SET {turn} = coalesce((SELECT max(id) FROM tenants WHERE id < ?1), '')
                         WHERE {turn} = ?1"
                    ))?
                    .execute([tenant.as_str()])?;
            }
            let removed =
                connection.prepare_cached("DELETE FROM tenants WHERE id = ?1")?.execute([tenant.as_str()])?;
            Ok(removed > 0)
        })
    }
}

fn listed(connection: &Connection, sql: &str) -> Result<Vec<TenantId>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut tenants = Vec::new();
    while let Some(row) = rows.next()? {
        tenants.push(read_tenant(row, 0)?);
    }
    Ok(tenants)
}

fn read_tenant_state(row: &Row<'_>, column: usize) -> Result<TenantState> {
    match read_text(row, column)? {
        "active" => Ok(TenantState::Active),
        "suspended" => Ok(TenantState::Suspended),
        _ => Err(Error::Unreadable("state of a tenant")),
    }
}
