//! Who acts, and what they may do.

use std::collections::HashSet;

use crate::{TenantId, UserId};

/// What kind of actor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// A person.
    User,
    /// The host itself: lifecycle calls, events, jobs.
    System,
    /// Another program of the platform.
    Service,
}

impl IdentityKind {
    /// The kind on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
            Self::Service => "service",
        }
    }
}

/// Who acts in an invocation. Given by the platform, which has authenticated it; a plugin can read it and nothing
/// else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What kind of actor.
    pub kind: IdentityKind,
    /// The platform's id for it.
    pub id: UserId,
    /// What people call it.
    pub name: String,
    /// The tenant it belongs to. An identity of one tenant can never act in another.
    pub tenant: TenantId,
    /// The names of its roles.
    pub roles: Vec<String>,
    /// A language tag such as `zh-CN`.
    pub locale: Option<String>,
    /// An IANA zone such as `Asia/Shanghai`.
    pub time_zone: Option<String>,
    /// In events and jobs: the user at the start of the chain.
    pub caused_by: Option<UserId>,
}

impl Identity {
    /// A user of a tenant without roles; set the public fields for more.
    #[must_use]
    pub fn user(tenant: TenantId, id: UserId) -> Self {
        Self {
            kind: IdentityKind::User,
            name: id.to_string(),
            id,
            tenant,
            roles: Vec::new(),
            locale: None,
            time_zone: None,
            caused_by: None,
        }
    }

    /// The host itself, acting in a tenant on behalf of `caused_by` if there was somebody.
    #[must_use]
    pub fn system(tenant: TenantId, system: UserId, caused_by: Option<UserId>) -> Self {
        Self { kind: IdentityKind::System, caused_by, ..Self::user(tenant, system) }
    }
}

/// The permissions of an identity, resolved once per invocation. Exact names (`inventory.item.update`) and patterns
/// that end in `*` (`inventory.*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionSet {
    exact: HashSet<String>,
    prefixes: Vec<String>,
}

impl PermissionSet {
    /// May do nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// May do everything.
    #[must_use]
    pub fn all() -> Self {
        ["*"].into_iter().collect()
    }

    /// Adds another set's to them.
    pub fn merge(&mut self, other: Self) {
        self.exact.extend(other.exact);
        self.prefixes.extend(other.prefixes);
    }

    /// Whether this permission is among them.
    #[must_use]
    pub fn allows(&self, permission: &str) -> bool {
        self.exact.contains(permission)
            || self.prefixes.iter().any(|prefix| permission.starts_with(prefix.as_str()))
    }
}

impl<S: AsRef<str>> FromIterator<S> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = S>>(permissions: I) -> Self {
        let mut set = Self::default();
        for permission in permissions {
            match permission.as_ref().strip_suffix('*') {
                Some(prefix) if prefix.is_empty() || prefix.ends_with('.') => {
                    set.prefixes.push(prefix.to_owned());
                }
                _ => {
                    set.exact.insert(permission.as_ref().to_owned());
                }
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_whole_segments_only() {
        let set: PermissionSet = ["inventory.item.update", "sales.*", "cr*"].into_iter().collect();
        assert!(set.allows("inventory.item.update") && set.allows("sales.order.delete"));
        for no in ["inventory.item", "inventory.item.updates", "salesx.a", "crm.lead.get"] {
            assert!(!set.allows(no), "{no}");
        }
        assert!(PermissionSet::all().allows("anything.at.all"));
        assert!(!PermissionSet::none().allows(""));
        let mut both = PermissionSet::none();
        both.merge(set);
        both.merge(["crm.lead.get"].into_iter().collect());
        assert!(both.allows("sales.order.delete") && both.allows("crm.lead.get") && !both.allows("crm.lead"));
    }
}
