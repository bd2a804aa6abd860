//! [`Roles`]: what a tenant lets its users do.

use async_trait::async_trait;
use erp_plugin_model::{Role, RoleAssignment, RoleName, UserId};
use erp_plugin_storage::{Roles, StorageResult, permissions_text, role_from_text};
use tokio_postgres::Row;

use crate::error::{Error, Result};
use crate::names::read_text;
use crate::sql::Parameter;
use crate::transaction::PostgresTransaction;

#[async_trait]
impl Roles for PostgresTransaction {
    async fn roles(&mut self) -> StorageResult<Vec<Role>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT role, permissions FROM erp_plugin.roles WHERE tenant_id = $1 ORDER BY role";
            client.rows(sql, &[Parameter::Text(tenant)]).await?.iter().map(read_role).collect()
        };
        self.session.run("roles", work).await
    }

    async fn set_role(&mut self, role: &Role) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "INSERT INTO erp_plugin.roles (tenant_id, role, permissions) VALUES ($1, $2, $3)
                 ON CONFLICT (tenant_id, role) DO UPDATE SET permissions = excluded.permissions";
            let parameters = [
                Parameter::Text(tenant),
                Parameter::Text(role.name.as_str()),
                Parameter::Owned(permissions_text(role)),
            ];
            client.execute(sql, &parameters).await?;
            Ok(())
        };
        self.session.write("set role", work).await
    }

    async fn remove_role(&mut self, role: &RoleName) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let parameters = [Parameter::Text(tenant), Parameter::Text(role.as_str())];
            let sql = "DELETE FROM erp_plugin.role_assignments WHERE tenant_id = $1 AND role = $2";
            client.execute(sql, &parameters).await?;
            let sql = "DELETE FROM erp_plugin.roles WHERE tenant_id = $1 AND role = $2";
            Ok(client.execute(sql, &parameters).await? > 0)
        };
        self.session.write("remove role", work).await
    }

    async fn assign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let role = Parameter::Text(role.as_str());
            // Whoever removes the role meanwhile writes what is read here, and reads what is written: one of both fails.
            let sql = "SELECT 1 FROM erp_plugin.roles WHERE tenant_id = $1 AND role = $2";
            if client.row(sql, &[Parameter::Text(tenant), role.clone()]).await?.is_none() {
                return Ok(false);
            }
            let sql = "INSERT INTO erp_plugin.role_assignments (tenant_id, user_id, role) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING";
            client.execute(sql, &[Parameter::Text(tenant), Parameter::Text(user.as_str()), role]).await?;
            Ok(true)
        };
        self.session.write("assign role", work).await
    }

    async fn unassign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql =
                "DELETE FROM erp_plugin.role_assignments WHERE tenant_id = $1 AND user_id = $2 AND role = $3";
            let parameters = [tenant, user.as_str(), role.as_str()].map(Parameter::Text);
            Ok(client.execute(sql, &parameters).await? > 0)
        };
        self.session.write("unassign role", work).await
    }

    async fn roles_of(&mut self, user: &UserId, beside: &[RoleName]) -> StorageResult<Vec<Role>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT r.role, r.permissions FROM erp_plugin.roles AS r WHERE r.tenant_id = $1 AND r.role IN (
                     SELECT a.role FROM erp_plugin.role_assignments AS a WHERE a.tenant_id = $1 AND a.user_id = $2
                     UNION SELECT unnest($3::text[])
                 ) ORDER BY r.role";
            let beside = Parameter::many(beside.iter().map(|role| Parameter::Text(role.as_str())));
            let parameters = [Parameter::Text(tenant), Parameter::Text(user.as_str()), beside];
            client.rows(sql, &parameters).await?.iter().map(read_role).collect()
        };
        self.session.run("roles of", work).await
    }

    async fn role_assignments(&mut self) -> StorageResult<Vec<RoleAssignment>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT user_id, role FROM erp_plugin.role_assignments WHERE tenant_id = $1 ORDER BY user_id, role";
            client.rows(sql, &[Parameter::Text(tenant)]).await?.iter().map(read_assignment).collect()
        };
        self.session.run("role assignments", work).await
    }
}

fn read_role(row: &Row) -> Result<Role> {
    role_from_text(read_text(row, 0)?, read_text(row, 1)?).ok_or(Error::Unreadable("role"))
}

fn read_assignment(row: &Row) -> Result<RoleAssignment> {
    Ok(RoleAssignment {
        user: UserId::parse(read_text(row, 0)?).map_err(|_| Error::Unreadable("user id"))?,
        role: RoleName::parse(read_text(row, 1)?).map_err(|_| Error::Unreadable("role name"))?,
    })
}
