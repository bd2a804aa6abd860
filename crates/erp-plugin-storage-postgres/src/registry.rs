//! [`Registry`] and [`Activation`]: installed plugins, and where they are enabled.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{PluginName, TenantId};
use erp_plugin_storage::{
    Activation, ActivationState, PluginVersion, Quarantine, Registry, StorageResult, Subscription,
};
use tokio_postgres::Row;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::{
    read_boolean, read_bytes, read_count, read_plugin, read_semver, read_some_time, read_tenant, read_text,
    read_time,
};
use crate::row::raw;
use crate::sql::Parameter;
use crate::transaction::{PostgresPlatformTransaction, PostgresTransaction};

#[async_trait]
impl Registry for PostgresPlatformTransaction {
    async fn put_component(&mut self, hash: &[u8; 32], bytes: &[u8]) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            let sql =
                "INSERT INTO erp_plugin.components (hash, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            client.execute(sql, &[Parameter::Bytes(hash), Parameter::Bytes(bytes)]).await?;
            Ok(())
        };
        self.session.write("put component", work).await
    }

    async fn component(&mut self, hash: &[u8; 32]) -> StorageResult<Option<Vec<u8>>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT bytes FROM erp_plugin.components WHERE hash = $1";
            let row = client.row(sql, &[Parameter::Bytes(hash)]).await?;
            row.map(|row| read_bytes(&row, 0).map(<[u8]>::to_vec)).transpose()
        };
        self.session.run("component", work).await
    }

    async fn add_version(&mut self, version: &PluginVersion) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            // One installation after the other, so that their order can be counted.
            client.batch("LOCK TABLE erp_plugin.plugin_versions IN SHARE ROW EXCLUSIVE MODE").await?;
            let sql = "INSERT INTO erp_plugin.plugin_versions
                 (plugin, version, installation, component, manifest, granted, installed_at)
                 SELECT $1, $2, coalesce(max(installation), 0) + 1, $3, $4, $5, $6 FROM erp_plugin.plugin_versions
                 ON CONFLICT (plugin, version) DO NOTHING";
            let number = version.version.to_string();
            let parameters = [
                Parameter::Text(version.name.as_str()),
                Parameter::Text(&number),
                Parameter::Bytes(&version.component),
                version.manifest.as_deref().map_or(Parameter::Null, Parameter::Bytes),
                Parameter::Bytes(&version.granted),
                Parameter::Time(version.installed_at),
            ];
            Ok(client.execute(sql, &parameters).await? > 0)
        };
        self.session.write("add version", work).await
    }

    async fn set_granted(
        &mut self,
        plugin: &PluginName,
        version: &semver::Version,
        granted: &[u8],
    ) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "UPDATE erp_plugin.plugin_versions SET granted = $3 WHERE plugin = $1 AND version = $2";
            let version = version.to_string();
            let parameters =
                [Parameter::Text(plugin.as_str()), Parameter::Text(&version), Parameter::Bytes(granted)];
            let was_there = client.execute(sql, &parameters).await? > 0;
            note_change(&client).await?;
            Ok(was_there)
        };
        self.session.write("set granted", work).await
    }

    async fn activate(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            let sql = "INSERT INTO erp_plugin.active_versions (plugin, version) VALUES ($1, $2)
                 ON CONFLICT (plugin) DO UPDATE SET version = excluded.version";
            let version = version.to_string();
            client.execute(sql, &[Parameter::Text(plugin.as_str()), Parameter::Text(&version)]).await?;
            note_change(&client).await
        };
        self.session.write("activate", work).await
    }

    async fn deactivate(&mut self, plugin: &PluginName) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "DELETE FROM erp_plugin.active_versions WHERE plugin = $1";
            let was_active = client.execute(sql, &[Parameter::Text(plugin.as_str())]).await? > 0;
            note_change(&client).await?;
            Ok(was_active)
        };
        self.session.write("deactivate", work).await
    }

    async fn active_versions(&mut self) -> StorageResult<Vec<(PluginName, semver::Version)>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT plugin, version FROM erp_plugin.active_versions ORDER BY plugin";
            let rows = client.rows(sql, &[]).await?;
            rows.iter().map(|row| Ok((read_plugin(row, 0)?, read_semver(row, 1)?))).collect()
        };
        self.session.run("active versions", work).await
    }

    async fn versions(&mut self) -> StorageResult<Vec<PluginVersion>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT plugin, version, component, manifest, granted, installed_at
                 FROM erp_plugin.plugin_versions ORDER BY installation";
            client.rows(sql, &[]).await?.iter().map(read_version).collect()
        };
        self.session.run("versions", work).await
    }

    async fn remove_versions(&mut self, plugin: &PluginName) -> StorageResult<u64> {
        let client = self.session.client();
        let work = async {
            let own = [Parameter::Text(plugin.as_str())];
            let sql = "DELETE FROM erp_plugin.components
                 WHERE hash IN (SELECT component FROM erp_plugin.plugin_versions WHERE plugin = $1)
                     AND hash NOT IN (SELECT component FROM erp_plugin.plugin_versions WHERE plugin <> $1)";
            client.execute(sql, &own).await?;
            client.execute("DELETE FROM erp_plugin.plugin_versions WHERE plugin = $1", &own).await
        };
        self.session.write("remove versions", work).await
    }

    async fn enabled_in(&mut self, plugin: &PluginName) -> StorageResult<Vec<TenantId>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT tenant_id FROM erp_plugin.activations WHERE plugin = $1 AND enabled
                 ORDER BY tenant_id";
            let rows = client.rows(sql, &[Parameter::Text(plugin.as_str())]).await?;
            rows.iter().map(|row| read_tenant(row, 0)).collect()
        };
        self.session.run("enabled in", work).await
    }

    async fn deviations(&mut self) -> StorageResult<Vec<(TenantId, PluginName, semver::Version)>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT a.tenant_id, a.plugin, a.version FROM erp_plugin.activations AS a
                 JOIN erp_plugin.active_versions AS v ON v.plugin = a.plugin
                 WHERE (a.enabled OR a.pinned) AND a.version <> v.version ORDER BY a.tenant_id, a.plugin";
            let rows = client.rows(sql, &[]).await?;
            rows.iter()
                .map(|row| Ok((read_tenant(row, 0)?, read_plugin(row, 1)?, read_semver(row, 2)?)))
                .collect()
        };
        self.session.run("deviations", work).await
    }

    async fn revision(&mut self) -> StorageResult<String> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT revision || '/' || (SELECT count(*) FROM erp_plugin.entities)
                 FROM erp_plugin.registry WHERE single";
            let row = client.row(sql, &[]).await?.ok_or_else(|| Error::Unreadable("registry"))?;
            Ok(read_text(&row, 0)?.to_owned())
        };
        self.session.run("revision", work).await
    }

    async fn note_change(&mut self) -> StorageResult<()> {
        let client = self.session.client();
        self.session.write("note change", note_change(&client)).await
    }

    async fn system_config(&mut self) -> StorageResult<Vec<(String, String)>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT key, value FROM erp_plugin.system_config ORDER BY key";
            client.rows(sql, &[]).await?.iter().map(read_pair).collect()
        };
        self.session.run("system config", work).await
    }

    async fn set_system_config(&mut self, key: &str, value: Option<&str>) -> StorageResult<()> {
        let client = self.session.client();
        let work = async {
            match value {
                Some(value) => {
                    let sql = "INSERT INTO erp_plugin.system_config (key, value) VALUES ($1, $2)
                         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                    client.execute(sql, &[Parameter::Text(key), Parameter::Text(value)]).await?
                }
                None => {
                    let sql = "DELETE FROM erp_plugin.system_config WHERE key = $1";
                    client.execute(sql, &[Parameter::Text(key)]).await?
                }
            };
            Ok(())
        };
        self.session.write("set system config", work).await
    }
}

