//! What the user of `--user` may do: what `--permission` says, and nothing else.

use async_trait::async_trait;
use erp_plugin::{Authorizer, HostError, Identity, IdentityKind, PermissionSet, UserId};

/// The permissions of one user; the host itself may do everything.
pub(super) struct UserRights {
    user: Option<UserId>,
    permissions: PermissionSet,
}

impl UserRights {
    /// No user acts.
    pub(super) fn nobody() -> Self {
        Self { user: None, permissions: PermissionSet::none() }
    }

    /// This user may do this.
    pub(super) fn of(user: UserId, permissions: &[String]) -> Self {
        Self { user: Some(user), permissions: permissions.iter().collect() }
    }
}

#[async_trait]
impl Authorizer for UserRights {
    async fn permissions(&self, identity: &Identity) -> Result<PermissionSet, HostError> {
        Ok(match identity.kind {
            IdentityKind::System => PermissionSet::all(),
            IdentityKind::User if self.user.as_ref() == Some(&identity.id) => self.permissions.clone(),
            IdentityKind::User | IdentityKind::Service => PermissionSet::none(),
        })
    }
}
