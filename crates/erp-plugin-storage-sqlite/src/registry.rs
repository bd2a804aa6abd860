//! [`Registry`] and [`Activation`]: installed plugins, and where they are enabled.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{
    Activation, ActivationState, ErrorKind, PluginVersion, Quarantine, Registry, StorageResult, Subscription,
};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::error::{Error, Result};
use crate::names::{read_plugin, read_semver, read_some_time, read_tenant, read_text, read_time};
use crate::transaction::{SqlitePlatformTransaction, SqliteTransaction};

#[async_trait]
impl Registry for SqlitePlatformTransaction {
    async fn put_component(&mut self, hash: &[u8; 32], bytes: &[u8]) -> StorageResult<()> {
        self.session.write_long("put component", |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO components (hash, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                )?
                .execute((&hash[..], bytes))?;
            Ok(())
        })
    }

    async fn component(&mut self, hash: &[u8; 32]) -> StorageResult<Option<Vec<u8>>> {
        self.session.scan("component", |connection| {
            Ok(connection
                .prepare_cached("SELECT bytes FROM components WHERE hash = ?1")?
                .query_row([&hash[..]], |row| row.get(0))
                .optional()?)
        })
    }

    async fn add_version(&mut self, version: &PluginVersion) -> StorageResult<bool> {
        self.session.write("add version", |connection| {
            let added = connection
                .prepare_cached(
                    "INSERT INTO plugin_versions (plugin, version, component, manifest, granted, installed_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                )?
                .execute((
                    version.name.as_str(),
                    version.version.to_string(),
                    &version.component[..],
                    &version.manifest,
                    &version.granted,
                    version.installed_at.timestamp_micros(),
                ))?;
            Ok(added > 0)
        })
    }

    async fn set_granted(
        &mut self,
        plugin: &PluginName,
        version: &semver::Version,
        granted: &[u8],
    ) -> StorageResult<bool> {
        self.session.write("set granted", |connection| {
            let sql = "UPDATE plugin_versions SET granted = ?3 WHERE plugin = ?1 AND version = ?2";
            let changed =
                connection.prepare_cached(sql)?.execute((plugin.as_str(), version.to_string(), granted))?;
            note_change(connection)?;
            Ok(changed > 0)
        })
    }

    async fn activate(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()> {
        self.session.write("activate", |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO active_versions (plugin, version) VALUES (?1, ?2)
                     ON CONFLICT (plugin) DO UPDATE SET version = excluded.version",
                )?
                .execute((plugin.as_str(), version.to_string()))?;
            note_change(connection)
        })
    }

    async fn deactivate(&mut self, plugin: &PluginName) -> StorageResult<bool> {
        self.session.write("deactivate", |connection| {
            let sql = "DELETE FROM active_versions WHERE plugin = ?1";
            let was_active = connection.prepare_cached(sql)?.execute([plugin.as_str()])? > 0;
            note_change(connection)?;
            Ok(was_active)
        })
    }

    async fn active_versions(&mut self) -> StorageResult<Vec<(PluginName, semver::Version)>> {
        self.session.read("active versions", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT plugin, version FROM active_versions ORDER BY plugin")?;
            let mut rows = statement.query(())?;
            let mut active = Vec::new();
            while let Some(row) = rows.next()? {
                active.push((read_plugin(row, 0)?, read_semver(row, 1)?));
            }
            Ok(active)
        })
    }

    async fn versions(&mut self) -> StorageResult<Vec<PluginVersion>> {
        self.session.scan("versions", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, version, component, manifest, granted, installed_at FROM plugin_versions
                 ORDER BY installation",
            )?;
            let mut rows = statement.query(())?;
            let mut versions = Vec::new();
            while let Some(row) = rows.next()? {
                versions.push(PluginVersion {
                    name: read_plugin(row, 0)?,
                    version: read_semver(row, 1)?,
                    component: row.get(2)?,
                    manifest: row.get(3)?,
                    granted: row.get(4)?,
                    installed_at: read_time(row, 5)?,
                });
            }
            Ok(versions)
        })
    }

    async fn remove_versions(&mut self, plugin: &PluginName) -> StorageResult<u64> {
        self.session.write_long("remove versions", |connection| {
            let own = [plugin.as_str()];
            connection
                .prepare_cached(
                    "DELETE FROM components
                     WHERE hash IN (SELECT component FROM plugin_versions WHERE plugin = ?1)
                         AND hash NOT IN (SELECT component FROM plugin_versions WHERE plugin <> ?1)",
                )?
                .execute(own)?;
            let removed =
                connection.prepare_cached("DELETE FROM plugin_versions WHERE plugin = ?1")?.execute(own)?;
            Ok(removed as u64)
        })
    }

    async fn enabled_in(&mut self, plugin: &PluginName) -> StorageResult<Vec<TenantId>> {
        self.session.read("enabled in", |connection| {
            let sql =
                "SELECT tenant_id FROM activations WHERE plugin = ?1 AND enabled = 1 ORDER BY tenant_id";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([plugin.as_str()])?;
            let mut tenants = Vec::new();
            while let Some(row) = rows.next()? {
                tenants.push(read_tenant(row, 0)?);
            }
            Ok(tenants)
        })
    }

    async fn deviations(&mut self) -> StorageResult<Vec<(TenantId, PluginName, semver::Version)>> {
        self.session.scan("deviations", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT a.tenant_id, a.plugin, a.version FROM activations AS a
                 JOIN active_versions AS v ON v.plugin = a.plugin
                 WHERE (a.enabled = 1 OR a.pinned = 1) AND a.version <> v.version ORDER BY a.tenant_id, a.plugin",
            )?;
            let mut rows = statement.query(())?;
            let mut deviations = Vec::new();
            while let Some(row) = rows.next()? {
                deviations.push((read_tenant(row, 0)?, read_plugin(row, 1)?, read_semver(row, 2)?));
            }
            Ok(deviations)
        })
    }

    async fn revision(&mut self) -> StorageResult<String> {
        self.session.read("revision", |connection| {
            let sql = "SELECT revision || '/' || (SELECT count(*) FROM entities) FROM registry";
            Ok(connection.prepare_cached(sql)?.query_row((), |row| row.get(0))?)
        })
    }

    async fn note_change(&mut self) -> StorageResult<()> {
        self.session.write("note change", note_change)
    }

    async fn system_config(&mut self) -> StorageResult<Vec<(String, String)>> {
        self.session.read("system config", |connection| {
            pairs(connection, "SELECT key, value FROM system_config ORDER BY key", ())
        })
    }

    async fn set_system_config(&mut self, key: &str, value: Option<&str>) -> StorageResult<()> {
        self.session.write("set system config", |connection| {
            match value {
                Some(value) => connection
                    .prepare_cached(
                        "INSERT INTO system_config (key, value) VALUES (?1, ?2)
                         ON CONFLICT DO UPDATE SET value = excluded.value",
                    )?
                    .execute((key, value))?,
                None => {
                    connection.prepare_cached("DELETE FROM system_config WHERE key = ?1")?.execute([key])?
                }
            };
            Ok(())
        })
    }
}