#[async_trait]
impl Activation for PostgresTransaction {
    async fn activation(&mut self, plugin: &PluginName) -> StorageResult<Option<ActivationState>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT version, enabled, tenant_told, pinned, quarantined_since, quarantined_until,
                     quarantine_times, quarantine_error
                 FROM erp_plugin.activations WHERE tenant_id = $1 AND plugin = $2";
            let row = client.row(sql, &[Parameter::Text(tenant), Parameter::Text(plugin.as_str())]).await?;
            row.map(|row| {
                Ok(ActivationState {
                    plugin: plugin.clone(),
                    version: read_semver(&row, 0)?,
                    enabled: read_boolean(&row, 1)?,
                    tenant_told: read_boolean(&row, 2)?,
                    pinned: read_boolean(&row, 3)?,
                    quarantine: read_quarantine(&row, 4)?,
                })
            })
            .transpose()
        };
        self.session.run("activation", work).await
    }

    async fn require_version(&mut self, plugin: &PluginName, version: &str) -> StorageResult<()> {
        self.required = Some((plugin.clone(), version.to_owned()));
        Ok(())
    }

    async fn set_activation(
        &mut self,
        state: &ActivationState,
        subscriptions: &[Subscription],
    ) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let version = state.version.to_string();
            let (tenant, plugin) = (Parameter::Text(tenant), Parameter::Text(state.plugin.as_str()));
            let sql = "INSERT INTO erp_plugin.activations (tenant_id, plugin, version, enabled, tenant_told, pinned,
                     quarantined_since, quarantined_until, quarantine_times, quarantine_error)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, plugin) DO UPDATE SET
                 version = excluded.version, enabled = excluded.enabled, tenant_told = excluded.tenant_told,
                 pinned = excluded.pinned, quarantined_since = excluded.quarantined_since,
                 quarantined_until = excluded.quarantined_until, quarantine_times = excluded.quarantine_times,
                 quarantine_error = excluded.quarantine_error";
            let [since, until, times, error] = quarantine_columns(state.quarantine.as_ref());
            let told = [
                tenant.clone(),
                plugin.clone(),
                Parameter::Text(&version),
                Parameter::Boolean(state.enabled),
                Parameter::Boolean(state.tenant_told),
                Parameter::Boolean(state.pinned),
                since,
                until,
                times,
                error,
            ];
            client.execute(sql, &told).await?;
            let sql = "DELETE FROM erp_plugin.subscriptions WHERE tenant_id = $1 AND plugin = $2";
            client.execute(sql, &[tenant.clone(), plugin.clone()]).await?;
            let sql = "INSERT INTO erp_plugin.subscriptions
                     (tenant_id, plugin, ordinal, pattern, own_events, key_field)
                 SELECT $1, $2, s.ordinal, s.pattern, s.own_events, s.key_field
                 FROM unnest($3::text[], $4::boolean[], $5::text[])
                     WITH ORDINALITY AS s(pattern, own_events, key_field, ordinal)";
            let patterns = subscriptions.iter().map(|own| Parameter::Text(own.pattern.as_str()));
            let own_events = subscriptions.iter().map(|own| Parameter::Boolean(own.own_events));
            let keys = subscriptions.iter().map(|own| Parameter::text(own.key.as_deref()));
            let all = [
                tenant,
                plugin,
                Parameter::many(patterns),
                Parameter::many(own_events),
                Parameter::many(keys),
            ];
            client.execute(sql, &all).await?;
            Ok(())
        };
        self.session.write("set activation", work).await
    }

    async fn set_quarantine(
        &mut self,
        plugin: &PluginName,
        until: Option<DateTime<Utc>>,
        quarantine: Option<&Quarantine>,
    ) -> StorageResult<bool> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "UPDATE erp_plugin.activations SET quarantined_since = $4, quarantined_until = $5,
                     quarantine_times = $6, quarantine_error = $7
                 WHERE tenant_id = $1 AND plugin = $2 AND quarantined_until IS NOT DISTINCT FROM $3";
            let [since, new_until, times, error] = quarantine_columns(quarantine);
            let parameters = [
                Parameter::Text(tenant),
                Parameter::Text(plugin.as_str()),
                until.map_or(Parameter::Null, Parameter::Time),
                since,
                new_until,
                times,
                error,
            ];
            Ok(client.execute(sql, &parameters).await? > 0)
        };
        self.session.write("set quarantine", work).await
    }

    async fn config(&mut self, plugin: &PluginName) -> StorageResult<Vec<(String, String)>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT key, value FROM erp_plugin.plugin_config WHERE tenant_id = $1 AND plugin = $2 ORDER BY key";
            let parameters = [Parameter::Text(tenant), Parameter::Text(plugin.as_str())];
            client.rows(sql, &parameters).await?.iter().map(read_pair).collect()
        };
        self.session.run("config", work).await
    }

    async fn set_config(&mut self, plugin: &PluginName, key: &str, value: Option<&str>) -> StorageResult<()> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let mut parameters =
                vec![Parameter::Text(tenant), Parameter::Text(plugin.as_str()), Parameter::Text(key)];
            let sql = match value {
                Some(value) => {
                    parameters.push(Parameter::Text(value));
                    "INSERT INTO erp_plugin.plugin_config (tenant_id, plugin, key, value) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (tenant_id, plugin, key) DO UPDATE SET value = excluded.value"
                }
                None => {
                    "DELETE FROM erp_plugin.plugin_config WHERE tenant_id = $1 AND plugin = $2 AND key = $3"
                }
            };
            client.execute(sql, &parameters).await?;
            Ok(())
        };
        self.session.write("set config", work).await
    }
}

