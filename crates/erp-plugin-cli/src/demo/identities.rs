//! Who acts in the demo.

use erp_plugin::{HostResult, Identity, RolePermissions, TenantId, UserId};

use super::Tenant;

const PLATFORM: &str = "platform";
const CLERK: &str = "clerk";

/// The platform may do everything; a clerk may look at items and cannot change one.
pub(super) fn roles() -> RolePermissions {
    RolePermissions::new().grant(PLATFORM, ["*"]).grant(CLERK, ["inventory.item.read"])
}

/// The platform itself, in a tenant.
pub(super) fn platform(tenant: Tenant) -> HostResult<Identity> {
    user(tenant, "platform", PLATFORM)
}

/// Somebody in a tenant's warehouse.
pub(super) fn clerk(tenant: Tenant) -> HostResult<Identity> {
    user(tenant, "clerk", CLERK)
}

fn user(tenant: Tenant, id: &str, role: &str) -> HostResult<Identity> {
    let identity = Identity::user(TenantId::parse(tenant.as_str())?, UserId::parse(id)?);
    Ok(Identity { roles: vec![role.to_owned()], ..identity })
}
