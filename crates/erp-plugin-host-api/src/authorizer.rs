//! The port through which the platform says what an identity may do.

use std::collections::HashMap;

use async_trait::async_trait;
use erp_plugin_model::{HostError, Identity, PermissionSet};

/// Resolves an identity to its permissions, once per invocation. An error refuses the invocation.
#[async_trait]
pub trait Authorizer: Send + Sync {
    /// The permissions of this identity in its tenant.
    async fn permissions(&self, identity: &Identity) -> Result<PermissionSet, HostError>;
}

/// Permissions by role name, the same in every tenant. The system may do everything; a role that is not listed gives
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct RolePermissions {
    roles: HashMap<String, Vec<String>>,
}

impl RolePermissions {
    /// Nobody but the system may do anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives permissions (`inventory.item.update`, `inventory.*`) to a role.
    #[must_use]
    pub fn grant<S: Into<String>>(
        mut self,
        role: impl Into<String>,
        permissions: impl IntoIterator<Item = S>,
    ) -> Self {
        self.roles.entry(role.into()).or_default().extend(permissions.into_iter().map(Into::into));
        self
    }
}

#[async_trait]
impl Authorizer for RolePermissions {
    async fn permissions(&self, identity: &Identity) -> Result<PermissionSet, HostError> {
        if identity.kind == erp_plugin_model::IdentityKind::System {
            return Ok(PermissionSet::all());
        }
        Ok(identity.roles.iter().filter_map(|role| self.roles.get(role)).flatten().collect())
    }
}
