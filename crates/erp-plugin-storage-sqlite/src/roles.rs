//! [`Roles`]: what a tenant lets its users do.

use async_trait::async_trait;
use erp_plugin_model::{Role, RoleAssignment, RoleName, UserId};
use erp_plugin_storage::{Roles, StorageResult, permissions_text, role_from_text};
use rusqlite::{Connection, Row, params_from_iter};

use crate::error::{Error, Result};
use crate::names::read_text;
use crate::transaction::SqliteTransaction;

#[async_trait]
impl Roles for SqliteTransaction {
    async fn roles(&mut self) -> StorageResult<Vec<Role>> {
        let Self { session, tenant, .. } = self;
        session.read("roles", |connection| {
            let sql = "SELECT role, permissions FROM roles WHERE tenant_id = ?1 ORDER BY role";
            read(connection, sql, [tenant.as_str()], read_role)
        })
    }

    async fn set_role(&mut self, role: &Role) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("set role", |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO roles (tenant_id, role, permissions) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET permissions = excluded.permissions",
                )?
                .execute((tenant.as_str(), role.name.as_str(), permissions_text(role)))?;
            Ok(())
        })
    }

    async fn remove_role(&mut self, role: &RoleName) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("remove role", |connection| {
            connection
                .prepare_cached("DELETE FROM role_assignments WHERE tenant_id = ?1 AND role = ?2")?
                .execute((tenant.as_str(), role.as_str()))?;
            let removed = connection
                .prepare_cached("DELETE FROM roles WHERE tenant_id = ?1 AND role = ?2")?
                .execute((tenant.as_str(), role.as_str()))?;
            Ok(removed > 0)
        })
    }

    async fn assign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("assign role", |connection| {
            let is_there = connection
                .prepare_cached("SELECT 1 FROM roles WHERE tenant_id = ?1 AND role = ?2")?
                .exists((tenant.as_str(), role.as_str()))?;
            if is_there {
                connection
                    .prepare_cached(
                        "INSERT INTO role_assignments (tenant_id, user_id, role) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO NOTHING",
                    )?
                    .execute((tenant.as_str(), user.as_str(), role.as_str()))?;
            }
            Ok(is_there)
        })
    }

    async fn unassign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("unassign role", |connection| {
            let taken = connection
                .prepare_cached(
                    "DELETE FROM role_assignments WHERE tenant_id = ?1 AND user_id = ?2 AND role = ?3",
                )?
                .execute((tenant.as_str(), user.as_str(), role.as_str()))?;
            Ok(taken > 0)
        })
    }

    async fn roles_of(&mut self, user: &UserId, beside: &[RoleName]) -> StorageResult<Vec<Role>> {
        let Self { session, tenant, .. } = self;
        session.read("roles of", |connection| {
            let named: Vec<String> = (3..3 + beside.len()).map(|number| format!("?{number}")).collect();
            let sql = format!(
                "SELECT role, permissions FROM roles WHERE tenant_id = ?1 AND role IN (
                     SELECT role FROM role_assignments WHERE tenant_id = ?1 AND user_id = ?2
                 ) UNION SELECT role, permissions FROM roles WHERE tenant_id = ?1 AND role IN ({})
                 ORDER BY role",
                named.join(", ")
            );
            let who = [tenant.as_str(), user.as_str()].into_iter().chain(beside.iter().map(RoleName::as_str));
            read(connection, &sql, params_from_iter(who), read_role)
        })
    }

    async fn role_assignments(&mut self) -> StorageResult<Vec<RoleAssignment>> {
        let Self { session, tenant, .. } = self;
        session.scan("role assignments", |connection| {
            let sql =
                "SELECT user_id, role FROM role_assignments WHERE tenant_id = ?1 ORDER BY user_id, role";
            read(connection, sql, [tenant.as_str()], |row| {
                let user = UserId::parse(read_text(row, 0)?).map_err(|_| Error::Unreadable("user id"))?;
                let role = RoleName::parse(read_text(row, 1)?).map_err(|_| Error::Unreadable("role name"))?;
                Ok(RoleAssignment { user, role })
            })
        })
    }
}

fn read<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    of: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(of(row)?);
    }
    Ok(found)
}

fn read_role(row: &Row<'_>) -> Result<Role> {
    role_from_text(read_text(row, 0)?, read_text(row, 1)?).ok_or(Error::Unreadable("role"))
}
