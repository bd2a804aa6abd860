//! A host on a database of its own, and in one line each what tests do with it.

use std::sync::Arc;

use erp_plugin::usage::LogLevel;
use erp_plugin::{
    ErrorCode, HostFailure, Identity, InstallOptions, InvocationReport, LogQuery, PluginHost,
    PluginHostBuilder, PluginName, SystemClock, SystemIds, TenantId, UsageTotal, UserId,
};
use serde_json::{Value as Json, json};

use crate::{Database, Losses, TestClock};

/// The tenant that every platform begins with.
pub const TENANT: &str = "acme";

/// A platform with one tenant, in which everything happens unless a test says otherwise.
pub struct Platform {
    /// The host, for what has no line of its own here.
    pub host: PluginHost,
    /// Its database, if it has one of its own.
    _database: Option<Database>,
}

impl Platform {
    /// A platform on a database of its own, with every default.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// A platform on a database of its own, put together in some other way.
    pub async fn with(change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Self {
        let database = Database::new().await;
        let platform = Self::on(database.url(), change).await;
        Self { _database: Some(database), ..platform }
    }

    /// A platform on the database that a URL names.
    pub async fn on(url: &str, change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> Self {
        let builder = erp_plugin::host(url).await.unwrap();
        let host = change(builder).build().await.unwrap();
        host.create_tenant(TENANT).await.unwrap();
        Self { host, _database: None }
    }

    /// A platform on the database that a URL names, by a clock of the test's own.
    pub async fn by(
        clock: &TestClock,
        url: &str,
        change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder,
    ) -> Self {
        let storage = erp_plugin::storage(url).await.unwrap();
        let builder = PluginHost::builder(storage, Arc::new(clock.clone()), Arc::new(SystemIds::default()));
        let host = change(builder).build().await.unwrap();
        host.create_tenant(TENANT).await.unwrap();
        Self { host, _database: None }
    }

    /// A platform whose storage loses transactions.
    pub async fn that_loses(change: impl FnOnce(PluginHostBuilder) -> PluginHostBuilder) -> (Self, Losses) {
        let losses = Losses::default();
        let database = Database::new().await;
        let storage = losses.of(erp_plugin::storage(database.url()).await.unwrap());
        let builder = PluginHost::builder(storage, Arc::new(SystemClock), Arc::new(SystemIds::default()));
        let host = change(builder).build().await.unwrap();
        host.create_tenant(TENANT).await.unwrap();
        (Self { host, _database: Some(database) }, losses)
    }

    /// Installs a component and enables it. The name is for one without a manifest.
    pub async fn enable(&self, name: &str, component: Vec<u8>) {
        self.try_enable(name, component).await.unwrap();
    }

    /// As [`enable`](Self::enable), where it may fail.
    pub async fn try_enable(&self, name: &str, component: Vec<u8>) -> Result<(), HostFailure> {
        let plugin = self.try_install(name, component).await?;
        self.host.enable(TENANT, plugin.as_str()).await
    }

    /// Installs a component. The name is for one without a manifest.
    pub async fn try_install(&self, name: &str, component: Vec<u8>) -> Result<PluginName, HostFailure> {
        let bare = erp_plugin_package::manifest::read(&component).map_or(true, |manifest| manifest.is_none());
        let name = bare.then(|| name.parse().unwrap());
        Ok(self.host.install(component, InstallOptions { name, ..InstallOptions::default() }).await?.name)
    }

    /// Calls `handle-event` as the system.
    pub async fn call(&self, plugin: &str, event_type: &str, payload: &Json) -> InvocationReport {
        self.host.call(system_of(TENANT), plugin, event_type, payload).await.unwrap()
    }

    /// Publishes an event of the platform as the system.
    pub async fn publish(&self, event_type: &str, payload: &Json) {
        self.host.publish(system_of(TENANT), event_type, payload).await.unwrap();
    }

    /// The live records of an entity, oldest first. None when its table was never made.
    pub async fn records(&self, entity: &str) -> Vec<Json> {
        self.records_of(TENANT, entity).await
    }

    /// As [`records`](Self::records), in another tenant.
    pub async fn records_of(&self, tenant: &str, entity: &str) -> Vec<Json> {
        let records = self.host.records(system_of(tenant));
        match records.query(entity, &json!({}), &json!({ "limit": 1000 })).await {
            Ok(mut page) => page["items"].as_array_mut().map(std::mem::take).unwrap(),
            Err(HostFailure::Refused(error))
                if error.code == ErrorCode::NotFound && error.message.starts_with("no entity") =>
            {
                Vec::new()
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// How many events were published.
    pub async fn event_count(&self) -> u64 {
        self.host.event_count(TENANT).await.unwrap()
    }

    /// What a plugin used, all of its invocations together.
    pub async fn usage_of(&self, plugin: &str) -> UsageTotal {
        let usage = self.host.usage(TENANT).await.unwrap();
        usage.into_iter().find(|total| total.plugin.as_str() == plugin).unwrap()
    }

    /// The log, each line as `level message`.
    pub async fn log(&self) -> Vec<String> {
        let query = LogQuery { plugin: None, min_level: LogLevel::Trace, limit: 10_000 };
        let lines = self.host.log(TENANT, query).await.unwrap();
        lines.iter().map(|line| format!("{} {}", line.level.as_str(), line.message)).collect()
    }
}

/// The system, acting in a tenant.
#[must_use]
pub fn system_of(tenant: &str) -> Identity {
    Identity::system(tenant_id(tenant), UserId::parse("tests").unwrap(), None)
}

/// A user of [`TENANT`] who has a role.
#[must_use]
pub fn user(id: &str, role: &str) -> Identity {
    let user = Identity::user(tenant_id(TENANT), UserId::parse(id).unwrap());
    Identity { roles: vec![role.to_owned()], ..user }
}

fn tenant_id(tenant: &str) -> TenantId {
    TenantId::parse(tenant).unwrap()
}
