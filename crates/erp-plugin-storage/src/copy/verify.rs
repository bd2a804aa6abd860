//! Whether two databases hold the same: rows and hash of every table of every tenant.

use erp_plugin_model::{EntitySchema, TenantId, Value};

use super::contents::Contents;
use super::digest::Digest;
use super::error::CopyError;
use super::{PAGE, Progress, Step, Summary, TableReport, reading, scope, tables, tenant_scope};
use crate::StorageResult;
use crate::transfer::{TenantTable, TenantTransfer, Transfer};

/// The tables that belong to no tenant.
pub(super) async fn contents(
    (source, ours): (&dyn Transfer, &Contents),
    (target, theirs): (&dyn Transfer, &Contents),
) -> Result<Vec<TableReport>, CopyError> {
    let report = |table: &str, of: fn(&Contents) -> Summary| TableReport {
        tenant: None,
        table: table.to_owned(),
        source: of(ours),
        target: of(theirs),
    };
    let mut reports = vec![
        report("tenants", tenants),
        report("plugins", versions),
        report("platform configuration", config),
        report("platform subscriptions", subscriptions),
        report("entities", entities),
        report("audit", audit),
    ];
    reports.push(TableReport {
        tenant: None,
        table: "components".to_owned(),
        source: components(source, ours).await.map_err(CopyError::Source)?,
        target: components(target, ours).await.map_err(CopyError::Target)?,
    });
    Ok(reports)
}

/// The tables of a tenant.
pub(super) async fn tenant(
    source: &dyn Transfer,
    (target, theirs): (&dyn Transfer, &Contents),
    schemas: &[EntitySchema],
    tenant: &TenantId,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<TableReport>, CopyError> {
    let scope = tenant_scope(tenant);
    let mut from = source.begin_transfer(&scope, reading()).await.map_err(CopyError::Source)?;
    let mut to = target.begin_transfer(&scope, reading()).await.map_err(CopyError::Target)?;
    let mut reports = Vec::new();
    for table in tables(schemas) {
        let is_there = !matches!(table, TenantTable::Records(schema) if !theirs.has(schema));
        let ours = summary(&mut *from, table).await.map_err(CopyError::Source)?;
        let copied = if is_there {
            summary(&mut *to, table).await.map_err(CopyError::Target)?
        } else {
            Digest::default().finish()
        };
        progress(Progress {
            step: Step::Verified,
            tenant: Some(tenant.clone()),
            table: table.name(),
            rows: ours.rows,
        });
        reports.push(TableReport {
            tenant: Some(tenant.clone()),
            table: table.name(),
            source: ours,
            target: copied,
        });
    }
    from.rollback(None).await.map_err(CopyError::Source)?;
    to.rollback(None).await.map_err(CopyError::Target)?;
    Ok(reports)
}

async fn summary(transfer: &mut dyn TenantTransfer, table: TenantTable<'_>) -> StorageResult<Summary> {
    let mut digest = Digest::default();
    let mut last: Option<Vec<Value>> = None;
    loop {
        let rows = transfer.export(table, last.as_deref(), PAGE).await?;
        let Some(end) = rows.last() else { return Ok(digest.finish()) };
        last = Some(end.iter().take(table.key()).cloned().collect());
        for row in &rows {
            digest.row(row);
        }
    }
}

fn tenants(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for (tenant, at) in &contents.tenants {
        digest.start_row(3);
        digest.str(tenant.as_str());
        digest.time(*at);
        digest.value(&Value::Boolean(contents.suspended.contains(tenant)));
    }
    digest.finish()
}

fn versions(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for version in &contents.versions {
        digest.start_row(6);
        digest.str(version.name.as_str());
        digest.str(&version.version.to_string());
        digest.bytes(Some(&version.component));
        digest.bytes(version.manifest.as_deref());
        digest.bytes(Some(&version.granted));
        digest.time(version.installed_at);
    }
    for (plugin, version) in &contents.active {
        digest.start_row(2);
        digest.str(plugin.as_str());
        digest.str(&version.to_string());
    }
    digest.finish()
}

fn config(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for (key, value) in &contents.config {
        digest.start_row(2);
        digest.str(key);
        digest.str(value);
    }
    digest.finish()
}

fn subscriptions(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for (subscriber, pattern) in &contents.subscriptions {
        digest.start_row(2);
        digest.str(subscriber.as_str());
        digest.str(pattern.as_str());
    }
    digest.finish()
}

fn audit(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for entry in &contents.audit {
        digest.start_row(8);
        digest.value(&Value::Uuid(entry.id));
        digest.time(entry.at);
        digest.str(entry.by.as_str());
        digest.str(&entry.action);
        let plugin = entry.plugin.as_ref().map(ToString::to_string);
        for text in [&plugin, &entry.from, &entry.to, &entry.detail] {
            digest.value(&text.clone().map_or(Value::Null, Value::Text));
        }
    }
    digest.finish()
}

fn entities(contents: &Contents) -> Summary {
    let mut digest = Digest::default();
    for table in &contents.tables {
        digest.start_row(3);
        digest.str(&table.name.to_string());
        digest.value(&Value::Boolean(table.dynamic));
        digest.str(&table.definition);
    }
    digest.finish()
}

/// The components that the source's versions name, as this storage has them.
async fn components(storage: &dyn Transfer, named: &Contents) -> StorageResult<Summary> {
    let mut hashes: Vec<_> = named.versions.iter().map(|version| version.component).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let mut platform = storage.begin_platform_transfer(scope(), reading()).await?;
    let mut digest = Digest::default();
    for hash in hashes {
        if let Some(component) = platform.component(&hash).await? {
            digest.start_row(2);
            digest.bytes(Some(&hash));
            digest.bytes(Some(&component));
        }
    }
    platform.rollback().await?;
    Ok(digest.finish())
}
