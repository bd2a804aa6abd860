//! [`Access`]: tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;
use erp_plugin_storage::{Access, StorageResult};

use crate::names::read_tenant;
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

    async fn tenant_exists(&mut self, tenant: &TenantId) -> StorageResult<bool> {
        self.session.read("tenant exists", |connection| {
            Ok(connection.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1")?.exists([tenant.as_str()])?)
        })
    }

    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        self.session.read("tenants", |connection| {
            let mut statement = connection.prepare_cached("SELECT id FROM tenants ORDER BY id")?;
            let mut rows = statement.query(())?;
            let mut tenants = Vec::new();
            while let Some(row) = rows.next()? {
                tenants.push(read_tenant(row, 0)?);
            }
            Ok(tenants)
        })
    }
}
