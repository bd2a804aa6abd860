//! The words of the system as types: what a tenant, a plugin, an entity, a record, a filter or an event *is*.
//!
//! Lowest layer: depends on nothing of ours, does no I/O, and knows neither SQL nor Wasmtime. A value of one of
//! these types is valid by construction: names, ids and versions are newtypes that can only be made through a
//! check, a [`Manifest`] is whole, a [`Filter`](filter::Filter) names columns that exist.
//!
//! To add a field type: 1. [`schema::FieldType`] and its manifest spelling in [`manifest`]; 2. [`value::Value`] if
//! no present variant carries it, and its bounds in `check.rs`; 3. its JSON form in `erp-plugin-host-api` (`json/`);
//! 4. its column type in each backend's `columns.rs`; 5. a case in the conformance suite.

mod check;
pub mod entity_ref;
pub mod error;
pub mod event;
pub mod evolution;
pub mod filter;
pub mod fold;
pub mod identity;
pub mod ids;
pub mod job;
pub mod labels;
pub mod limits;
pub mod manifest;
pub mod page;
pub mod parse;
pub mod role;
pub mod schema;
pub mod series;
pub mod tenant_queue;
pub mod time;
pub mod usage;
pub mod value;

pub use entity_ref::EntityRef;
pub use error::{ErrorCode, HostError};
pub use identity::{Identity, IdentityKind, PermissionSet};
pub use ids::{
    EntityName, EventId, EventType, FieldName, InvocationId, JobName, PermissionName, PermissionPattern,
    PluginName, RecordId, RoleName, RunId, TenantId, UserId, Version, WorkerId,
};
pub use labels::Labels;
pub use limits::Limits;
pub use manifest::Manifest;
pub use role::{Role, RoleAssignment};
pub use schema::{EntitySchema, Field, FieldType, OnDelete};
pub use series::SeriesPattern;
pub use tenant_queue::TenantQueue;
pub use time::{Clock, IdGenerator};
pub use value::Value;
