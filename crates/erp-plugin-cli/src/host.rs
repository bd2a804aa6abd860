//! Puts a host together as the commands need it: storage, compiler, code cache, limits.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use erp_plugin::{
    Alter, Altered, CodeCache, ErrorKind, PlatformScope, PlatformTransaction, PluginHost, PluginHostBuilder,
    ProcessCompiler, Storage, StorageError, StorageResult, SystemClock, SystemIds, TenantScope, Transaction,
    TransactionOptions, UserId, evolution::Step, random_key,
};

use crate::database::Database;
use crate::output;
use crate::settings::{Options, Settings};

/// What the hidden command is called that compiles in a process of its own.
pub(crate) const COMPILE_WORKER: &str = "compile-worker";

/// Opens the storage and begins a host on it, as it was set.
pub(crate) async fn builder(settings: &Settings, database: &Database) -> Result<PluginHostBuilder> {
    let builder = erp_plugin::host(database.url()?).await?;
    as_set(builder, settings, settings.options.code_cache)
}

/// Begins a host for a command that calls no plugin: nothing is compiled, so nothing is kept of it.
pub(crate) async fn without_calls(settings: &Settings, database: &Database) -> Result<PluginHostBuilder> {
    let builder = erp_plugin::host(database.url()?).await?;
    as_set(builder, settings, false)
}

/// Begins a host that has no storage, for a command that is about a component alone.
pub(crate) fn without_storage(settings: &Settings) -> Result<PluginHostBuilder> {
    let builder =
        PluginHost::builder(Arc::new(NoStorage), Arc::new(SystemClock), Arc::new(SystemIds::default()));
    as_set(builder, settings, settings.options.code_cache)
}

fn as_set(builder: PluginHostBuilder, settings: &Settings, code_cache: bool) -> Result<PluginHostBuilder> {
    let Options { worker, retry, tenant, quarantine, limits, caps, .. } = settings.options.clone();
    let program = env::current_exe().context("this program does not know where it lies")?;
    let memory = caps.memory.to_string();
    let builder = builder
        .limits(limits)
        .limit_caps(caps)
        .retry_caps(retry)
        .tenant_limits(tenant)
        .worker(worker)
        .quarantine(quarantine)
        .acting_as(operator()?)
        .compiler(ProcessCompiler::new(program, [COMPILE_WORKER, memory.as_str()]));
    if !code_cache {
        return Ok(builder);
    }
    Ok(match open_code_cache() {
        Ok(cache) => builder.code_cache(cache),
        // Without one everything works, only slower.
        Err(why) => {
            output::warning(&format!("compiled code is not kept: {why}"));
            builder
        }
    })
}

/// Who does what the command does, as the audit trail has it.
fn operator() -> Result<UserId> {
    const GIVEN: &str = "ERP_PLUGIN_OPERATOR";
    if let Some(given) = env::var_os(GIVEN) {
        return UserId::parse(&given.to_string_lossy()).with_context(|| GIVEN.to_owned());
    }
    // A system's user names are mostly such ids; where one is not, nobody is refused for it.
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| UserId::parse(&env::var(name).ok()?).ok());
    Ok(user.map_or_else(|| UserId::parse("operator"), Ok)?)
}

/// Refuses everything.
struct NoStorage;

#[async_trait]
impl Alter for NoStorage {
    async fn alter(&self, _: PlatformScope, _: &Step, _: Instant) -> StorageResult<Altered> {
        Err(StorageError::new(ErrorKind::Unavailable, "alter"))
    }

    async fn finish(&self, _: PlatformScope, _: &Step, _: Instant) -> StorageResult<Altered> {
        Err(StorageError::new(ErrorKind::Unavailable, "finish"))
    }

    fn statements(&self, _: &Step) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Storage for NoStorage {
    async fn begin(&self, _: &TenantScope, _: TransactionOptions) -> StorageResult<Box<dyn Transaction>> {
        Err(StorageError::new(ErrorKind::Unavailable, "begin"))
    }

    async fn begin_platform(
        &self,
        _: PlatformScope,
        _: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransaction>> {
        Err(StorageError::new(ErrorKind::Unavailable, "begin"))
    }
}

/// The cache of native code, with the key that seals it outside of it; or why there can be none.
pub(crate) fn open_code_cache() -> Result<CodeCache, String> {
    let folder = |variable: &str, below_home: &str| -> Option<PathBuf> {
        let given = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        Some(given.or_else(|| Some(env::home_dir()?.join(below_home)))?.join("erp-plugin"))
    };
    match (folder("XDG_CACHE_HOME", ".cache"), folder("XDG_STATE_HOME", ".local/state")) {
        (Some(cache), Some(state)) => {
            CodeCache::open(&cache.join("code"), &state.join("code-cache.key"), random_key)
                .map_err(|error| error.to_string())
        }
        _ => Err("there is no home folder; set XDG_CACHE_HOME and XDG_STATE_HOME".to_owned()),
    }
}