/// Another number, so that others look again.
pub(crate) async fn note_change(client: &Client) -> Result<()> {
    client.execute("UPDATE erp_plugin.registry SET revision = revision + 1 WHERE single", &[]).await?;
    Ok(())
}

fn read_quarantine(row: &Row, first: usize) -> Result<Option<Quarantine>> {
    let (since, until) = (read_some_time(row, first)?, read_some_time(row, first + 1)?);
    let (Some(since), Some(until)) = (since, until) else { return Ok(None) };
    let (times, error) = (read_count(row, first + 2)?, read_text(row, first + 3)?.to_owned());
    Ok(Some(Quarantine { since, until, times, error }))
}

/// Since, until, how often, why.
fn quarantine_columns(quarantine: Option<&Quarantine>) -> [Parameter<'_>; 4] {
    match quarantine {
        None => [const { Parameter::Null }; 4],
        Some(own) => [
            Parameter::Time(own.since),
            Parameter::Time(own.until),
            Parameter::Integer(i64::from(own.times)),
            Parameter::Text(&own.error),
        ],
    }
}

fn read_version(row: &Row) -> Result<PluginVersion> {
    Ok(PluginVersion {
        name: read_plugin(row, 0)?,
        version: read_semver(row, 1)?,
        component: read_bytes(row, 2)?.try_into().map_err(|_| Error::Unreadable("hash"))?,
        manifest: raw(row, 3)?.map(|bytes| bytes.bytes().to_vec()),
        granted: read_bytes(row, 4)?.to_vec(),
        installed_at: read_time(row, 5)?,
    })
}

fn read_pair(row: &Row) -> Result<(String, String)> {
    Ok((read_text(row, 0)?.to_owned(), read_text(row, 1)?.to_owned()))
}
