//! What a database holds that belongs to no tenant, and the schemas of its entities.

use chrono::{DateTime, Utc};
use erp_plugin_model::event::EventPattern;
use erp_plugin_model::{EntitySchema, PluginName, TenantId};

use super::error::CopyError;
use super::{reading, scope};
use crate::transfer::{EntityTable, Transfer};
use crate::{AuditEntry, AuditQuery, AuditScope, PluginVersion, StorageResult};

/// All but the components, which are large.
pub(super) struct Contents {
    pub(super) tenants: Vec<(TenantId, DateTime<Utc>)>,
    pub(super) suspended: Vec<TenantId>,
    pub(super) versions: Vec<PluginVersion>,
    pub(super) active: Vec<(PluginName, semver::Version)>,
    pub(super) config: Vec<(String, String)>,
    /// What the platform's own subscribers subscribe to.
    pub(super) subscriptions: Vec<(PluginName, EventPattern)>,
    pub(super) tables: Vec<EntityTable>,
    /// What was done to the platform, the newest first.
    pub(super) audit: Vec<AuditEntry>,
    pub(super) last_turn: String,
}

impl Contents {
    pub(super) async fn of(storage: &dyn Transfer) -> StorageResult<Self> {
        let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
        let contents = Self {
            tenants: platform.tenants_with_times().await?,
            suspended: platform.suspended_tenants().await?,
            versions: platform.versions().await?,
            active: platform.active_versions().await?,
            config: platform.system_config().await?,
            subscriptions: platform.subscriptions().await?,
            tables: platform.entity_tables().await?,
            audit: platform
                .audit(AuditQuery {
                    scope: AuditScope::Platform,
                    plugin: None,
                    before: None,
                    limit: u32::MAX,
                })
                .await?,
            last_turn: platform.last_turn().await?,
        };
        platform.rollback().await?;
        Ok(contents)
    }

    /// Whether it has this table, made from the same.
    pub(super) fn has(&self, schema: &EntitySchema) -> bool {
        self.tables.iter().any(|table| {
            table.name == schema.name
                && table.dynamic == schema.is_dynamic()
                && table.definition == definition(schema)
        })
    }

    /// The schema of each table.
    pub(super) fn schemas(&self) -> Result<Vec<EntitySchema>, CopyError> {
        let read = |table: &EntityTable| {
            table.schema().map_err(|error| CopyError::Schema { entity: table.name.clone(), source: error })
        };
        self.tables.iter().map(read).collect()
    }
}

fn definition(schema: &EntitySchema) -> String {
    if schema.is_dynamic() { String::new() } else { schema.to_definition() }
}
