//! What a copy from one database to another reads and writes: rows as they are stored, in a form that is no backend's.
//!
//! An invocation's transaction cannot do this: rows are taken in as they come, with their versions, times and marks of
//! deletion, and nothing is checked. So it is a trait beside [`Storage`], and [`copy`](crate::copy) is its only user.
//!
//! A row is a list of values, the key first. What one backend keeps and the other derives is not in it: which delivery
//! is the head of its stream, and the numbers by which a database tells which of two new events came first.
//!
//! To add a table: 1. a variant of [`TenantTable`] with its columns, and in [`TenantTable::SYSTEM`] its place; 2. the
//! same in `transfer/tables.rs` of each backend; 3. rows of it in the conformance suite's `estate`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, TenantId, Value};

use crate::{
    PlatformScope, PlatformTransaction, Storage, StorageResult, TenantScope, Transaction, TransactionOptions,
};

/// A row, as [`TenantTable::columns`] says.
pub type Row = Vec<Value>;

/// Rows of one tenant, a kind at a time.
#[derive(Clone, Copy, Debug)]
pub enum TenantTable<'e> {
    /// Where plugins stand: plugin; version, whether enabled, whether told of the tenant.
    Activations,
    /// Plugin, place among its subscriptions; pattern, whether with its own events.
    Subscriptions,
    /// Plugin, key; JSON text.
    Config,
    /// Role; its permissions, with a space between two.
    Roles,
    /// User, role.
    RoleAssignments,
    /// Entity, column of the field, series; last number.
    NumberSeries,
    /// Events that the dispatcher has numbered. The number; id, type, key, payload, publisher, invocation, ordinal,
    /// caused by, depth, when. No two events of a database have one number, whoever's they are.
    NumberedEvents,
    /// Events that wait for the dispatcher. Which of them it is, from 1; the rest as above.
    UnnumberedEvents,
    /// Plugin, key, number in the stream; the event's number, its id, status, token, attempts, last error, when.
    Deliveries,
    /// Plugin, key; last number, token. Taken in after the deliveries, of which the rest is derived.
    Streams,
    /// Id; plugin, version, trigger, caused by, begun, error, and what it used.
    Invocations,
    /// When, invocation, place in its log; plugin, severity, text.
    LogLines,
    /// Entity, record, version, verb as its [rank](crate::Verb::rank); when, by whom, caused by, plugin, its version,
    /// invocation, changes.
    History,
    /// The records of an entity, deleted ones as well. Id; version, created at and by, updated at and by, deleted at and
    /// by, then the fields in the schema's order, or the document.
    Records(&'e EntitySchema),
}

impl TenantTable<'_> {
    /// The system's own, in the order in which they are taken in. The unnumbered events of all tenants come after the
    /// numbered ones of all, so that they get later numbers.
    pub const SYSTEM: [TenantTable<'static>; 13] = [
        TenantTable::Activations,
        TenantTable::Subscriptions,
        TenantTable::Config,
        TenantTable::Roles,
        TenantTable::RoleAssignments,
        TenantTable::NumberSeries,
        TenantTable::Invocations,
        TenantTable::LogLines,
        TenantTable::History,
        TenantTable::NumberedEvents,
        TenantTable::Deliveries,
        TenantTable::Streams,
        TenantTable::UnnumberedEvents,
    ];

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Activations => "activations".to_owned(),
            Self::Subscriptions => "subscriptions".to_owned(),
            Self::Config => "configuration".to_owned(),
            Self::Roles => "roles".to_owned(),
            Self::RoleAssignments => "role assignments".to_owned(),
            Self::NumberSeries => "number series".to_owned(),
            Self::NumberedEvents => "numbered events".to_owned(),
            Self::UnnumberedEvents => "unnumbered events".to_owned(),
            Self::Deliveries => "deliveries".to_owned(),
            Self::Streams => "streams".to_owned(),
            Self::Invocations => "invocations".to_owned(),
            Self::LogLines => "log lines".to_owned(),
            Self::History => "history".to_owned(),
            Self::Records(schema) => schema.name.to_string(),
        }
    }

    /// How many of the columns, from the first, are the key.
    #[must_use]
    pub fn key(&self) -> usize {
        match self {
            Self::History => 4,
            Self::Deliveries | Self::LogLines | Self::NumberSeries => 3,
            Self::Subscriptions | Self::Config | Self::RoleAssignments | Self::Streams => 2,
            Self::Activations
            | Self::Roles
            | Self::NumberedEvents
            | Self::UnnumberedEvents
            | Self::Invocations
            | Self::Records(_) => 1,
        }
    }

    /// The types of the columns.
    #[must_use]
    pub fn columns(&self) -> Vec<FieldType> {
        use FieldType::{Boolean, DateTime, Integer, Json, String, Text, Uuid};
        match self {
            Self::Activations => vec![String, String, Boolean, Boolean],
            Self::Subscriptions => vec![String, Integer, String, Boolean],
            Self::Config => vec![String, String, Text],
            Self::Roles => vec![String, Text],
            Self::RoleAssignments => vec![String, String],
            Self::NumberSeries => vec![String, String, String, Integer],
            Self::NumberedEvents | Self::UnnumberedEvents => {
                vec![Integer, Uuid, String, String, Text, String, Uuid, Integer, String, Integer, DateTime]
            }
            Self::Deliveries => {
                vec![String, String, Integer, Integer, Uuid, String, Integer, Integer, Text, DateTime]
            }
            Self::Streams => vec![String, String, Integer, Integer],
            Self::Invocations => {
                let mut columns = vec![Uuid, String, String, String, String, DateTime, String];
                columns.extend([const { Integer }; 8]);
                columns
            }
            Self::LogLines => vec![DateTime, Uuid, Integer, String, Integer, Text],
            Self::History => {
                vec![String, Uuid, Integer, Integer, DateTime, String, String, String, String, Uuid, Text]
            }
            Self::Records(schema) => {
                let mut columns = vec![Uuid, Integer, DateTime, String, DateTime, String, DateTime, String];
                if schema.is_dynamic() {
                    columns.push(Json);
                }
                columns.extend(schema.fields().iter().map(|field| field.field_type.clone()));
                columns
            }
        }
    }
}

