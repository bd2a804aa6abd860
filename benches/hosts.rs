//! Our side: hosts with the bench guest, and invocations without one.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use erp_plugin::{
    EngineOptions, Identity, InstallOptions, Limits, PermissionSet, PluginHost, QuarantineOptions,
    RolePermissions, SystemClock, SystemIds, TenantId, TenantLimits, UserId, WorkerOptions,
};
use erp_plugin_host_api::{Caller, Cause, Invocation, InvocationContext, NoHooks, PublishRight, Services};
use erp_plugin_model::event::Publisher;
use erp_plugin_runtime::{Engine, InProcessCompiler, LoadedPlugin, Loader};
use erp_plugin_storage::{Mode, TenantScope};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The record that is written and read: an item of an inventory.
pub(crate) const ITEM: &str = r#"{"sku":"NW-001","name":"Chai","category":"Beverages","unit":"10 boxes x 30 bags","unit_price":"18.00","on_hand":39,"reorder_level":10,"discontinued":true}"#;

/// Without a history, as the bare side has none; what it costs is measured by itself.
const MANIFEST: &str = r#"
manifest = 1
[plugin]
name = "bench"
version = "0.1.0"
contract = "0"
[capabilities]
events-publish = ["bench.*"]
[entities.item]
history = false
[entities.item.fields]
sku = { type = "string", required = true, indexed = true, max-length = 20 }
name = { type = "string", required = true, max-length = 80 }
category = { type = "string" }
unit = { type = "string" }
unit_price = { type = "decimal", precision = 12, scale = 2, min = "0" }
on_hand = { type = "integer", default = 0 }
reorder_level = { type = "integer", default = 0 }
discontinued = { type = "boolean", default = false }
"#;

/// Limits that no bench reaches.
pub(crate) fn generous() -> Limits {
    Limits {
        fuel: u64::MAX >> 2,
        deadline_ms: 600_000,
        writer_hold_ms: 600_000,
        host_calls: u64::MAX,
        rows_read: u64::MAX,
        rows_written: u64::MAX,
        total_bytes: u64::MAX,
        events: u64::MAX,
        ..Limits::default()
    }
}

/// The bench guest with its manifest.
pub(crate) fn guest() -> anyhow::Result<Vec<u8>> {
    guest_with(MANIFEST)
}

fn guest_with(manifest: &str) -> anyhow::Result<Vec<u8>> {
    let manifest = erp_plugin::Manifest::from_toml(manifest)?.to_canonical_json();
    let mut component = wat::parse_str(include_str!("guest.wat"))?;
    let name = erp_plugin::manifest::SECTION.as_bytes();
    let mut section = Vec::new();
    leb128(name.len(), &mut section);
    section.extend_from_slice(name);
    section.extend_from_slice(&manifest);
    component.push(0);
    leb128(section.len(), &mut component);
    component.extend_from_slice(&section);
    Ok(component)
}

fn leb128(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        out.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

/// A host with the bench guest, on a database of its own.
pub(crate) struct BenchHost {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) host: Arc<PluginHost>,
    pub(crate) identity: Identity,
    /// Of its database; kept, not looked at.
    _folder: Option<tempfile::TempDir>,
}

