//! Roles of a tenant, and who has them.

use async_trait::async_trait;
use erp_plugin_model::{Role, RoleAssignment, RoleName, UserId};

use crate::StorageResult;

/// The roles of the transaction's tenant. How many there may be is decided above.
#[async_trait]
pub trait Roles: Send {
    /// Every role of this tenant, by name.
    ///
    /// Held by `roles::a_role_is_made_replaced_and_removed`, `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn roles(&mut self) -> StorageResult<Vec<Role>>;

    /// Makes a role, or gives the one of this name these permissions in place of its own. Who has it, has it still.
    ///
    /// Held by `roles::a_role_is_made_replaced_and_removed`,
    /// `roles::a_role_that_is_replaced_stays_with_its_users`.
    async fn set_role(&mut self, role: &Role) -> StorageResult<()>;

    /// Removes a role and takes it from everybody who has it, and returns whether it was there: one that is made later
    /// under its name is nobody's.
    ///
    /// Held by `roles::a_role_is_made_replaced_and_removed`,
    /// `roles::removing_a_role_takes_it_from_its_users`, `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn remove_role(&mut self, role: &RoleName) -> StorageResult<bool>;

    /// Gives a role to a user, and returns whether there is such a role; giving it again changes nothing.
    ///
    /// Held by `roles::a_role_is_assigned_and_taken_away`,
    /// `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn assign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool>;

    /// Takes a role from a user, and returns whether they had it.
    ///
    /// Held by `roles::a_role_is_assigned_and_taken_away`,
    /// `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn unassign_role(&mut self, user: &UserId, role: &RoleName) -> StorageResult<bool>;

    /// The roles that a user has, and of those named beside them the ones that there are: each once, by name.
    ///
    /// Held by `roles::a_users_roles_come_with_those_named_beside_them`,
    /// `roles::removing_a_role_takes_it_from_its_users`, `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn roles_of(&mut self, user: &UserId, beside: &[RoleName]) -> StorageResult<Vec<Role>>;

    /// Who has which role, by user and then by role.
    ///
    /// Held by `roles::a_role_is_assigned_and_taken_away`,
    /// `tenants::roles_and_who_has_them_are_the_tenants_own`.
    async fn role_assignments(&mut self) -> StorageResult<Vec<RoleAssignment>>;
}

/// The permissions of a role as backends keep them: with a space between two, which none of them has in it.
#[must_use]
pub fn permissions_text(role: &Role) -> String {
    role.permissions.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" ")
}

/// A role out of what was kept of it; `None` when that is damaged.
#[must_use]
pub fn role_from_text(name: &str, permissions: &str) -> Option<Role> {
    let permissions = permissions.split_ascii_whitespace().map(|text| text.parse().ok());
    Some(Role { name: name.parse().ok()?, permissions: permissions.collect::<Option<_>>()? })
}
