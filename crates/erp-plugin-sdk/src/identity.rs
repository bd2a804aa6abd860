//! Who acts, and what they may do.

use serde::Deserialize;

use crate::bindings::erp::plugin::host_api;
use crate::{Error, Result};

/// Who this call acts for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// A person, the system itself, or another service.
    pub kind: UserKind,
    /// The platform's own id.
    pub id: String,
    /// For display.
    #[serde(default)]
    pub name: Option<String>,
    /// The tenant that this call runs in.
    pub tenant_id: String,
    /// The platform's role names. To decide what is allowed, ask [`has_permission`] instead.
    #[serde(default)]
    pub roles: Vec<String>,
    /// BCP 47, such as `zh-CN`.
    #[serde(default)]
    pub locale: Option<String>,
    /// IANA, such as `Asia/Shanghai`.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// In events and jobs, where the system acts: whoever stands at the start of the chain.
    #[serde(default)]
    pub caused_by: Option<String>,
}

/// What kind of identity acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UserKind {
    /// A person.
    User,
    /// The platform itself: events, jobs, lifecycle calls.
    System,
    /// Another program.
    Service,
    /// A kind that is newer than this SDK.
    #[serde(other)]
    Unknown,
}

/// Who this call acts for.
pub fn current_user() -> Result<User> {
    let user = host_api::current_user().map_err(Error::from_wire)?;
    parse_user(&user)
}

/// Whether whoever acts has this permission, such as `inventory.item.update`. An unknown one is `false`.
pub fn has_permission(permission: &str) -> Result<bool> {
    host_api::check_permission(permission).map_err(Error::from_wire)
}

fn parse_user(json: &[u8]) -> Result<User> {
    serde_json::from_slice(json).map_err(|error| Error::internal(format!("the host's current user: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_with_what_the_host_leaves_out() {
        let user =
            parse_user(br#"{"kind":"user","id":"u1","tenant_id":"northwind","roles":["clerk"]}"#).unwrap();
        assert_eq!(user.kind, UserKind::User);
        assert_eq!((user.id.as_str(), user.tenant_id.as_str()), ("u1", "northwind"));
        assert_eq!(user.roles, ["clerk"]);
        assert_eq!(user.caused_by, None);
    }

    #[test]
    fn a_kind_and_a_key_from_a_newer_host_are_no_error() {
        let user = parse_user(br#"{"kind":"robot","id":"r1","tenant_id":"t","mood":"fine"}"#).unwrap();
        assert_eq!(user.kind, UserKind::Unknown);
    }
}
