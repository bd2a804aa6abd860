//! How a plugin leaves: archived, which can be taken back, and then purged, which cannot.
//!
//! An archived plugin is enabled nowhere, which every process notices within a second, and its tables lie under other names:
//! whoever did not hear of it finds none and looks again, so nothing can be written any more. Whoever is stopped half-way
//! begins again and goes on. Installing the plugin brings its tables back.

use std::collections::BTreeSet;

use erp_plugin_model::evolution::{self, Archived};
use erp_plugin_model::manifest::EntityAccess;
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{EntitySchema, ErrorCode, Field, HostError, PluginName, TenantId, UserId};
use erp_plugin_storage::{Altered, AuditEntry, ErrorKind, erase, evolve};

use crate::core::{check_plugin, is_core};
use crate::error::HostResult;
use crate::host::Inner;

/// How often a plugin is taken out of use again because somebody else brought it back meanwhile.
const MAX_ROUNDS: u32 = 10;

/// Where a plugin stands on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginState {
    /// The plugin.
    pub name: PluginName,
    /// The version that runs; `None` of one that was archived.
    pub active: Option<semver::Version>,
    /// Every version that was installed, in the order of installation.
    pub versions: Vec<semver::Version>,
    /// The tenants in which it is enabled.
    pub enabled_in: Vec<TenantId>,
    /// The tenants in which another version than the active one runs.
    pub elsewhere: Vec<(TenantId, semver::Version)>,
}

/// What was done when a plugin was archived.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchivedPlugin {
    /// The plugin.
    pub name: PluginName,
    /// The version that ran; `None` when it was archived before.
    pub version: Option<semver::Version>,
    /// The tenants in which it was enabled.
    pub disabled_in: Vec<TenantId>,
    /// All that is kept of its tables, what earlier versions left behind as well.
    pub kept: Vec<Archived>,
}

/// What was done when a plugin was purged: the only trace of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct PurgedPlugin {
    /// The plugin.
    pub name: PluginName,
    /// The tables and columns that were dropped.
    pub dropped: Vec<Archived>,
    /// How many rows it had in the system's own tables, in all tenants.
    pub rows: u64,
    /// How many versions of it were installed.
    pub versions: u64,
}

