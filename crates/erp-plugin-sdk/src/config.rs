//! Configuration: what this tenant set for this plugin, else the manifest's default.

use serde::de::DeserializeOwned;

use crate::bindings::erp::plugin::host_api;
use crate::{Error, ErrorCode, Result};

/// Reads a value; `None` where neither the tenant nor the manifest gives one. Keys that begin with `system.` are
/// the platform's and must be granted.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    match host_api::config_get(key).map_err(Error::from_wire) {
        Ok(value) => serde_json::from_slice(&value)
            .map(Some)
            .map_err(|error| Error::invalid_input(format!("configuration `{key}`: {error}"))),
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
