//! Host calls on who acts.

use serde_json::json;

use crate::error::CallResult;
use crate::invocation::Invocation;

impl Invocation {
    /// Who acts: `{"kind","id","name","tenant_id","roles","locale","time_zone","caused_by"?}`.
    pub fn current_user(&mut self) -> CallResult<Vec<u8>> {
        self.enter(0)?;
        let json = match &self.current_user {
            Some(json) => json.clone(),
            None => {
                let identity = &*self.identity;
                let mut value = json!({
                    "kind": identity.kind.as_str(),
                    "id": identity.id.as_str(),
                    "name": identity.name,
                    "tenant_id": identity.tenant.as_str(),
                    "roles": identity.roles,
                    "locale": identity.locale,
                    "time_zone": identity.time_zone,
                });
                if let (Some(user), Some(object)) = (&identity.caused_by, value.as_object_mut()) {
                    object.insert("caused_by".to_owned(), json!(user.as_str()));
                }
                let json = value.to_string().into_bytes();
                self.current_user.insert(json).clone()
            }
        };
        self.budget.transfer(json.len())?;
        Ok(json)
    }

    /// Whether whoever acts has a permission. One that nobody knows is nobody's.
    pub fn check_permission(&mut self, permission: &str) -> CallResult<bool> {
        self.enter(permission.len())?;
        Ok(self.permissions.allows(permission))
    }
}
