//! [`Access`]: tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;
use erp_plugin_storage::{Access, StorageResult};

use crate::names::read_tenant;
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

#[async_trait]
impl Access for PostgresPlatformTransaction {
    async fn create_tenant(&mut self, tenant: &TenantId, at: DateTime<Utc>) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql =
                "INSERT INTO erp_plugin.tenants (id, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            Ok(client.execute(sql, &[Parameter::Text(tenant.as_str()), Parameter::Time(at)]).await? > 0)
        };
        self.session.write("create tenant", work).await
    }

    async fn tenant_exists(&mut self, tenant: &TenantId) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT 1 FROM erp_plugin.tenants WHERE id = $1";
            Ok(client.row(sql, &[Parameter::Text(tenant.as_str())]).await?.is_some())
        };
        self.session.run("tenant exists", work).await
    }

    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows("SELECT id FROM erp_plugin.tenants ORDER BY id", &[]).await?;
            rows.iter().map(|row| read_tenant(row, 0)).collect()
        };
        self.session.run("tenants", work).await
    }
}