/// An entity's table, as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTable {
    /// The entity.
    pub name: EntityRef,
    /// Whether it is a dynamic one.
    pub dynamic: bool,
    /// Its schema, as [`EntitySchema::to_definition`] writes it; empty for a dynamic one.
    pub definition: String,
}

/// A storage that can be copied from and to.
#[async_trait]
pub trait Transfer: Storage {
    /// Begins a transaction in one tenant, as [`Storage::begin`] does.
    ///
    /// Held by `transfer::rows_come_in_the_order_of_their_keys_a_page_at_a_time`.
    async fn begin_transfer(
        &self,
        scope: &TenantScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn TenantTransfer>>;

    /// Begins a transaction on the system's own tables, as [`Storage::begin_platform`] does.
    ///
    /// Held by `transfer::the_platforms_own_tables_are_told`.
    async fn begin_platform_transfer(
        &self,
        scope: PlatformScope,
        options: TransactionOptions,
    ) -> StorageResult<Box<dyn PlatformTransfer>>;
}

/// What a copy does in a tenant.
#[async_trait]
pub trait TenantTransfer: Transaction {
    /// At most `limit` rows with keys after this one, in the order of their keys.
    ///
    /// Held by `transfer::rows_come_in_the_order_of_their_keys_a_page_at_a_time`,
    /// `transfer::rows_are_this_tenants_alone`.
    async fn export(
        &mut self,
        table: TenantTable<'_>,
        after: Option<&[Value]>,
        limit: u32,
    ) -> StorageResult<Vec<Row>>;

    /// Takes rows in as they are, in the order of their keys. The events that are published and numbered afterwards
    /// come after them. Takes a transaction in [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `transfer::everything_arrives_and_counts_and_hashes_agree`,
    /// `transfer::dispatch_goes_on_where_the_source_stopped`, `transfer::what_arrived_can_be_worked_with`,
    /// `transfer::rows_are_taken_in_only_where_tables_may_be_made`.
    async fn import(&mut self, table: TenantTable<'_>, rows: &[Row]) -> StorageResult<()>;
}

/// What a copy does on the system's own tables, beyond what a host does there.
#[async_trait]
pub trait PlatformTransfer: PlatformTransaction {
    /// Every tenant by id, and when it was made.
    ///
    /// Held by `transfer::the_platforms_own_tables_are_told`.
    async fn tenants_with_times(&mut self) -> StorageResult<Vec<(TenantId, DateTime<Utc>)>>;

    /// The tables of entities, by the entities' names.
    ///
    /// Held by `transfer::the_platforms_own_tables_are_told`.
    async fn entity_tables(&mut self) -> StorageResult<Vec<EntityTable>>;

    /// Makes the table of a dynamic entity unless it is there, and returns whether it is one. Takes a transaction in
    /// [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `transfer::everything_arrives_and_counts_and_hashes_agree`.
    async fn create_dynamic_entity(&mut self, name: &EntityRef) -> StorageResult<bool>;

    /// The tenant whose turn the last round of claims ended with; empty before the first.
    ///
    /// Held by `transfer::dispatch_goes_on_where_the_source_stopped`.
    async fn last_turn(&mut self) -> StorageResult<String>;

    /// Sets the tenant after whom the next round of claims begins.
    ///
    /// Held by `transfer::dispatch_goes_on_where_the_source_stopped`.
    async fn set_last_turn(&mut self, tenant: &str) -> StorageResult<()>;
}
