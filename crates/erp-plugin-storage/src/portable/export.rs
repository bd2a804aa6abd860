//! Out of a database.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use erp_plugin_model::evolution::Archived;
use erp_plugin_model::{EntitySchema, FieldType, PluginName, TenantId, Value};
use uuid::Uuid;

use super::contents::{Contents, EntityOf, FORMAT, PluginOf, TenantOf, VERSION};
use super::error::PortableError;
use super::folder::Writer;
use super::json;
use crate::copy::{PAGE, reading, scope, tables, tenant_scope};
use crate::transfer::{Column, TenantTable, TenantTransfer, Transfer};
use crate::{ErrorKind, StorageError};

/// Exports everything of a tenant, as it is in this moment, into a folder that is not there yet. Others go on meanwhile.
/// Files are written by the calling task. `progress` is told of every page: the table, and how many rows.
pub async fn export_tenant(
    storage: &dyn Transfer,
    tenant: &TenantId,
    at: DateTime<Utc>,
    folder: &Path,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Contents, PortableError> {
    let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
    let tenants = platform.tenants_with_times().await?;
    let suspended = platform.suspended_tenants().await?.contains(tenant);
    let active = platform.active_versions().await?;
    let entities = platform.entity_tables().await?;
    platform.rollback().await?;
    let created_at = tenants.iter().find(|own| own.0 == *tenant).map(|own| own.1);
    let created_at = created_at
        .ok_or_else(|| PortableError::not_found(format!("no tenant {tenant}; there is nothing to export")))?;
    let schemas = entities.iter().map(|table| table.schema().map_err(unreadable));
    let schemas = schemas.collect::<Result<Vec<EntitySchema>, _>>()?;

    let mut writer = Writer::create(folder)?;
    let mut own = storage.begin_transfer(&tenant_scope(tenant), reading()).await?;
    let mut in_use = BTreeSet::new();
    for table in tables(&schemas) {
        let file = format!("{}.jsonl", table.name().replace(' ', "-"));
        let rows = write(&mut *own, (table, &file), Part::All, &schemas, &mut writer, progress).await?;
        if let (TenantTable::Records(schema), true) = (table, rows > 0) {
            in_use.insert(schema.name.to_string());
        }
    }
    // One whose records are all gone may have a series that goes on.
    for series in own.export(TenantTable::NumberSeries, None, u32::MAX).await? {
        if let Some(Value::Text(entity)) = series.into_iter().next() {
            in_use.insert(entity);
        }
    }
    let plugins = plugins_of(&mut *own, &active).await?;
    own.rollback(None).await?;
    writer.finish(|files| Contents {
        format: FORMAT.to_owned(),
        version: VERSION,
        exported_at: at.to_rfc3339(),
        tenant: Some(TenantOf { id: tenant.to_string(), created_at: created_at.to_rfc3339(), suspended }),
        plugins,
        entities: schemas
            .iter()
            .filter(|own| in_use.contains(&own.name.to_string()))
            .map(entity_of)
            .collect(),
        files,
    })
}

/// Exports what an archived plugin has left in every tenant: the records of its entities, deleted ones as well, with their
/// history, its configuration and number series.
pub async fn export_plugin(
    storage: &dyn Transfer,
    plugin: &PluginName,
    at: DateTime<Utc>,
    folder: &Path,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<Contents, PortableError> {
    let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
    let is_active = platform.active_versions().await?.iter().any(|own| own.0 == *plugin);
    let has_tables = !platform.entities(plugin).await?.is_empty();
    let archived = platform.archived(plugin).await?;
    let versions = platform.versions().await?;
    let tenants = platform.tenants().await?;
    platform.rollback().await?;
    let ran = archived.iter().rev().find_map(|kept| kept.version.clone());
    let installed = || versions.iter().rev().find(|own| own.name == *plugin).map(|own| own.version.clone());
    let last = ran.or_else(installed).map(|version| version.to_string());
    if is_active || has_tables || (last.is_none() && archived.is_empty()) {
        return Err(PortableError::not_found(format!("{plugin} is not archived; archive it first")));
    }
    let archived: Vec<Archived> = archived.into_iter().filter(Archived::is_entity).collect();
    let schemas: Vec<EntitySchema> = archived.iter().rev().map(|kept| kept.definition.clone()).collect();

    let mut writer = Writer::create(folder)?;
    for tenant in &tenants {
        let mut own = storage.begin_transfer(&tenant_scope(tenant), reading()).await?;
        for kept in &archived {
            let table = TenantTable::Archived(kept);
            // Its entity's name, unless an earlier version left one of that name behind as well.
            let is_last = archived.iter().rev().find(|own| own.entity == kept.entity) == Some(kept);
            let name = if is_last { kept.entity.to_string() } else { table.name() };
            let file = format!("{tenant}/{name}.jsonl");
            write(&mut *own, (table, &file), Part::All, &schemas, &mut writer, progress).await?;
        }
        let prefix = format!("{plugin}.");
        for (table, part) in [
            (TenantTable::Config, Part::Of(plugin.as_str())),
            (TenantTable::NumberSeries, Part::Beginning(&prefix)),
            (TenantTable::History, Part::Beginning(&prefix)),
        ] {
            let file = format!("{tenant}/{}.jsonl", table.name().replace(' ', "-"));
            write(&mut *own, (table, &file), part, &schemas, &mut writer, progress).await?;
        }
        own.rollback(None).await?;
    }
    writer.finish(|files| Contents {
        format: FORMAT.to_owned(),
        version: VERSION,
        exported_at: at.to_rfc3339(),
        tenant: None,
        plugins: vec![PluginOf { name: plugin.to_string(), version: last }],
        entities: archived.iter().map(|kept| entity_of(&kept.definition)).collect(),
        files,
    })
}

/// Which rows of a table.
#[derive(Clone, Copy)]
enum Part<'a> {
    All,
    /// Those whose first value this is.
    Of(&'a str),
    /// Those whose first value begins so.
    Beginning(&'a str),
}

impl Part<'_> {
    /// The key before the first of them.
    fn before(self, table: TenantTable<'_>) -> Option<Vec<Value>> {
        let (Self::Of(first) | Self::Beginning(first)) = self else { return None };
        let least = |column: Column| match column.field_type {
            FieldType::Uuid => Value::Uuid(Uuid::nil()),
            FieldType::Integer => Value::Integer(i64::MIN),
            _ => Value::Text(String::new()),
        };
        let rest = table.columns().into_iter().take(table.key()).skip(1).map(least);
        Some([Value::Text(first.to_owned())].into_iter().chain(rest).collect())
    }

    fn has(self, row: &[Value]) -> bool {
        match (self, row.first()) {
            (Self::All, _) => true,
            (Self::Of(own), Some(Value::Text(first))) => first == own,
            (Self::Beginning(own), Some(Value::Text(first))) => first.starts_with(own),
            (Self::Of(_) | Self::Beginning(_), _) => false,
        }
    }
}

async fn write(
    own: &mut dyn TenantTransfer,
    (table, file): (TenantTable<'_>, &str),
    part: Part<'_>,
    schemas: &[EntitySchema],
    writer: &mut Writer,
    progress: &mut (dyn FnMut(&str, u64) + Send),
) -> Result<u64, PortableError> {
    let (columns, name) = (json::columns(table), table.name());
    let (mut last, mut written) = (part.before(table), 0);
    loop {
        let mut rows = own.export(table, last.as_deref(), PAGE).await?;
        let Some(end) = rows.last() else { return Ok(written) };
        let goes_on = part.has(end);
        last = Some(end.iter().take(table.key()).cloned().collect());
        if matches!(table, TenantTable::NumberSeries) {
            rows.iter_mut().for_each(|series| json::name_field(series, schemas));
        }
        let before = written;
        for row in rows.iter().take_while(|row| part.has(row)) {
            writer.line(file, &name, &json::write(&columns, row))?;
            written += 1;
        }
        progress(&name, written - before);
        if !goes_on {
            return Ok(written);
        }
    }
}

/// The plugins that stand somewhere in the tenant.
async fn plugins_of(
    own: &mut dyn TenantTransfer,
    active: &[(PluginName, semver::Version)],
) -> Result<Vec<PluginOf>, PortableError> {
    let rows = own.export(TenantTable::Activations, None, u32::MAX).await?;
    let plugin = |row: &Vec<Value>| match row.first() {
        Some(Value::Text(name)) => {
            let version = active.iter().find(|own| own.0.as_str() == name).map(|own| own.1.to_string());
            Some(PluginOf { name: name.clone(), version })
        }
        _ => None,
    };
    Ok(rows.iter().filter_map(plugin).collect())
}

fn entity_of(schema: &EntitySchema) -> EntityOf {
    let definition = (!schema.is_dynamic()).then(|| schema.to_definition());
    EntityOf {
        name: schema.name.to_string(),
        definition: definition.and_then(|text| serde_json::from_str(&text).ok()),
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::with_source(ErrorKind::Corrupt, "entity definition", error)
}
