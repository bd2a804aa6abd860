//! Roles as a tenant's own data: changing them, and what they give to an identity.
//!
//! [`StoredRoles`] stands before the authorizer that the platform has, and adds to what that one allows. It is asked
//! once an invocation, so what it read is kept for a moment. Invariants:
//!
//! - A role that was taken away is in force in every process after [`KEPT`], and at once in the one that took it away.
//! - Whoever cannot be told what an identity may do is told so: no fault of the storage gives anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use erp_plugin_host_api::Authorizer;
use erp_plugin_model::role::{MAX_PERMISSIONS, MAX_ROLES, MAX_ROLES_OF_USER};
use erp_plugin_model::{
    ErrorCode, HostError, Identity, IdentityKind, PermissionSet, Role, RoleAssignment, RoleName, TenantId,
    UserId,
};
use erp_plugin_storage::{
    AuditEntry, Mode, Storage, StorageResult, TenantScope, TransactionOptions, permissions_text,
};

use crate::error::HostResult;
use crate::host::Inner;

/// How long what was read is in use, from before it was read.
const KEPT: Duration = Duration::from_secs(1);
/// How long an invocation waits for the database to tell what its identity may do.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked when the transaction is lost.
const MAX_ATTEMPTS: u32 = 3;
/// The identities of which permissions are kept at once.
const MOST_KEPT: usize = 10_000;

/// Adds a tenant's roles to what another authorizer allows: those that are assigned to the identity's id, and of those
/// that the identity says it has the ones that the tenant knows.
pub(crate) struct StoredRoles {
    storage: Arc<dyn Storage>,
    other: Arc<dyn Authorizer>,
    kept: Mutex<Kept>,
}

impl StoredRoles {
    pub(crate) fn new(storage: Arc<dyn Storage>, other: Arc<dyn Authorizer>) -> Self {
        Self { storage, other, kept: Mutex::default() }
    }

