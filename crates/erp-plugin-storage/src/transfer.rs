//! What a copy from one database to another reads and writes, and what an export does: rows as they are stored, in a form that is no backend's.
//!
//! An invocation's transaction cannot do this: rows are taken in as they come, with their versions, times and marks of
//! deletion, and nothing is checked. So it is a trait beside [`Storage`], and [`copy`](crate::copy) and
//! [`portable`](crate::portable) are its only users.
//!
//! A row is a list of values, the key first. What one backend keeps and the other derives is not in it: which delivery
//! is the head of its stream, and the numbers by which a database tells which of two new events came first.
//!
//! To add a table: 1. a variant of [`TenantTable`] with its columns, and in [`TenantTable::SYSTEM`] its place; 2. the
//! same in `transfer/tables.rs` of each backend; 3. rows of it in the conformance suite's `estate`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::evolution::Archived;
use erp_plugin_model::manifest::ManifestError;
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, TenantId, Value};

use crate::{
    PlatformScope, PlatformTransaction, Storage, StorageResult, TenantScope, Transaction, TransactionOptions,
};

/// A row, as [`TenantTable::columns`] says.
pub type Row = Vec<Value>;

/// Rows of one tenant, a kind at a time.
#[derive(Clone, Copy, Debug)]
pub enum TenantTable<'e> {
    /// Where plugins stand: plugin; version, whether enabled, whether told of the tenant, whether pinned. No quarantine.
    Activations,
    /// Plugin, place among its subscriptions; pattern, whether with its own events, the field of the key.
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
    /// caused by, parent, depth, when. No two events of a database have one number, whoever's they are.
    NumberedEvents,
    /// Events that wait for the dispatcher. Which of them it is, from 1; the rest as above.
    UnnumberedEvents,
    /// Plugin, key, number in the stream; the event's number, its id, status, token, attempts, last error, when.
    Deliveries,
    /// Plugin, key; last number, token. Taken in after the deliveries, of which the rest is derived.
    Streams,
    /// Plugin, job; schedule, until when it is planned, when it is to be planned again.
    Jobs,
    /// Plugin, job, occasion, kind; id, payload, state, token, attempts, when it is due, note, when it failed, began, ended.
    /// One that somebody had in hand waits.
    JobRuns,
    /// Id; plugin, version, trigger, caused by, begun, error, and what it used.
    Invocations,
    /// When, invocation, place in its log; plugin, severity, text.
    LogLines,
    /// When, id; by whom, what, plugin, from, to, what else.
    Audit,
    /// Entity, record, version, verb as its [rank](crate::Verb::rank); when, by whom, caused by, plugin, its version,
    /// invocation, changes.
    History,
    /// The same of an entity whose table was put aside.
    Archived(&'e Archived),
    /// The records of an entity, deleted ones as well. Id; version, created at and by, updated at and by, deleted at and
    /// by, then the fields in the schema's order, or the document.
    Records(&'e EntitySchema),
}

impl TenantTable<'_> {
    /// The system's own, in the order in which they are taken in. The unnumbered events of all tenants come after the
    /// numbered ones of all, so that they get later numbers.
    pub const SYSTEM: [TenantTable<'static>; 16] = [
        TenantTable::Activations,
        TenantTable::Subscriptions,
        TenantTable::Config,
        TenantTable::Roles,
        TenantTable::RoleAssignments,
        TenantTable::NumberSeries,
        TenantTable::Jobs,
        TenantTable::JobRuns,
        TenantTable::Invocations,
        TenantTable::LogLines,
        TenantTable::Audit,
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
            Self::Jobs => "jobs".to_owned(),
            Self::JobRuns => "job runs".to_owned(),
            Self::Invocations => "invocations".to_owned(),
            Self::LogLines => "log lines".to_owned(),
            Self::Audit => "audit".to_owned(),
            Self::History => "history".to_owned(),
            Self::Records(schema) => schema.name.to_string(),
            Self::Archived(archived) => archived.kept_as.clone(),
        }
    }

    /// The schema of its records.
    #[must_use]
    pub fn schema(&self) -> Option<&EntitySchema> {
        match self {
            Self::Records(schema) => Some(schema),
            Self::Archived(archived) => Some(&archived.definition),
            _ => None,
        }
    }

    /// How many of the columns, from the first, are the key.
    #[must_use]
    pub fn key(&self) -> usize {
        match self {
            Self::History | Self::JobRuns => 4,
            Self::Deliveries | Self::LogLines | Self::NumberSeries => 3,
            Self::Audit
            | Self::Subscriptions
            | Self::Config
            | Self::RoleAssignments
            | Self::Streams
            | Self::Jobs => 2,
            Self::Activations
            | Self::Roles
            | Self::NumberedEvents
            | Self::UnnumberedEvents
            | Self::Invocations
            | Self::Records(_)
            | Self::Archived(_) => 1,
        }
    }

    /// The columns of a row.
    #[must_use]
    pub fn columns(&self) -> Vec<Column> {
        use FieldType::{Boolean, DateTime, Integer, Json, String, Text, Uuid};
        let event = [
            ("id", Uuid),
            ("event_type", String),
            ("key", String),
            ("payload", Text),
            ("publisher", String),
            ("invocation", Uuid),
            ("ordinal", Integer),
            ("caused_by", String),
            ("parent", Uuid),
            ("depth", Integer),
            ("published_at", DateTime),
        ];
        let columns = match self {
            Self::Activations => {
                vec![
                    ("plugin", String),
                    ("version", String),
                    ("enabled", Boolean),
                    ("tenant_told", Boolean),
                    ("pinned", Boolean),
                ]
            }
            Self::Subscriptions => {
                vec![
                    ("plugin", String),
                    ("ordinal", Integer),
                    ("pattern", String),
                    ("own_events", Boolean),
                    ("key_field", String),
                ]
            }
            Self::Config => vec![("plugin", String), ("key", String), ("value", Text)],
            Self::Roles => vec![("role", String), ("permissions", Text)],
            Self::RoleAssignments => vec![("user_id", String), ("role", String)],
            Self::NumberSeries => {
                vec![("entity", String), ("field", String), ("series", String), ("last_number", Integer)]
            }
            Self::NumberedEvents => [("number", Integer)].into_iter().chain(event).collect(),
            Self::UnnumberedEvents => [("place", Integer)].into_iter().chain(event).collect(),
            Self::Deliveries => vec![
                ("plugin", String),
                ("key", String),
                ("number", Integer),
                ("event_number", Integer),
                ("event", Uuid),
                ("status", String),
                ("token", Integer),
                ("attempts", Integer),
                ("last_error", Text),
                ("failed_at", DateTime),
            ],
            Self::Streams => {
                vec![("plugin", String), ("key", String), ("last_number", Integer), ("token", Integer)]
            }
            Self::Jobs => vec![
                ("plugin", String),
                ("job", String),
                ("schedule", String),
                ("planned_until", DateTime),
                ("plan_at", DateTime),
            ],
            Self::JobRuns => vec![
                ("plugin", String),
                ("job", String),
                ("occasion", DateTime),
                ("kind", String),
                ("id", Uuid),
                ("payload", Text),
                ("state", String),
                ("token", Integer),
                ("attempts", Integer),
                ("due_at", DateTime),
                ("note", Text),
                ("failed_at", DateTime),
                ("began_at", DateTime),
                ("ended_at", DateTime),
            ],
            Self::Invocations => vec![
                ("id", Uuid),
                ("plugin", String),
                ("plugin_version", String),
                ("trigger", String),
                ("caused_by", String),
                ("started_at", DateTime),
                ("error", String),
                ("fuel", Integer),
                ("micros", Integer),
                ("peak_memory", Integer),
                ("host_calls", Integer),
                ("rows_read", Integer),
                ("rows_written", Integer),
                ("bytes", Integer),
                ("events", Integer),
            ],
            Self::LogLines => vec![
                ("at", DateTime),
                ("invocation", Uuid),
                ("ordinal", Integer),
                ("plugin", String),
                ("level", Integer),
                ("message", Text),
            ],
            Self::Audit => vec![
                ("at", DateTime),
                ("id", Uuid),
                ("done_by", String),
                ("action", String),
                ("plugin", String),
                ("before", String),
                ("after", String),
                ("detail", Text),
            ],
            Self::History => vec![
                ("entity", String),
                ("record", Uuid),
                ("version", Integer),
                ("verb", Integer),
                ("at", DateTime),
                ("changed_by", String),
                ("caused_by", String),
                ("plugin", String),
                ("plugin_version", String),
                ("invocation", Uuid),
                ("changes", Text),
            ],
            Self::Records(_) | Self::Archived(_) => vec![
                ("id", Uuid),
                ("version", Integer),
                ("created_at", DateTime),
                ("created_by", String),
                ("updated_at", DateTime),
                ("updated_by", String),
                ("deleted_at", DateTime),
                ("deleted_by", String),
            ],
        };
        let columns =
            columns.into_iter().map(|(name, field_type)| Column { name: name.to_owned(), field_type });
        let mut columns: Vec<Column> = columns.collect();
        if let Some(schema) = self.schema() {
            if schema.is_dynamic() {
                columns.push(Column { name: "data".to_owned(), field_type: Json });
            }
            columns.extend(schema.fields().iter().map(|field| Column {
                name: field.column().to_owned(),
                field_type: field.field_type.clone(),
            }));
        }
        columns
    }
}

/// A column of a [`Row`].
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, which is the database's own but for those of events and their numbers: those a backend may call otherwise.
    pub name: String,
    /// The type of its values.
    pub field_type: FieldType,
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

impl EntityTable {
    /// The entity's schema.
    pub fn schema(&self) -> Result<EntitySchema, ManifestError> {
        if self.dynamic {
            return Ok(EntitySchema::dynamic(self.name.clone()));
        }
        EntitySchema::from_definition(&self.name, &self.definition)
    }
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

    /// The greatest number that an event has, whichever tenant's it is; 0 when none has one. None is given a number until
    /// this transaction ends. Takes a transaction in [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `portable::a_tenant_comes_into_a_database_of_others`.
    async fn last_event_number(&mut self) -> StorageResult<i64>;
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