#[async_trait]
impl Activation for SqliteTransaction {
    async fn activation(&mut self, plugin: &PluginName) -> StorageResult<Option<ActivationState>> {
        let Self { session, tenant, .. } = self;
        session.read("activation", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT version, enabled, tenant_told, pinned, quarantined_since, quarantined_until,
                     quarantine_times, quarantine_error
                 FROM activations WHERE tenant_id = ?1 AND plugin = ?2",
            )?;
            let mut rows = statement.query((tenant.as_str(), plugin.as_str()))?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(ActivationState {
                plugin: plugin.clone(),
                version: read_semver(row, 0)?,
                enabled: row.get(1)?,
                tenant_told: row.get(2)?,
                pinned: row.get(3)?,
                quarantine: read_quarantine(row, 4)?,
            }))
        })
    }

    async fn require_version(&mut self, plugin: &PluginName, version: &str) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.read("require version", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT 1 FROM activations WHERE tenant_id = ?1 AND plugin = ?2 AND version = ?3 AND enabled = 1",
            )?;
            let runs = statement.exists((tenant.as_str(), plugin.as_str(), version))?;
            if runs { Ok(()) } else { Err(Error::Kind(ErrorKind::SchemaChanged)) }
        })
    }

    async fn set_activation(
        &mut self,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("set activation", |connection| set_activation(connection, tenant, state, subscriptions))
    }

    async fn set_quarantine(
        &mut self,
        plugin: &PluginName,
        until: Option<DateTime<Utc>>,
        quarantine: Option<&Quarantine>,
    ) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.write("set quarantine", |connection| {
            let changed = connection
                .prepare_cached(
                    "UPDATE activations SET quarantined_since = ?4, quarantined_until = ?5, quarantine_times = ?6,
                         quarantine_error = ?7
                     WHERE tenant_id = ?1 AND plugin = ?2 AND quarantined_until IS ?3",
                )?
                .execute((
                    tenant.as_str(),
                    plugin.as_str(),
                    until.map(|until| until.timestamp_micros()),
                    quarantine.map(|own| own.since.timestamp_micros()),
                    quarantine.map(|own| own.until.timestamp_micros()),
                    quarantine.map(|own| own.times),
                    quarantine.map(|own| &own.error),
                ))?;
            Ok(changed > 0)
        })
    }

    async fn config(&mut self, plugin: &PluginName) -> StorageResult<Vec<(String, String)>> {
        let Self { session, tenant, .. } = self;
        session.read("config", |connection| {
            pairs(
                connection,
                "SELECT key, value FROM plugin_config WHERE tenant_id = ?1 AND plugin = ?2 ORDER BY key",
                (tenant.as_str(), plugin.as_str()),
            )
        })
    }

    async fn set_config(&mut self, plugin: &PluginName, key: &str, value: Option<&str>) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("set config", |connection| {
            match value {
                Some(value) => connection
                    .prepare_cached(
                        "INSERT INTO plugin_config (tenant_id, plugin, key, value) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT DO UPDATE SET value = excluded.value",
                    )?
                    .execute((tenant.as_str(), plugin.as_str(), key, value))?,
                None => connection
                    .prepare_cached(
                        "DELETE FROM plugin_config WHERE tenant_id = ?1 AND plugin = ?2 AND key = ?3",
                    )?
                    .execute((tenant.as_str(), plugin.as_str(), key))?,
            };
            Ok(())
        })
    }
}

