//! Records of one tenant.
//!
//! No text and no JSON that comes in here holds the character U+0000, plain or as JSON's `\u0000`: not every database can
//! keep it, so whoever writes has refused it before.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::Page;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{FieldName, RecordId, Value, Version};

use crate::aggregate::{Aggregate, AggregateOutcome};
use crate::{Entity, StorageResult};

/// When and by whom a write happens.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom: a user id, or `plugin:<name>`.
    pub by: &'a str,
}

/// A record to insert. Its version is 1; its tenant is the transaction's; the stamp says when and by whom it is both
/// created and updated.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Its id.
    pub id: RecordId,
    /// One value for each field of the schema, in its order; for a dynamic entity one [`Value::Json`] object.
    pub values: &'a [Value],
}

/// What an update changes. What is not named stays; [`Value::Null`] clears.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Declared fields by their position in the schema, each at most once.
    Fields(&'a [(usize, Value)]),
    /// Top-level keys of a dynamic entity's document, each at most once, as [`Value::Json`] or [`Value::Null`].
    Document(&'a [(String, Value)]),
}

/// The host's own values of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SystemValues<'a> {
    /// The id.
    pub id: RecordId,
    /// The version.
    pub version: Version,
    /// When it was inserted.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: &'a str,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
    /// By whom.
    pub updated_by: &'a str,
}

/// The row that a backend stands on.
pub trait RowView {
    /// The host's own values.
    fn system(&self) -> StorageResult<SystemValues<'_>>;

    /// A declared field's value, by its position in the schema; position 0 of a dynamic entity is its document.
    fn field(&self, position: usize) -> StorageResult<ValueRef<'_>>;

    /// The value of a column that a sort may name: never a key of a dynamic entity's document, which is
    /// [`Bug`](crate::ErrorKind::Bug). Keys have values of several types, whose common order differs between databases.
    fn column(&self, column: &Column) -> StorageResult<ValueRef<'_>>;
}

/// Whether a sink wants more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkFlow {
    /// Go on.
    Continue,
    /// Enough: the query stops and its outcome does not matter.
    Stop,
}

/// Where records go as they are read: into the answer document, without a copy in between.
pub trait RecordSink: Send {
    /// Takes one record.
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow>;
}

/// Why a write of valid data was refused. Nothing was written and the transaction is intact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A live record of this tenant has the same value in this unique field.
    Unique(FieldName),
    /// This reference names no live record of this tenant.
    Reference(FieldName),
    /// The document of a dynamic entity's record would be longer than
    /// [`MAX_DOCUMENT_BYTES`](erp_plugin_model::schema::MAX_DOCUMENT_BYTES).
    DocumentTooLong,
}

/// How an insert ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// The record is there.
    Inserted,
    /// It is not.
    Violates(Violation),
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// Written; the sink has the new record.
    Written,
    /// No live record of this tenant has the id.
    NotFound,
    /// The record has another version.
    VersionMismatch {
        /// The version it has.
        actual: Version,
    },
    /// Refused for its values.
    Violates(Violation),
}

/// One update of several.
#[derive(Clone, Copy, Debug)]
pub struct RecordUpdate<'a> {
    /// The record.
    pub id: RecordId,
    /// The version it must have.
    pub expected: Version,
    /// What changes.
    pub change: Change<'a>,
}

/// How a restore ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The record lives again; the sink has it.
    Restored,
    /// No deleted record of this tenant has the id: it never was, it lives, or it was purged.
    NotFound,
    /// Refused: one of its unique values is taken by now, or what it refers to is gone.
    Violates(Violation),
}

/// How a delete ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The record is deleted.
    Deleted,
    /// No live record of this tenant has the id.
    NotFound,
}

/// What a query found, beside the records its sink took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryOutcome {
    /// Whether more records follow the page.
    pub has_more: bool,
    /// How many records match in all, when the page asked for it.
    pub total: Option<u64>,
    /// About how many records the backend looked at, those that it did not give included: a measure of its work, to
    /// charge for and not to show. An estimate, in which sorting and many or dear conditions count as more records;
    /// the same query on the same records has the same figure.
    pub rows_scanned: u64,
}

/// How many records there are, and what it took to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many match.
    pub count: u64,
    /// As [`QueryOutcome::rows_scanned`].
    pub rows_scanned: u64,
}

/// Records of the transaction's tenant.
#[async_trait]
pub trait Records: Send {
    /// Inserts a record with version 1, unless it breaks a unique field or reference of this tenant's live records, or
    /// its document is too long.
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome>;

    /// Inserts several records as [`insert`](Self::insert) would each, in few statements, and says of each how it
    /// ended: one that is refused leaves the others. A reference counts if the record was there before the call, so
    /// not to another of these; of two with the same unique value the first is kept.
    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>>;

    /// Gives the sink the live record of this tenant with this id, and returns whether there is one.
    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool>;

    /// Gives the sink this tenant's live records that fulfil the filter: at most `page.limit` of them, in the page's
    /// order, absent values last, text by code point.
    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome>;

    /// Counts this tenant's live records that fulfil the filter.
    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted>;

    /// Computes figures over this tenant's live records that fulfil the filter: one [`Group`](crate::Group) for each combination of
    /// values of the columns to group by, in their order with absent values last, at most `aggregate.limit` of them.
    /// Without such columns it is exactly one group, also of no records. Sums are exact and do not overflow.
    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome>;

    /// Changes the live record of this tenant that has this id and this version, raises its version by one even if
    /// no value differs, and gives the sink the new record. Check and write are one statement.
    async fn update(
        &mut self,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome>;

    /// Makes several updates as [`update`](Self::update) would each, in one statement for those that change the same
    /// fields, and says of each how it ended: one that is refused leaves the others. Gives the sink the new records in
    /// the order of the updates. An id may stand only once.
    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>>;

    /// Marks the live record of this tenant with this id as deleted; its unique values become free.
    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome>;

    /// Makes the deleted record of this tenant with this id live again, raises its version by one, and gives it to the
    /// sink, unless it would break a unique field or reference.
    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome>;

    /// Removes for good at most `limit` of this tenant's records that were deleted before this moment, those that were
    /// deleted first, and returns how many it removed.
    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64>;
}
