//! Before anything is written: whether what the target holds is the beginning of what the source holds.
//!
//! A copy that was cut short has left rows from the first on, in the order of their keys. Whatever else is there is
//! somebody's, and is left alone.

use std::collections::HashMap;

use erp_plugin_model::{EntitySchema, TenantId, Value};

use super::contents::Contents;
use super::error::CopyError;
use super::{PAGE, Position, Progress, Step, reading, tables, tenant_scope};
use crate::transfer::{TenantTable, TenantTransfer, Transfer};

/// Up to which key each table of each tenant is there already.
pub(super) type Reached = HashMap<Position, Vec<Value>>;

/// Refuses a target whose own tables hold what the source's do not.
pub(super) fn contents(source: &Contents, target: &Contents) -> Result<(), CopyError> {
    for own in &target.tenants {
        if !source.tenants.contains(own) {
            return Err(differs(format!("the tenant {}", own.0)));
        }
    }
    for (position, version) in target.versions.iter().enumerate() {
        if source.versions.get(position) != Some(version) {
            let what = format!("{} {} as installed plugin {}", version.name, version.version, position + 1);
            return Err(differs(what));
        }
    }
    for own in &target.active {
        if !source.active.contains(own) {
            return Err(differs(format!("{} {} as the version that runs", own.0, own.1)));
        }
    }
    for own in &target.config {
        if !source.config.contains(own) {
            return Err(differs(format!("the configuration {}", own.0)));
        }
    }
    for own in &target.subscriptions {
        if !source.subscriptions.contains(own) {
            return Err(differs(format!("the subscription of {} to {}", own.0, own.1.as_str())));
        }
    }
    for own in &target.audit {
        if !source.audit.contains(own) {
            return Err(differs(format!("{} of {} in the audit trail", own.action, own.at)));
        }
    }
    for own in &target.tables {
        if !source.tables.contains(own) {
            return Err(differs(format!("the table of {}", own.name)));
        }
    }
    Ok(())
}

/// Compares what the target holds of every tenant.
pub(super) async fn tenants(
    (source, contents): (&dyn Transfer, &Contents),
    (target, held): (&dyn Transfer, &Contents),
    schemas: &[EntitySchema],
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Reached, CopyError> {
    let mut reached = Reached::new();
    for (tenant, _) in &contents.tenants {
        let scope = tenant_scope(tenant);
        let mut from = source.begin_transfer(&scope, reading()).await.map_err(CopyError::Source)?;
        let mut to = target.begin_transfer(&scope, reading()).await.map_err(CopyError::Target)?;
        for (number, table) in tables(schemas).enumerate() {
            if matches!(table, TenantTable::Records(schema) if !held.has(schema)) {
                continue;
            }
            let (rows, last) = common(&mut *from, &mut *to, table, tenant).await?;
            progress(Progress {
                step: Step::Compared,
                tenant: Some(tenant.clone()),
                table: table.name(),
                rows,
            });
            if let Some(last) = last {
                reached.insert(Position { tenant: tenant.clone(), table: number }, last);
            }
        }
        from.rollback(None).await.map_err(CopyError::Source)?;
        to.rollback(None).await.map_err(CopyError::Target)?;
    }
    Ok(reached)
}

/// How many rows of a table both have, from the first on, and the last key of these.
async fn common(
    source: &mut dyn TenantTransfer,
    target: &mut dyn TenantTransfer,
    table: TenantTable<'_>,
    tenant: &TenantId,
) -> Result<(u64, Option<Vec<Value>>), CopyError> {
    let (mut rows, mut last): (u64, Option<Vec<Value>>) = (0, None);
    loop {
        let own = target.export(table, last.as_deref(), PAGE).await.map_err(CopyError::Target)?;
        if own.is_empty() {
            return Ok((rows, last));
        }
        let expected = source.export(table, last.as_deref(), PAGE).await.map_err(CopyError::Source)?;
        for (position, row) in own.iter().enumerate() {
            if expected.get(position) != Some(row) {
                let key = row.iter().take(table.key()).map(shown).collect::<Vec<_>>().join(", ");
                return Err(CopyError::TargetDiffers {
                    tenant: Some(tenant.clone()),
                    what: format!("a row of {} with the key {key}", table.name()),
                });
            }
        }
        rows += own.len() as u64;
        last = own.last().map(|row| row.iter().take(table.key()).cloned().collect());
    }
}

fn differs(what: String) -> CopyError {
    CopyError::TargetDiffers { tenant: None, what }
}

/// A part of a key, as people read it.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Uuid(id) => id.to_string(),
        Value::DateTime(time) => time.to_rfc3339(),
        other => format!("{other:?}"),
    }
}
