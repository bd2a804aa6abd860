//! Installed plugins, and in which tenants they are enabled with what configuration.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::EventPattern;
use erp_plugin_model::{PluginName, TenantId};

use crate::StorageResult;

/// An installed version of a plugin. Nothing of it changes but what it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginVersion {
    /// The plugin.
    pub name: PluginName,
    /// Its version.
    pub version: semver::Version,
    /// SHA-256 of its component.
    pub component: [u8; 32],
    /// The manifest as canonical JSON; `None` for a bare component.
    pub manifest: Option<Vec<u8>>,
    /// What the operator granted, as the JSON of the manifest's `[capabilities]`.
    pub granted: Vec<u8>,
    /// When it was installed.
    pub installed_at: DateTime<Utc>,
}

/// Which events of a tenant a plugin gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Those that match.
    pub pattern: EventPattern,
    /// Whether also those that it published itself.
    pub own_events: bool,
    /// The field of the payload that has the stream's key; `None` for the event's own key.
    pub key: Option<String>,
}

/// Where a plugin stands in a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationState {
    /// The plugin.
    pub plugin: PluginName,
    /// The version whose `init` was committed here.
    pub version: semver::Version,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether `on-tenant-created` was committed here.
    pub tenant_told: bool,
    /// Whether the version was chosen for this tenant alone: enabling the plugin keeps it, whichever one is active.
    pub pinned: bool,
    /// That it was taken out here.
    pub quarantine: Option<Quarantine>,
}

impl ActivationState {
    /// That a plugin is enabled at a version, as it is where nothing special happened.
    #[must_use]
    pub fn enabled(plugin: PluginName, version: semver::Version) -> Self {
        Self { plugin, version, enabled: true, tenant_told: true, pinned: false, quarantine: None }
    }
}

/// A plugin is out of use in a tenant because it kept failing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it may be tried again.
    pub until: DateTime<Utc>,
    /// How often in a row it was taken out.
    pub times: u32,
    /// What it failed with the last time.
    pub error: String,
}

/// What an invocation can change about its own plugin in the transaction's tenant: the lifecycle marks commit with
/// what the lifecycle call did.
#[async_trait]
pub trait Activation: Send {
    /// Where a plugin stands in this tenant; `None` if it never was enabled here.
    ///
    /// Held by `registry::a_plugin_is_enabled_per_tenant`.
    async fn activation(&mut self, plugin: &PluginName) -> StorageResult<Option<ActivationState>>;

    /// Has this transaction be committed only if a plugin is enabled in this tenant at a version: if it is not, this or
    /// the commit fails with [`ErrorKind::SchemaChanged`](crate::ErrorKind::SchemaChanged), and nothing is kept. Asked
    /// once, after whatever this transaction sets of the plugin itself.
    ///
    /// Held by `registry::what_a_version_wrote_is_kept_only_where_it_runs`.
    async fn require_version(&mut self, plugin: &PluginName, version: &str) -> StorageResult<()>;

    /// Sets where a plugin stands, and replaces its subscriptions.
    ///
    /// Held by `registry::a_plugin_is_enabled_per_tenant`, `registry::lifecycle_marks_go_with_a_rollback`,
    /// `dispatch::subscriptions_count_as_they_stand_when_the_event_is_numbered`.
    async fn set_activation(
        &mut self,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()>;

    /// Takes a plugin out of use, or extends or ends that, if its quarantine still ends at this moment (`None`: if it is in
    /// none). Returns whether it was so: of several who try it, one does.
    ///
    /// Held by `registry::a_quarantine_is_changed_by_one`, `dispatch::what_is_in_quarantine_waits_until_it_may_be_tried`.
    async fn set_quarantine(
        &mut self,
        plugin: &PluginName,
        until: Option<DateTime<Utc>>,
        quarantine: Option<&Quarantine>,
    ) -> StorageResult<bool>;

    /// This tenant's values of a plugin's configuration: key and JSON text.
    ///
    /// Held by `registry::configuration_is_set_replaced_and_taken_away`,
    /// `tenants::configuration_activation_journal_and_events_are_the_tenants_own`.
    async fn config(&mut self, plugin: &PluginName) -> StorageResult<Vec<(String, String)>>;

    /// Sets a value of a plugin's configuration to a JSON text, or takes it away.
    ///
    /// Held by `registry::configuration_is_set_replaced_and_taken_away`.
    async fn set_config(&mut self, plugin: &PluginName, key: &str, value: Option<&str>) -> StorageResult<()>;
}

/// Plugins as the platform sees them.
#[async_trait]
pub trait Registry: Send {
    /// Keeps a component under its hash; keeping it again changes nothing.
    ///
    /// Held by `registry::a_component_comes_back_by_its_hash`.
    async fn put_component(&mut self, hash: &[u8; 32], bytes: &[u8]) -> StorageResult<()>;