/// Another number, so that others look again.
pub(crate) fn note_change(connection: &Connection) -> Result<()> {
    connection.prepare_cached("UPDATE registry SET revision = revision + 1")?.execute(())?;
    Ok(())
}

fn read_quarantine(row: &Row<'_>, first: usize) -> Result<Option<Quarantine>> {
    let (since, until) = (read_some_time(row, first)?, read_some_time(row, first + 1)?);
    let (Some(since), Some(until)) = (since, until) else { return Ok(None) };
    Ok(Some(Quarantine { since, until, times: row.get(first + 2)?, error: row.get(first + 3)? }))
}

fn set_activation(
    connection: &Connection,
    tenant: &TenantId,
    state: &ActivationState,
    subscriptions: &[Subscription],
) -> Result<()> {
    let (tenant, plugin, quarantine) = (tenant.as_str(), state.plugin.as_str(), state.quarantine.as_ref());
    connection
        .prepare_cached(
            "INSERT INTO activations (tenant_id, plugin, version, enabled, tenant_told, pinned, quarantined_since,
                 quarantined_until, quarantine_times, quarantine_error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET
             version = excluded.version, enabled = excluded.enabled, tenant_told = excluded.tenant_told,
             pinned = excluded.pinned, quarantined_since = excluded.quarantined_since,
             quarantined_until = excluded.quarantined_until, quarantine_times = excluded.quarantine_times,
             quarantine_error = excluded.quarantine_error",
        )?
        .execute((
            tenant,
            plugin,
            state.version.to_string(),
            state.enabled,
            state.tenant_told,
            state.pinned,
            quarantine.map(|own| own.since.timestamp_micros()),
            quarantine.map(|own| own.until.timestamp_micros()),
            quarantine.map(|own| own.times),
            quarantine.map(|own| &own.error),
        ))?;
    connection
        .prepare_cached("DELETE FROM subscriptions WHERE tenant_id = ?1 AND plugin = ?2")?
        .execute((tenant, plugin))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO subscriptions (tenant_id, plugin, ordinal, pattern, own_events, key_field)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (ordinal, subscription) in (0_i64..).zip(subscriptions) {
        let Subscription { pattern, own_events, key } = subscription;
        insert.execute((tenant, plugin, ordinal, pattern.as_str(), own_events, key))?;
    }
    Ok(())
}

fn pairs(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut pairs = Vec::new();
    while let Some(row) = rows.next()? {
        pairs.push((read_text(row, 0)?.to_owned(), read_text(row, 1)?.to_owned()));
    }
    Ok::<_, Error>(pairs)
}
