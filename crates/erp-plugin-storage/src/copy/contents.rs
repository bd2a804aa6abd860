//! What a database holds that belongs to no tenant, and the schemas of its entities.

use chrono::{DateTime, Utc};
use erp_plugin_model::{EntitySchema, TenantId, manifest::Manifest};

use super::error::CopyError;
use super::{reading, scope};
use crate::layout::layout;
use crate::transfer::{EntityTable, Transfer};
use crate::{PluginVersion, StorageResult};

/// All but the components, which are large.
pub(super) struct Contents {
    pub(super) tenants: Vec<(TenantId, DateTime<Utc>)>,
    pub(super) versions: Vec<PluginVersion>,
    pub(super) config: Vec<(String, String)>,
    pub(super) tables: Vec<EntityTable>,
    pub(super) last_turn: String,
}

impl Contents {
    pub(super) async fn of(storage: &dyn Transfer) -> StorageResult<Self> {
        let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
        let contents = Self {
            tenants: platform.tenants_with_times().await?,
            versions: platform.versions().await?,
            config: platform.system_config().await?,
            tables: platform.entity_tables().await?,
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
                && table.layout == layout(schema)
        })
    }

    /// The schema of each table: of a declared entity the one that its table was made from, in the newest version that
    /// has it.
    pub(super) fn schemas(&self) -> Result<Vec<EntitySchema>, CopyError> {
        self.tables
            .iter()
            .map(|table| {
                if table.dynamic {
                    return Ok(EntitySchema::dynamic(table.name.clone()));
                }
                self.declared(table).ok_or_else(|| CopyError::NoSchema { entity: table.name.clone() })
            })
            .collect()
    }

    fn declared(&self, table: &EntityTable) -> Option<EntitySchema> {
        self.versions
            .iter()
            .rev()
            .filter(|version| version.name == table.name.plugin)
            // A manifest that only an older or newer release could read declares nothing here.
            .filter_map(|version| Manifest::from_json(version.manifest.as_deref()?).ok())
            .flat_map(|manifest| manifest.entities)
            .find(|schema| schema.name == table.name && layout(schema) == table.layout)
    }
}
