//! Host calls on configuration.

use erp_plugin_model::HostError;
use erp_plugin_model::parse::quote;

use crate::error::CallResult;
use crate::invocation::Invocation;

impl Invocation {
    /// The value of a configuration key, as JSON: the tenant's, else the default, else a granted platform key's.
    pub fn config_get(&mut self, key: &str) -> CallResult<Vec<u8>> {
        self.enter(key.len())?;
        match self.caller.config.get(key).cloned() {
            Some(value) => {
                self.budget.transfer(value.len())?;
                Ok(value)
            }
            None => Err(HostError::not_found(format!("no configuration {} is set", quote(key))).into()),
        }
    }
}
