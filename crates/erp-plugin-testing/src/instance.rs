//! The exports in the form that `bindgen!` gives them: functions that are passed the store.

use crate::plugin::{CallOutcome, TestPlugin};

/// The exports of a loaded plugin. The plugin itself is the store that they are called with.
#[derive(Clone, Copy, Debug)]
pub struct TestInstance {
    api: PluginApi,
}

/// The exports of the interface `erp:plugin/plugin-api`.
#[derive(Clone, Copy, Debug)]
pub struct PluginApi(());

impl TestInstance {
    pub(crate) const fn new() -> Self {
        Self { api: PluginApi(()) }
    }

    /// The exports of the interface `erp:plugin/plugin-api`.
    #[must_use]
    pub fn erp_plugin_plugin_api(&self) -> &PluginApi {
        &self.api
    }
}

impl PluginApi {
    /// See [`TestPlugin::call_init`].
    pub async fn call_init(&self, store: &mut TestPlugin) -> CallOutcome {
        store.call_init().await
    }

    /// See [`TestPlugin::call_on_tenant_created`].
    pub async fn call_on_tenant_created(&self, store: &mut TestPlugin, tenant_id: &str) -> CallOutcome {
        store.call_on_tenant_created(tenant_id).await
    }

    /// See [`TestPlugin::call_handle_event`].
    pub async fn call_handle_event(
        &self,
        store: &mut TestPlugin,
        event_type: &str,
        payload: &[u8],
    ) -> CallOutcome {
        store.call_handle_event(event_type, payload).await
    }
}
