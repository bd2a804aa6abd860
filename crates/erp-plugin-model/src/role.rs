//! Roles: what a tenant lets its users do, as data. Which roles there are and who has them is the tenant's own;
//! [`PermissionSet`](crate::PermissionSet) is what an invocation makes of them.

use crate::{PermissionPattern, RoleName, UserId};

/// The most roles of a tenant.
pub const MAX_ROLES: usize = 200;
/// The most permissions and patterns of a role.
pub const MAX_PERMISSIONS: usize = 200;
/// The most roles that are assigned to one user.
pub const MAX_ROLES_OF_USER: usize = 50;

/// A role of a tenant, and what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What it is called.
    pub name: RoleName,
    /// What whoever has it may do. As it is stored: in the order of the code points, each once.
    pub permissions: Vec<PermissionPattern>,
}

impl Role {
    /// A role, with its permissions as they are stored.
    #[must_use]
    pub fn new(name: RoleName, mut permissions: Vec<PermissionPattern>) -> Self {
        permissions.sort();
        permissions.dedup();
        Self { name, permissions }
    }
}

/// That a user has a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Who has it; also a service of the platform.
    pub user: UserId,
    /// The role.
    pub role: RoleName,
}
