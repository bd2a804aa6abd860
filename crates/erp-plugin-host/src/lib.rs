//! The platform: what is installed, where it is enabled, and how calls, events and requests become invocations.
//!
//! Knows no backend and no Wasmtime: storage, clock, ids and authorizer are passed to [`PluginHost::builder`] by a
//! composition root, the engine comes from `erp-plugin-runtime`.
//!
//! Invariants:
//! - Every call runs as a task of its own: a caller that goes away cancels nothing half-way.
//! - Permits are taken in one order: tenant, sandbox, storage. Nobody who holds a later one waits for an earlier one.
//! - An invocation that lost its transaction is run again as a whole, in a fresh sandbox, within one deadline.

mod activation;
mod audit;
mod bare;
mod budget;
mod builder;
mod catalog;
mod config;
mod core;
mod cpu;
mod delivery;
mod departure;
mod diagnosis;
mod edge;
mod error;
mod events;
mod executor;
mod host;
mod install;
mod invoke;
mod jobs;
mod lifecycle;
mod locks;
mod quarantine;
mod report;
mod roles;
mod rollback;
mod schema;
mod slots;
mod tenants;
mod upgrade;

pub use audit::AuditFilter;
pub use bare::plugin_name_from_file;
pub use budget::TenantLimits;
pub use builder::PluginHostBuilder;
pub use delivery::{DeadDelivery, DrainReport, HandlerFuture, Received, WorkerHandle, WorkerOptions};
pub use departure::{ArchivedPlugin, PluginState, PurgedPlugin};
pub use diagnosis::{ComponentHealth, PluginHealth, Unfinished};
pub use edge::Records;
pub use error::{HostFailure, HostResult};
pub use events::{EventDetails, Events, Pruned, Retention};
pub use host::{PluginHost, PluginSummary};
pub use install::InstallOptions;
pub use jobs::{JobStatus, Jobs, RanJob};
pub use quarantine::QuarantineOptions;
pub use report::{InvocationReport, WrittenRecord};
pub use rollback::RollbackOptions;
pub use schema::{Obstacles, PlannedStep, SchemaPlan, SchemaStatus};
pub use tenants::DeletionReceipt;
