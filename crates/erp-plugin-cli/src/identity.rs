//! Who acts: the user of `--user`, who may do what `--permission` says and what the tenant's roles give, or the host
//! itself.

use anyhow::Result;
use async_trait::async_trait;
use erp_plugin::{Authorizer, HostError, Identity, IdentityKind, PermissionSet, TenantId, UserId};

/// The options of every command that acts in a tenant.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Act as this user
    #[arg(long, value_name = "U")]
    user: Option<UserId>,
    /// A role that the user has beside those assigned to them, by name; may be given several times
    #[arg(long = "role", value_name = "R", requires = "user")]
    roles: Vec<String>,
    /// A permission that the user has beside those of their roles, such as crm.lead.update or crm.*; may be given
    /// several times
    #[arg(long = "permission", value_name = "P", requires = "user")]
    permissions: Vec<String>,
}

impl Arguments {
    /// Who acts in this tenant, and what they may do.
    pub(crate) fn identity(&self, tenant: &TenantId) -> Result<(Identity, UserRights)> {
        let Some(user) = &self.user else {
            let system = Identity::system(tenant.clone(), UserId::parse("system")?, None);
            return Ok((system, UserRights::nobody()));
        };
        let identity = Identity { roles: self.roles.clone(), ..Identity::user(tenant.clone(), user.clone()) };
        Ok((identity, UserRights::of(user.clone(), &self.permissions)))
    }
}

/// The permissions of one user that the command line gives; the host itself may do everything.
pub(crate) struct UserRights {
    user: Option<UserId>,
    permissions: PermissionSet,
}

impl UserRights {
    /// No user acts.
    fn nobody() -> Self {
        Self { user: None, permissions: PermissionSet::none() }
    }

    /// This user may do this.
    fn of(user: UserId, permissions: &[String]) -> Self {
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
