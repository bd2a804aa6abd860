//! The storage port: what every backend promises, in small object-safe traits.
//!
//! Depends on the model alone. Knows no SQL, no policy and no Wasmtime: *whether* a caller may write a field is
//! decided above; *that* a write hits only a live record of this tenant at this version is decided here, in one
//! statement, and every backend must pass the suite in `erp-plugin-storage-conformance`.
//!
//! - [`Storage`] opens transactions. A [`Transaction`] belongs to one tenant for life: the scope is given once, when
//!   it begins, and nothing inside it names a tenant again. A [`PlatformTransaction`] sees what spans tenants and
//!   only the system's own tables.
//! - [`Records`], [`History`], [`Events`], [`Activation`], [`Audit`], [`Roles`], [`NumberSeries`], [`DynamicEntities`],
//!   [`Jobs`], [`JournalReader`], [`Erasure`] are what a tenant's transaction can do; [`Registry`],
//!   [`SchemaAdmin`], [`Access`], [`Dispatch`], [`JobRuns`], [`AuditTrail`] are the platform's.
//! - [`Alter`], [`Ledger`] and [`Reshape`] take tables from one schema to the next, driven by [`evolve`].
//! - [`erase`] takes everything of one tenant away, with [`Erasure`].
//! - [`copy`] moves everything from one database to another, and [`portable`] one tenant, or what a plugin left, into files
//!   and back, both through [`transfer`].
//! - Absent is `None` or an outcome's variant, never an error. An error is a fault, and says whether a second try
//!   may help.
//!
//! To add an operation: 1. the method here with its guarantee as the first sentence, and as the last the cases that
//! hold it; 2. those cases in the conformance suite; 3. the file of the same name in each backend.

mod access;
mod aggregate;
mod audit;
pub mod copy;
mod dead_letters;
mod dispatch;
mod entity;
pub mod erase;
mod erasure;
mod error;
mod events;
mod evolution;
pub mod evolve;
mod history;
mod jobs;
mod journal;
pub mod layout;
pub mod moves;
mod outbox;
pub mod portable;
mod records;
mod registry;
mod roles;
mod schema;
mod scope;
mod series;
mod subscribers;
mod transaction;
pub mod transfer;
mod workers;

pub use access::{Access, TenantState};
pub use aggregate::{
    Aggregate, AggregateOutcome, Figure, FigureValue, Group, MAX_FIGURES, MAX_GROUP_COLUMNS,
};
pub use audit::{Audit, AuditEntry, AuditQuery, AuditScope, AuditTrail};
pub use dead_letters::{DeadLetter, DeadLetterFilter, DeadLetters};
pub use dispatch::{ClaimRequest, Dispatch, DispatchOutcome, Failure};
pub use entity::Entity;
pub use erasure::Erasure;
pub use error::{ErrorKind, StorageError, StorageResult};
pub use events::Events;
pub use evolution::{Alter, Altered, Clashes, Ledger, Moved, Reshape, Which};
pub use history::{
    ChangeFilter, ChangePlace, History, HistoryQuery, HistorySink, NewChange, NotedChange, Origin, Verb,
};
pub use jobs::{
    DueJob, JobRuns, Jobs, NewJob, OneOff, PlannedJob, PlannedRun, RunFailure, RunFilter, RunRequest,
    StoredJob, StoredRun,
};
pub use journal::{JournalReader, LogQuery, StoredLogLine, UsageTotal};
pub use outbox::{Backlog, DeliveryState, DeliveryStatus, EventFilter, Outbox, StoredEvent};
pub use records::{
    Change, Counted, DeleteOutcome, InsertOutcome, NewRecord, QueryOutcome, RecordSink, RecordUpdate,
    Records, ReplacedView, RestoreOutcome, RowView, SinkFlow, Stamp, SystemValues, UpdateOutcome, Violation,
};
pub use registry::{Activation, ActivationState, PluginVersion, Quarantine, Registry, Subscription};
pub use roles::{Roles, permissions_text, role_from_text};
pub use schema::{CreateDynamic, DynamicEntities, MAX_DYNAMIC_ENTITIES, SchemaAdmin};
pub use scope::{PlatformScope, TenantScope};
pub use series::{NumberSeries, Series};
pub use subscribers::Subscribers;
pub use transaction::{Mode, PlatformTransaction, Storage, Transaction, TransactionOptions};
pub use workers::{WorkerState, Workers};