    /// The tenant's roles were changed here.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.kept().forget(tenant);
    }

    async fn read(&self, identity: &Identity) -> StorageResult<PermissionSet> {
        for _ in 1..MAX_ATTEMPTS {
            match self.read_once(identity).await {
                Err(error) if error.is_transient() => {}
                ended => return ended,
            }
        }
        self.read_once(identity).await
    }

    async fn read_once(&self, identity: &Identity) -> StorageResult<PermissionSet> {
        let scope = TenantScope::granted_by_host(identity.tenant.clone());
        let options = TransactionOptions {
            mode: Mode::Read,
            deadline: Instant::now() + PATIENCE,
            writer_hold: PATIENCE,
        };
        // A name that no role can have is of a role that the tenant does not know.
        let named: BTreeSet<_> =
            identity.roles.iter().filter_map(|name| RoleName::parse(name).ok()).collect();
        let named: Vec<_> = named.into_iter().collect();
        let mut transaction = self.storage.begin(&scope, options).await?;
        let roles = transaction.roles_of(&identity.id, &named).await?;
        transaction.rollback(None).await?;
        Ok(roles.iter().flat_map(|role| &role.permissions).collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Authorizer for StoredRoles {
    async fn permissions(&self, identity: &Identity) -> Result<PermissionSet, HostError> {
        if identity.kind == IdentityKind::System {
            return Ok(PermissionSet::all());
        }
        let mut permissions = self.other.permissions(identity).await?;
        let who = Who::of(identity);
        let began = Instant::now();
        let (generation, kept) = {
            let kept = self.kept();
            (kept.generation, kept.get(&who, began))
        };
        let stored = match kept {
            Some(stored) => stored,
            None => {
                let stored = Arc::new(self.read(identity).await.map_err(|error| error.to_host_error())?);
                self.kept().put(generation, who, began, Arc::clone(&stored));
                stored
            }
        };
        permissions.merge(PermissionSet::clone(&stored));
        Ok(permissions)
    }
}

/// Whose permissions they are.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    tenant: TenantId,
    id: UserId,
    roles: Vec<String>,
}

impl Who {
    fn of(identity: &Identity) -> Self {
        Self { tenant: identity.tenant.clone(), id: identity.id.clone(), roles: identity.roles.clone() }
    }
}

/// What was read, and before which moment.
///
/// Whoever reads notes the generation before, and keeps the result only if nothing was forgotten since: else what was
/// true before a change would be kept after it.
#[derive(Default)]
struct Kept {
    generation: u64,
    permissions: HashMap<Who, (Instant, Arc<PermissionSet>)>,
}

impl Kept {
    fn get(&self, who: &Who, now: Instant) -> Option<Arc<PermissionSet>> {
        let (began, permissions) = self.permissions.get(who)?;
        (now.saturating_duration_since(*began) < KEPT).then(|| Arc::clone(permissions))
    }

    fn put(&mut self, generation: u64, who: Who, began: Instant, permissions: Arc<PermissionSet>) {
        if self.generation != generation {
            return;
        }
        if self.permissions.len() >= MOST_KEPT {
            self.permissions.retain(|_, (other, _)| began.saturating_duration_since(*other) < KEPT);
            if self.permissions.len() >= MOST_KEPT {
                self.permissions.clear();
            }
        }
        self.permissions.insert(who, (began, permissions));
    }

    fn forget(&mut self, tenant: &TenantId) {
        self.generation += 1;
        self.permissions.retain(|who, _| who.tenant != *tenant);
    }
}

impl Inner {
    pub(crate) async fn roles(&self, tenant: &TenantId) -> HostResult<Vec<Role>> {
        Ok(self.look_at(tenant).await?.roles().await?)
    }

    pub(crate) async fn role_assignments(&self, tenant: &TenantId) -> HostResult<Vec<RoleAssignment>> {
        Ok(self.look_at(tenant).await?.role_assignments().await?)
    }

    pub(crate) async fn set_role(&self, by: &UserId, tenant: &TenantId, role: &Role) -> HostResult<()> {
        let Role { name, permissions } = role;
        if permissions.len() > MAX_PERMISSIONS {
            return Err(HostError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "role {name} has {} permissions, {MAX_PERMISSIONS} are allowed; write patterns such as inventory.*",
                    permissions.len()
                ),
            )
            .into());
        }
        self.check_open(tenant).await?;
        let mut own = self.change(tenant).await?;
        let roles = own.roles().await?;
        if roles.len() >= MAX_ROLES && roles.iter().all(|other| other.name != *name) {
            return Err(HostError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "{tenant} has {MAX_ROLES} roles, as many as it may; remove one before {name} is made"
                ),
            )
            .into());
        }
        own.set_role(role).await?;
        let to = Some(permissions_text(role));
        let detail = Some(name.to_string());
        own.note_audit(&AuditEntry { to, detail, ..self.done(by, "role.set") }).await?;
        self.changed(tenant, own.commit(None).await)
    }

    pub(crate) async fn remove_role(
        &self,
        by: &UserId,
        tenant: &TenantId,
        role: &RoleName,
    ) -> HostResult<bool> {
        self.check_open(tenant).await?;
        let mut own = self.change(tenant).await?;
        let removed = own.remove_role(role).await?;
        if removed {
            own.note_audit(&self.role_entry(by, "role.removed", role, None)).await?;
        }
        self.changed(tenant, own.commit(None).await)?;
        Ok(removed)
    }

    pub(crate) async fn assign_role(
        &self,
        by: &UserId,
        tenant: &TenantId,
        user: &UserId,
        role: &RoleName,
    ) -> HostResult<()> {
        self.check_open(tenant).await?;
        let mut own = self.change(tenant).await?;
        let has = own.roles_of(user, &[]).await?;
        if has.len() >= MAX_ROLES_OF_USER && has.iter().all(|other| other.name != *role) {
            return Err(HostError::new(
                ErrorCode::LimitExceeded,
                format!(
                    "{user} has {MAX_ROLES_OF_USER} roles, as many as one may; take one away before {role}"
                ),
            )
            .into());
        }
        if !own.assign_role(user, role).await? {
            let names: Vec<String> = own.roles().await?.iter().map(|role| role.name.to_string()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(HostError::not_found(format!(
                "{tenant} has no role {role}; make it first. Its roles: {names}"
            ))
            .into());
        }
        own.note_audit(&self.role_entry(by, "role.assigned", role, Some(user))).await?;
        self.changed(tenant, own.commit(None).await)
    }

    pub(crate) async fn unassign_role(
        &self,
        by: &UserId,
        tenant: &TenantId,
        user: &UserId,
        role: &RoleName,
    ) -> HostResult<bool> {
        self.check_open(tenant).await?;
        let mut own = self.change(tenant).await?;
        let taken = own.unassign_role(user, role).await?;
        if taken {
            own.note_audit(&self.role_entry(by, "role.unassigned", role, Some(user))).await?;
        }
        self.changed(tenant, own.commit(None).await)?;
        Ok(taken)
    }

    /// What was kept of the tenant's roles is forgotten however the commit ended: it may have happened.
    fn role_entry(&self, by: &UserId, action: &str, role: &RoleName, user: Option<&UserId>) -> AuditEntry {
        let detail = user.map_or_else(|| role.to_string(), |user| format!("{role} {user}"));
        AuditEntry { detail: Some(detail), ..self.done(by, action) }
    }

    fn changed(&self, tenant: &TenantId, committed: StorageResult<()>) -> HostResult<()> {
        if let Some(roles) = &self.stored_roles {
            roles.forget(tenant);
        }
        Ok(committed?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(tenant: &str, id: &str) -> Who {
        let (tenant, id) = (TenantId::parse(tenant).unwrap(), UserId::parse(id).unwrap());
        Who::of(&Identity::user(tenant, id))
    }

    #[test]
    fn what_was_read_is_in_use_for_a_second_from_before_it_was_read() {
        let (mut kept, began) = (Kept::default(), Instant::now());
        let ada = who("acme", "ada");
        kept.put(0, ada.clone(), began, Arc::new(PermissionSet::all()));
        assert!(kept.get(&ada, began + KEPT - Duration::from_millis(1)).is_some());
        assert!(kept.get(&ada, began + KEPT).is_none());
        for other in [who("acme", "ben"), who("other", "ada"), Who { roles: vec!["clerk".to_owned()], ..ada }]
        {
            assert!(kept.get(&other, began).is_none());
        }
    }

    #[test]
    fn a_change_forgets_the_tenants_own_and_what_is_being_read() {
        let (mut kept, began) = (Kept::default(), Instant::now());
        let all = Arc::new(PermissionSet::all());
        for own in [who("acme", "ada"), who("other", "ada")] {
            kept.put(0, own, began, Arc::clone(&all));
        }
        kept.forget(&TenantId::parse("acme").unwrap());
        assert!(kept.get(&who("acme", "ada"), began).is_none());
        assert!(kept.get(&who("other", "ada"), began).is_some());
        kept.put(0, who("acme", "ada"), began, Arc::clone(&all));
        assert!(kept.get(&who("acme", "ada"), began).is_none(), "it was read before the change");
    }

    #[test]
    fn no_more_are_kept_than_there_may_be() {
        let (mut kept, began) = (Kept::default(), Instant::now());
        let none = Arc::new(PermissionSet::none());
        for number in 0..=MOST_KEPT {
            kept.put(0, who("acme", &format!("u{number}")), began, Arc::clone(&none));
        }
        assert!(kept.permissions.len() <= MOST_KEPT);
        assert!(kept.get(&who("acme", &format!("u{MOST_KEPT}")), began).is_some());
    }
}
