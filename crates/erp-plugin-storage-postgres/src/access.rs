//! [`Access`]: tenants.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::TenantId;
use erp_plugin_storage::{Access, StorageResult, TenantState};
use tokio_postgres::Row;

use crate::dispatch::{LOCK_DISPATCHER, LOCK_TURN};
use crate::error::{Error, Result};
use crate::names::{read_tenant, read_text};
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

    async fn tenant_state(&mut self, tenant: &TenantId) -> StorageResult<Option<TenantState>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT state FROM erp_plugin.tenants WHERE id = $1";
            let row = client.row(sql, &[Parameter::Text(tenant.as_str())]).await?;
            row.map(|row| read_tenant_state(&row, 0)).transpose()
        };
        self.session.run("tenant state", work).await
    }

    async fn set_tenant_state(&mut self, tenant: &TenantId, state: TenantState) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "UPDATE erp_plugin.tenants SET state = $2 WHERE id = $1";
            let parameters = [Parameter::Text(tenant.as_str()), Parameter::Text(state.as_str())];
            Ok(client.execute(sql, &parameters).await? > 0)
        };
        self.session.write("set tenant state", work).await
    }

    async fn tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        let client = self.session.client();
        let work = async {
            let rows = client.rows("SELECT id FROM erp_plugin.tenants ORDER BY id", &[]).await?;
            rows.iter().map(|row| read_tenant(row, 0)).collect()
        };
        self.session.run("tenants", work).await
    }

    async fn suspended_tenants(&mut self) -> StorageResult<Vec<TenantId>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT id FROM erp_plugin.tenants WHERE state = 'suspended' ORDER BY id";
            client.rows(sql, &[]).await?.iter().map(|row| read_tenant(row, 0)).collect()
        };
        self.session.run("suspended tenants", work).await
    }

    async fn remove_tenant(&mut self, tenant: &TenantId) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let own = [Parameter::Text(tenant.as_str())];
            // Whoever dispatches or claims in this moment has ended afterwards, and what they made is seen.
            for sql in [LOCK_DISPATCHER, LOCK_TURN] {
                client.one(sql, &[]).await?;
            }
            for sql in REMOVE {
                client.execute(sql, &own).await?;
            }
            Ok(client.execute("DELETE FROM erp_plugin.tenants WHERE id = $1", &own).await? > 0)
        };
        self.session.write("remove tenant", work).await
    }
}

/// What a dispatcher made of the tenant's events, and its turns, which go to the tenant before it.
const REMOVE: [&str; 7] = [
    "DELETE FROM erp_plugin.outbox WHERE tenant_id = $1",
    "DELETE FROM erp_plugin.deliveries WHERE tenant_id = $1",
    "DELETE FROM erp_plugin.streams WHERE tenant_id = $1",
    "DELETE FROM erp_plugin.jobs WHERE tenant_id = $1",
    "DELETE FROM erp_plugin.job_runs WHERE tenant_id = $1",
    "UPDATE erp_plugin.claim_turn
     SET last_tenant = coalesce((SELECT max(id) FROM erp_plugin.tenants WHERE id < $1), '')
     WHERE single AND last_tenant = $1",
    "UPDATE erp_plugin.dispatcher
     SET last_tenant = coalesce((SELECT max(id) FROM erp_plugin.tenants WHERE id < $1), '')
     WHERE single AND last_tenant = $1",
];

fn read_tenant_state(row: &Row, column: usize) -> Result<TenantState> {
    match read_text(row, column)? {
        "active" => Ok(TenantState::Active),
        "suspended" => Ok(TenantState::Suspended),
        _ => Err(Error::Unreadable("state of a tenant")),
    }
}