impl Inner {
    /// Every plugin that is or was installed, by name.
    pub(crate) async fn plugin_states(&self) -> HostResult<Vec<PluginState>> {
        let mut platform = self.look_at_platform().await?;
        let active = platform.active_versions().await?;
        let deviations = platform.deviations().await?;
        let mut states: Vec<PluginState> = Vec::new();
        for version in platform.versions().await?.into_iter().filter(|version| !is_core(&version.name)) {
            match states.iter_mut().find(|state| state.name == version.name) {
                Some(state) => state.versions.push(version.version),
                None => states.push(PluginState {
                    active: active.iter().find(|own| own.0 == version.name).map(|own| own.1.clone()),
                    versions: vec![version.version],
                    enabled_in: platform.enabled_in(&version.name).await?,
                    elsewhere: deviations
                        .iter()
                        .filter(|own| own.1 == version.name)
                        .map(|own| (own.0.clone(), own.2.clone()))
                        .collect(),
                    name: version.name,
                }),
            }
        }
        platform.rollback().await?;
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    /// Takes a plugin out of use in every tenant, and puts its tables aside.
    pub(crate) async fn archive_plugin(
        &self,
        by: &UserId,
        plugin: &PluginName,
    ) -> HostResult<ArchivedPlugin> {
        check_plugin(plugin)?;
        let _one_at_a_time = self.installing.lock().await;
        self.look_again().await?;
        let installed = self.catalog.get(plugin);
        if !self.is_known(plugin).await? {
            return Err(HostError::not_found(format!(
                "no plugin {plugin} is or was installed; there is nothing to archive"
            ))
            .into());
        }
        self.check_unreferenced(plugin)?;
        let disabled_in = self.take_out_of_use(by, plugin).await?;
        let mut platform = self.look_at_platform().await?;
        let kept = platform.archived(plugin).await?;
        platform.rollback().await?;
        let version = installed.map(|installed| installed.record.version.clone());
        Ok(ArchivedPlugin { name: plugin.clone(), version, disabled_in, kept })
    }

    /// Removes for good what an archived plugin has left: its tables, what it has in every tenant, and its versions.
    pub(crate) async fn purge_plugin(&self, by: &UserId, plugin: &PluginName) -> HostResult<PurgedPlugin> {
        check_plugin(plugin)?;
        let _one_at_a_time = self.installing.lock().await;
        self.look_again().await?;
        if self.catalog.get(plugin).is_some() || self.has_tables(plugin).await? {
            return Err(HostError::new(
                ErrorCode::Rejected,
                format!("{plugin} is in use; archive it first: erp-plugin plugins archive {plugin}"),
            )
            .into());
        }
        if !self.is_known(plugin).await? {
            return Err(HostError::not_found(format!(
                "no plugin {plugin} is or was installed; there is nothing to purge"
            ))
            .into());
        }
        self.check_unreferenced(plugin)?;
        self.check_unreferenced_by_archived(plugin).await?;
        let dropped = self.drop_archived(by, plugin).await?;
        let tenants = self.tenants().await?;
        let rows = erase::erase_plugin(&*self.services.storage, plugin, &tenants).await?;
        // Last: while a version is there, whoever was stopped can begin again.
        let mut platform = self.change_platform().await?;
        let versions = platform.remove_versions(plugin).await?;
        if platform.active_versions().await?.iter().any(|own| own.0 == *plugin) {
            platform.rollback().await?;
            return Err(HostError::new(
                ErrorCode::Unavailable,
                format!("{plugin} was installed while it was purged; it begins anew, and what it had before is gone"),
            )
            .into());
        }
        let detail = format!("{versions} versions, {rows} rows");
        let entry = AuditEntry {
            plugin: Some(plugin.clone()),
            detail: Some(detail),
            ..self.done(by, "plugin.purged")
        };
        platform.note_platform_audit(&entry).await?;
        platform.commit().await?;
        self.look_again().await?;
        Ok(PurgedPlugin { name: plugin.clone(), dropped, rows, versions })
    }

    async fn has_tables(&self, plugin: &PluginName) -> HostResult<bool> {
        let mut platform = self.look_at_platform().await?;
        let entities = platform.entities(plugin).await?;
        platform.rollback().await?;
        Ok(!entities.is_empty())
    }

    /// Whether it was ever installed and not purged.
    async fn is_known(&self, plugin: &PluginName) -> HostResult<bool> {
        let mut platform = self.look_at_platform().await?;
        let is_known = platform.versions().await?.iter().any(|version| version.name == *plugin)
            || !platform.archived(plugin).await?.is_empty()
            || !platform.entities(plugin).await?.is_empty();
        platform.rollback().await?;
        Ok(is_known)
    }

    /// Refuses when what another plugin left refers to an entity of this one: it would come back with references to nothing.
    async fn check_unreferenced_by_archived(&self, plugin: &PluginName) -> HostResult<()> {
        let mut needs = Vec::new();
        let mut platform = self.look_at_platform().await?;
        let names: BTreeSet<PluginName> =
            platform.versions().await?.into_iter().map(|version| version.name).collect();
        for other in names.iter().filter(|other| *other != plugin) {
            let archived = platform.archived(other).await?;
            for kept in archived.iter().filter(|kept| kept.is_entity()) {
                needs.extend(references(&kept.definition, plugin));
            }
        }
        platform.rollback().await?;
        refuse_while_needed(plugin, needs).map_err(Into::into)
    }

    /// Refuses when another plugin that runs needs an entity of this one.
    fn check_unreferenced(&self, plugin: &PluginName) -> Result<(), HostError> {
        let mut needs = Vec::new();
        for other in self.catalog.all().iter().filter(|other| other.name() != plugin) {
            needs.extend(other.declared().iter().flat_map(|entity| references(entity, plugin)));
            for (entity, access) in other.granted.entities.iter().filter(|own| own.0.plugin == *plugin) {
                let verb = match access {
                    EntityAccess::Read => "reads",
                    EntityAccess::Write => "writes",
                };
                needs.push(format!("{} {verb} {entity}", other.name()));
            }
        }
        refuse_while_needed(plugin, needs)
    }

    /// Has no version of a plugin run and none of its tables in place, also where another process installs it meanwhile.
    /// Returns the tenants in which it was enabled.
    async fn take_out_of_use(&self, by: &UserId, plugin: &PluginName) -> HostResult<Vec<TenantId>> {
        let mut disabled_in = BTreeSet::new();
        for _ in 0..MAX_ROUNDS {
            disabled_in.extend(self.disable_everywhere(by, plugin).await?);
            let mut platform = self.change_platform().await?;
            let before = platform.active_versions().await?.into_iter().find(|own| own.0 == *plugin);
            if platform.deactivate(plugin).await? {
                let entry = AuditEntry {
                    plugin: Some(plugin.clone()),
                    from: before.map(|(_, before)| before.to_string()),
                    ..self.done(by, "plugin.archived")
                };
                platform.note_platform_audit(&entry).await?;
            }
            platform.commit().await?;
            self.look_again().await?;
            self.put_tables_aside(plugin).await?;
            let mut platform = self.look_at_platform().await?;
            let is_active = platform.active_versions().await?.iter().any(|own| own.0 == *plugin);
            let has_tables = !platform.entities(plugin).await?.is_empty();
            let is_enabled = !platform.enabled_in(plugin).await?.is_empty();
            platform.rollback().await?;
            if !is_active && !has_tables && !is_enabled {
                return Ok(disabled_in.into_iter().collect());
            }
        }
        Err(HostError::new(
            ErrorCode::Unavailable,
            format!("{plugin} is installed again and again by somebody else; archive it when they are done"),
        )
        .into())
    }

    async fn disable_everywhere(&self, by: &UserId, plugin: &PluginName) -> HostResult<Vec<TenantId>> {
        let mut platform = self.look_at_platform().await?;
        let tenants = platform.enabled_in(plugin).await?;
        platform.rollback().await?;
        for tenant in &tenants {
            let _one_at_a_time = self.enabling.lock((tenant.clone(), plugin.clone())).await;
            self.stop(by, tenant, plugin, None).await?;
        }
        Ok(tenants)
    }

    async fn put_tables_aside(&self, plugin: &PluginName) -> HostResult<()> {
        let mut platform = self.look_at_platform().await?;
        let entities = platform.entities(plugin).await?;
        platform.rollback().await?;
        for step in evolution::leave(&entities) {
            match evolve::make(&*self.services.storage, &step, &[]).await {
                // What somebody else has changed is looked at in the next round.
                Ok(Altered::Done | Altered::Elsewhere | Altered::DoesNotFit) => {}
                Err(error) if error.kind == ErrorKind::SchemaChanged => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The fields of an entity that refer to an entity of a plugin.
fn references(entity: &EntitySchema, plugin: &PluginName) -> Vec<String> {
    let to_it = |field: &Field| match &field.field_type {
        FieldType::Reference { target, .. } if target.plugin == *plugin => {
            Some(format!("{}.{} refers to {target}", entity.name, field.name))
        }
        _ => None,
    };
    entity.fields().iter().filter_map(to_it).collect()
}

fn refuse_while_needed(plugin: &PluginName, mut needs: Vec<String>) -> Result<(), HostError> {
    if needs.is_empty() {
        return Ok(());
    }
    needs.sort();
    Err(HostError::new(
        ErrorCode::Rejected,
        format!(
            "others need {plugin}: {}; archive them first (to purge it, purge them), or install versions that do not",
            needs.join(", ")
        ),
    ))
}