impl BenchHost {
    /// On a file of SQLite's.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::on_a_file(guest()?)
    }

    /// The same, where every change of a record is noted.
    pub(crate) fn with_history() -> anyhow::Result<Self> {
        Self::on_a_file(guest_with(&MANIFEST.replace("history = false\n", ""))?)
    }

    /// One that gets events, on any database, which must be new.
    pub(crate) fn subscribing(url: &str, options: WorkerOptions) -> anyhow::Result<Self> {
        let manifest =
            MANIFEST.replace("[entities.item]", "[[subscriptions]]\nevent = \"load.noop\"\n[entities.item]");
        Self::with(Self::runtime(2)?, url, guest_with(&manifest)?, options)
    }

    fn on_a_file(guest: Vec<u8>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite:{}", folder.path().join("bench.db").display());
        let host = Self::with(Self::runtime(2)?, &url, guest, WorkerOptions::default())?;
        Ok(Self { _folder: Some(folder), ..host })
    }

    pub(crate) fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
    }

    /// On any database, which must be new.
    pub(crate) fn on(runtime: tokio::runtime::Runtime, url: &str) -> anyhow::Result<Self> {
        Self::with(runtime, url, guest()?, WorkerOptions::default())
    }

    fn with(
        runtime: tokio::runtime::Runtime,
        url: &str,
        guest: Vec<u8>,
        worker: WorkerOptions,
    ) -> anyhow::Result<Self> {
        Self::with_limits(runtime, url, guest, worker, generous())
    }

    /// In memory, with other limits.
    pub(crate) fn limited(limits: Limits) -> anyhow::Result<Self> {
        Self::with_limits(Self::runtime(2)?, "sqlite::memory:", guest()?, WorkerOptions::default(), limits)
    }

    fn with_limits(
        runtime: tokio::runtime::Runtime,
        url: &str,
        guest: Vec<u8>,
        worker: WorkerOptions,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let mut identity = Identity::user(TenantId::parse("acme")?, UserId::parse("ada")?);
        identity.roles.push("all".to_owned());
        let host = runtime.block_on(async {
            let host = erp_plugin::host(url)
                .await?
                .limits(limits)
                .tenant_limits(TenantLimits { fuel_per_minute: u64::MAX, ..TenantLimits::default() })
                // One of them stops the same loop again and again.
                .quarantine(QuarantineOptions { failures: 0, ..QuarantineOptions::default() })
                .worker(worker)
                .authorizer(RolePermissions::new().grant("all", ["*"]))
                .runtime(runtime.handle().clone())
                .build()
                .await?;
            host.create_tenant("acme").await?;
            host.install(guest, InstallOptions::default()).await?;
            host.enable("acme", "bench").await?;
            anyhow::Ok(host)
        })?;
        Ok(Self { runtime, host: Arc::new(host), identity, _folder: None })
    }

    /// One invocation that does `verb` with `data` so many times; how long it took as its caller sees it.
    pub(crate) fn call(&self, verb: &str, times: u64, data: &Value) -> anyhow::Result<Duration> {
        self.calls(1, verb, times, data)
    }

    /// As many invocations, one after another, each of which does `verb` with `data` once.
    pub(crate) fn invocations(&self, count: u64, verb: &str, data: &Value) -> anyhow::Result<Duration> {
        self.calls(count, verb, 1, data)
    }

    /// The caller is a task of the runtime that the host was lent, as a server's requests are.
    fn calls(&self, count: u64, verb: &str, times: u64, data: &Value) -> anyhow::Result<Duration> {
        let (event_type, payload) = (format!("bench.{verb}"), json!([times, data]));
        let (host, identity) = (Arc::clone(&self.host), self.identity.clone());
        let task = async move {
            let start = Instant::now();
            for _ in 0..count {
                let report = host.call(identity.clone(), "bench", &event_type, &payload).await?;
                report.outcome.with_context(|| format!("the guest's {event_type}"))?;
            }
            Ok(start.elapsed())
        };
        self.runtime.block_on(self.runtime.spawn(task))?
    }
}

/// A loaded component on an engine of one's own, without a host around it.
pub(crate) struct BareRuntime {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) plugin: LoadedPlugin,
    services: Services,
    caller: Arc<Caller>,
    identity: Arc<Identity>,
    permissions: Arc<PermissionSet>,
    limits: Limits,
}

impl BareRuntime {
    pub(crate) fn new(component: Vec<u8>, options: EngineOptions, limits: Limits) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let engine = Engine::new(options)?;
        let compiler = Arc::new(InProcessCompiler::new(engine.clone()));
        let loader = Loader::new(engine, compiler, None, [])?;
        let hash: [u8; 32] = Sha256::digest(&component).into();
        let plugin = runtime.block_on(loader.load(&component.into(), &hash, 4 << 20))?;
        let tenant = TenantId::parse("acme")?;
        let services = Services {
            storage: Arc::new(SqliteStorage::open(&SqliteOptions::memory())?),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds::default()),
            hooks: Arc::new(NoHooks),
        };
        let caller = Caller {
            publisher: Publisher::Plugin("bench".parse()?),
            version: "0.1.0".to_owned(),
            entities: HashMap::new(),
            dynamic: None,
            publish: PublishRight::Granted(Vec::new()),
            config: HashMap::new(),
            references: Arc::default(),
        };
        Ok(Self {
            runtime,
            plugin,
            services,
            caller: Arc::new(caller),
            identity: Arc::new(Identity::user(tenant, UserId::parse("ada")?)),
            permissions: Arc::new(["bench.item.read", "bench.item.update"].into_iter().collect()),
            limits,
        })
    }

    pub(crate) fn invocation(&self) -> Invocation {
        Invocation::begin(
            self.services.clone(),
            InvocationContext {
                scope: TenantScope::granted_by_host(self.identity.tenant.clone()),
                identity: Arc::clone(&self.identity),
                permissions: Arc::clone(&self.permissions),
                caller: Arc::clone(&self.caller),
                trigger: "bench".to_owned(),
                mode: Mode::Write,
                cause: Cause::Request,
                limits: self.limits.clone(),
                deadline: Instant::now() + self.limits.deadline(),
                fenced: false,
            },
        )
    }
}

/// An example plugin's component, built now if it was not.
pub(crate) fn plugin(name: &str) -> anyhow::Result<Vec<u8>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let built =
        Command::new("cargo").args(["xtask", "build-plugins", "-p", name]).current_dir(root).output()?;
    ensure!(built.status.success(), "cargo xtask build-plugins: {}", String::from_utf8_lossy(&built.stderr));
    let path = format!("{root}/target/plugins/{name}.component.wasm");
    std::fs::read(&path).with_context(|| format!("{path} is not where `cargo xtask build-plugins` puts it"))
}