    /// The component with this hash.
    ///
    /// Held by `registry::a_component_comes_back_by_its_hash`.
    async fn component(&mut self, hash: &[u8; 32]) -> StorageResult<Option<Vec<u8>>>;

    /// Adds a version of a plugin, and returns whether it was new.
    ///
    /// Held by `registry::a_version_is_new_once_and_never_changes`.
    async fn add_version(&mut self, version: &PluginVersion) -> StorageResult<bool>;

    /// Grants a version other rights than it had, and returns whether it is installed.
    ///
    /// Held by `registry::rights_of_a_version_can_be_granted_anew`.
    async fn set_granted(
        &mut self,
        plugin: &PluginName,
        version: &semver::Version,
        granted: &[u8],
    ) -> StorageResult<bool>;

    /// Makes an installed version the one that runs.
    ///
    /// Held by `registry::one_version_of_a_plugin_is_active`.
    async fn activate(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()>;

    /// Has no version of a plugin run, and returns whether one did. Its versions stay.
    ///
    /// Held by `registry::one_version_of_a_plugin_is_active`.
    async fn deactivate(&mut self, plugin: &PluginName) -> StorageResult<bool>;

    /// The version of each plugin that runs, by the plugins' names.
    ///
    /// Held by `registry::one_version_of_a_plugin_is_active`.
    async fn active_versions(&mut self) -> StorageResult<Vec<(PluginName, semver::Version)>>;

    /// Every installed version, in the order of installation.
    ///
    /// Held by `registry::versions_are_listed_in_the_order_of_installation`.
    async fn versions(&mut self) -> StorageResult<Vec<PluginVersion>>;

    /// Removes every version of a plugin, with the components that no other plugin's has; returns how many versions there
    /// were.
    ///
    /// Held by `registry::the_versions_of_a_plugin_go_together`.
    async fn remove_versions(&mut self, plugin: &PluginName) -> StorageResult<u64>;

    /// The tenants in which a plugin is enabled, by id.
    ///
    /// Held by `registry::a_plugin_is_enabled_per_tenant`.
    async fn enabled_in(&mut self, plugin: &PluginName) -> StorageResult<Vec<TenantId>>;

    /// Where a plugin is enabled, or pinned, at another version than the one that is active, by tenant and plugin.
    ///
    /// Held by `registry::other_versions_are_told_where_they_run`.
    async fn deviations(&mut self) -> StorageResult<Vec<(TenantId, PluginName, semver::Version)>>;

    /// Another text whenever what is installed may have changed: rights, the version that is active, tables, dynamic
    /// entities, or what was [noted](Self::note_change).
    ///
    /// Held by `registry::another_revision_tells_of_every_change`.
    async fn revision(&mut self) -> StorageResult<String>;

    /// Has the others look again: tenants went to another version.
    ///
    /// Held by `registry::another_revision_tells_of_every_change`.
    async fn note_change(&mut self) -> StorageResult<()>;

    /// The platform's own configuration (`system.*`): key and JSON text.
    ///
    /// Held by `registry::the_platforms_configuration_is_one`.
    async fn system_config(&mut self) -> StorageResult<Vec<(String, String)>>;

    /// Sets a value of the platform's own configuration, or takes it away.
    ///
    /// Held by `registry::the_platforms_configuration_is_one`.
    async fn set_system_config(&mut self, key: &str, value: Option<&str>) -> StorageResult<()>;
}
