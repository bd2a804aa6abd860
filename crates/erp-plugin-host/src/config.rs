//! Configuration of plugins and of the platform.

use erp_plugin_model::parse::quote;
use erp_plugin_model::{HostError, PluginName, TenantId, UserId};
use erp_plugin_storage::AuditEntry;
use serde_json::Value as Json;

use crate::error::HostResult;
use crate::host::Inner;

/// The longest configuration key, in bytes.
const MAX_KEY: usize = 100;
/// The most bytes of a value's JSON: every call of the plugin has all values at hand.
const MAX_VALUE: usize = 64 << 10;

impl Inner {
    pub(crate) async fn set_config(
        &self,
        by: &UserId,
        tenant: &TenantId,
        plugin: &PluginName,
        key: &str,
        value: Option<Json>,
    ) -> HostResult<()> {
        self.check_open(tenant).await?;
        let active = self.active(tenant, plugin).await?;
        check_key(key)?;
        if let Some(manifest) = &active.plugin.manifest {
            let Some(declared) = manifest.config.get(key) else {
                let known: Vec<&str> = manifest.config.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(HostError::invalid(format!(
                    "{plugin} has no configuration {}; it has: {known}",
                    quote(key)
                ))
                .into());
            };
            if let Some(value) = &value
                && !declared.value_type.accepts(value)
            {
                // A secret's value is not repeated.
                return Err(HostError::invalid(format!(
                    "configuration {key} of {plugin} must be a {}",
                    declared.value_type.as_str()
                ))
                .into());
            }
        }
        let text = text(key, value)?;
        let mut own = self.change(tenant).await?;
        own.set_config(plugin, key, text.as_deref()).await?;
        let entry = AuditEntry {
            plugin: Some(plugin.clone()),
            detail: Some(changed(key, text.is_some())),
            ..self.done(by, "plugin.configured")
        };
        own.note_audit(&entry).await?;
        own.commit(None).await?;
        self.activations.forget(tenant, plugin);
        Ok(())
    }

    pub(crate) async fn set_system_config(
        &self,
        by: &UserId,
        key: &str,
        value: Option<Json>,
    ) -> HostResult<()> {
        check_key(key)?;
        if !key.starts_with("system.") {
            return Err(
                HostError::invalid(format!("platform key {} must begin with `system.`", quote(key))).into()
            );
        }
        let text = text(key, value)?;
        let mut platform = self.change_platform().await?;
        platform.set_system_config(key, text.as_deref()).await?;
        let detail = Some(changed(key, text.is_some()));
        platform.note_platform_audit(&AuditEntry { detail, ..self.done(by, "system.configured") }).await?;
        platform.commit().await?;
        self.activations.forget_all();
        Ok(())
    }
}

/// What the audit trail says of a value: it may be secret.
fn changed(key: &str, is_set: bool) -> String {
    format!("{key} {}", if is_set { "set" } else { "taken away" })
}

/// A value as it is kept.
fn text(key: &str, value: Option<Json>) -> Result<Option<String>, HostError> {
    let text = value.map(|value| value.to_string());
    if let Some(length) = text.as_ref().map(String::len)
        && length > MAX_VALUE
    {
        return Err(HostError::invalid(format!(
            "configuration {key} has {length} bytes of JSON, {MAX_VALUE} are allowed; keep it in a record"
        )));
    }
    Ok(text)
}

fn check_key(key: &str) -> Result<(), HostError> {
    let valid = (1..=MAX_KEY).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if valid {
        return Ok(());
    }
    Err(HostError::invalid(format!(
        "configuration key {} must be 1 to {MAX_KEY} of A-Z a-z 0-9 . _ -",
        quote(key)
    )))
}
