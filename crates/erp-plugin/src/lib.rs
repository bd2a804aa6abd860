//! Untrusted WebAssembly plugins for multi-tenant business software.
//!
//! A plugin is a component that sees nothing but the host API of the contract `erp:plugin`. The host puts each of its
//! calls into one tenant, as one identity, under limits, and makes it **one transaction**: records, events and the
//! mark that an event was handled are committed together or not at all.
//!
//! This crate is what a platform embeds. It re-exports the layers below and is one of the few places that name a
//! storage backend.
//!
//! ```
//! use erp_plugin::{Identity, InstallOptions, PluginHost, TenantId, UserId};
//! use serde_json::json;
//!
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! # let component = wat::parse_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/example/hello.wat")))?;
//! let host: PluginHost = erp_plugin::host("sqlite::memory:").await?.build().await?;
//! host.create_tenant("acme").await?;
//! let options = InstallOptions { name: Some("hello".parse()?), ..InstallOptions::default() };
//! host.install(component, options).await?;
//! host.enable("acme", "hello").await?;
//!
//! let somebody = Identity::user(TenantId::parse("acme")?, UserId::parse("ada")?);
//! host.publish(somebody, "order.created", &json!({ "id": "SO-1" })).await?;
//! let report = host.drain().await?;
//! assert_eq!((report.delivered, report.dead.len()), (1, 0));
//! # Ok(())
//! # }
//! ```

mod environment;
mod open;

pub use environment::{SystemClock, SystemIds, random_key};
pub use open::{OpenError, StorageUrl, host, storage, transfer};

pub use erp_plugin_host::{
    ArchivedPlugin, AuditFilter, ComponentHealth, DeadDelivery, DeletionReceipt, DrainReport, EventDetails,
    Events, HandlerFuture, HostFailure, HostResult, InstallOptions, InvocationReport, JobStatus, Jobs,
    Obstacles, PlannedStep, PluginHealth, PluginHost, PluginHostBuilder, PluginState, PluginSummary, Pruned,
    PurgedPlugin, QuarantineOptions, RanJob, Received, Records, Retention, RollbackOptions, SchemaPlan,
    SchemaStatus, TenantLimits, Unfinished, WorkerHandle, WorkerOptions, WrittenRecord,
    plugin_name_from_file,
};
pub use erp_plugin_host_api::{
    Authorizer, CallError, CallResult, HookPoint, HookRunner, HookVerdict, Invocation, RolePermissions, Verb,
    escape_control,
};
pub use erp_plugin_model::{
    Clock, EntityRef, ErrorCode, EventId, EventType, FieldName, HostError, IdGenerator, Identity,
    IdentityKind, InvocationId, JobName, Limits, Manifest, PermissionName, PermissionPattern, PermissionSet,
    PluginName, RecordId, Role, RoleAssignment, RoleName, RunId, TenantId, UserId, Version, event, evolution,
    job, limits, manifest, role, schema, usage,
};
pub use erp_plugin_runtime::{
    CodeCache, CompileError, Compiler, ComponentFacts, EngineOptions, FailureKind, HostState, Interface,
    LoadError, ProcessCompiler, compile_worker, validate, wasmtime,
};
pub use erp_plugin_storage::{
    Alter, Altered, AuditEntry, Backlog, DeadLetter, DeadLetterFilter, DeliveryState, DeliveryStatus,
    ErrorKind, EventFilter, LogQuery, PlatformScope, PlatformTransaction, Quarantine, RunFilter, Storage,
    StorageError, StorageResult, StoredEvent, StoredLogLine, StoredRun, TenantScope, TenantState,
    Transaction, TransactionOptions, UsageTotal,
};
pub use erp_plugin_storage::{copy, erase, portable};
#[cfg(feature = "postgres")]
pub use erp_plugin_storage_postgres as postgres;
#[cfg(feature = "sqlite")]
pub use erp_plugin_storage_sqlite as sqlite;

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("erp-plugin needs a storage backend: enable the feature `sqlite`, or `postgres`, or both");
