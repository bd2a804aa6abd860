//! [`Registry`] and [`Activation`]: installed plugins, and where they are enabled.

use async_trait::async_trait;
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{Activation, ActivationState, PluginVersion, Registry, StorageResult, Subscription};
use rusqlite::{Connection, OptionalExtension, Params};

use crate::error::{Error, Result};
use crate::names::{read_plugin, read_semver, read_tenant, read_text, read_time};
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
            Ok(())
        })
    }

    async fn deactivate(&mut self, plugin: &PluginName) -> StorageResult<bool> {
        self.session.write("deactivate", |connection| {
            let sql = "DELETE FROM active_versions WHERE plugin = ?1";
            Ok(connection.prepare_cached(sql)?.execute([plugin.as_str()])? > 0)
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
                "SELECT version, enabled, tenant_told FROM activations WHERE tenant_id = ?1 AND plugin = ?2",
            )?;
            let mut rows = statement.query((tenant.as_str(), plugin.as_str()))?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(ActivationState {
                plugin: plugin.clone(),
                version: read_semver(row, 0)?,
                enabled: row.get(1)?,
                tenant_told: row.get(2)?,
            }))
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

fn set_activation(
    connection: &Connection,
    tenant: &TenantId,
    state: &ActivationState,
    subscriptions: &[Subscription],
) -> Result<()> {
    let (tenant, plugin) = (tenant.as_str(), state.plugin.as_str());
    connection
        .prepare_cached(
            "INSERT INTO activations (tenant_id, plugin, version, enabled, tenant_told)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
             version = excluded.version, enabled = excluded.enabled, tenant_told = excluded.tenant_told",
        )?
        .execute((tenant, plugin, state.version.to_string(), state.enabled, state.tenant_told))?;
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
