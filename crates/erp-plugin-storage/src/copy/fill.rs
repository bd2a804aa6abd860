//! The writing: a page, a commit, the next page.

use erp_plugin_model::{EntitySchema, TenantId};

use super::compare::Reached;
use super::contents::Contents;
use super::error::CopyError;
use super::{PAGE, Position, Progress, Step, making, reading, scope, tables, tenant_scope, writing};
use crate::TenantState;
use crate::transfer::{TenantTable, Transfer};

/// What belongs to no tenant: first plugins, configuration and tables, then the tenants themselves.
pub(super) async fn contents(
    (source, contents): (&dyn Transfer, &Contents),
    (target, held): (&dyn Transfer, &Contents),
    schemas: &[EntitySchema],
) -> Result<(), CopyError> {
    for version in contents.versions.iter().skip(held.versions.len()) {
        let mut from = source.begin_platform_transfer(scope(), reading()).await.map_err(CopyError::Source)?;
        let component = from.component(&version.component).await.map_err(CopyError::Source)?;
        from.rollback().await.map_err(CopyError::Source)?;
        let component = component.ok_or_else(|| CopyError::NoComponent {
            version: format!("{} {}", version.name, version.version),
        })?;
        let added = async {
            let mut to = target.begin_platform_transfer(scope(), writing()).await?;
            to.put_component(&version.component, &component).await?;
            to.add_version(version).await?;
            to.commit().await
        };
        added.await.map_err(CopyError::Target)?;
    }
    let made = async {
        let mut to = target.begin_platform_transfer(scope(), making()).await?;
        for schema in schemas.iter().filter(|schema| !held.has(schema)) {
            let as_wanted = if schema.is_dynamic() {
                to.create_dynamic_entity(&schema.name).await?
            } else {
                to.create_entity(schema).await?
            };
            if !as_wanted {
                return Ok(Some(schema.name.clone()));
            }
        }
        to.commit().await?;
        Ok(None)
    };
    if let Some(entity) = made.await.map_err(CopyError::Target)? {
        return Err(CopyError::TargetDiffers { tenant: None, what: format!("the table of {entity}") });
    }
    let small = async {
        let mut to = target.begin_platform_transfer(scope(), writing()).await?;
        for (plugin, version) in contents.active.iter().filter(|own| !held.active.contains(own)) {
            to.activate(plugin, version).await?;
        }
        for (key, value) in contents.config.iter().filter(|own| !held.config.contains(own)) {
            to.set_system_config(key, Some(value)).await?;
        }
        for (subscriber, pattern) in &contents.subscriptions {
            to.subscribe(subscriber, pattern).await?;
        }
        for entry in contents.audit.iter().filter(|own| !held.audit.contains(own)) {
            to.note_platform_audit(entry).await?;
        }
        for (tenant, at) in contents.tenants.iter().filter(|own| !held.tenants.contains(own)) {
            to.create_tenant(tenant, *at).await?;
        }
        for tenant in &contents.suspended {
            to.set_tenant_state(tenant, TenantState::Suspended).await?;
        }
        to.set_last_turn(&contents.last_turn).await?;
        to.commit().await
    };
    small.await.map_err(CopyError::Target)
}

/// What belongs to the tenants, from where the target ends: the unnumbered events last, after everybody's numbered ones.
pub(super) async fn tenants(
    (source, contents): (&dyn Transfer, &Contents),
    target: &dyn Transfer,
    schemas: &[EntitySchema],
    reached: &Reached,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), CopyError> {
    for unnumbered in [false, true] {
        for (tenant, _) in &contents.tenants {
            let of_this_round = tables(schemas)
                .enumerate()
                .filter(|(_, table)| matches!(table, TenantTable::UnnumberedEvents) == unnumbered);
            tables_of(source, target, tenant, of_this_round, reached, progress).await?;
        }
    }
    Ok(())
}

async fn tables_of<'e>(
    source: &dyn Transfer,
    target: &dyn Transfer,
    tenant: &TenantId,
    tables: impl Iterator<Item = (usize, TenantTable<'e>)>,
    reached: &Reached,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<(), CopyError> {
    let scope = tenant_scope(tenant);
    let mut from = source.begin_transfer(&scope, reading()).await.map_err(CopyError::Source)?;
    for (number, table) in tables {
        let mut last = reached.get(&Position { tenant: tenant.clone(), table: number }).cloned();
        loop {
            let rows = from.export(table, last.as_deref(), PAGE).await.map_err(CopyError::Source)?;
            let Some(end) = rows.last() else { break };
            last = Some(end.iter().take(table.key()).cloned().collect());
            let page = async {
                let mut to = target.begin_transfer(&scope, making()).await?;
                to.import(table, &rows).await?;
                to.commit(None).await
            };
            page.await.map_err(CopyError::Target)?;
            progress(Progress {
                step: Step::Copied,
                tenant: Some(tenant.clone()),
                table: table.name(),
                rows: rows.len() as u64,
            });
        }
    }
    from.rollback(None).await.map_err(CopyError::Source)
}
