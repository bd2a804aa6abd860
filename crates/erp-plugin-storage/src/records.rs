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
    ///
    /// Held by `records::a_new_record_has_version_one_and_its_stamp`.
    fn system(&self) -> StorageResult<SystemValues<'_>>;

    /// A declared field's value, by its position in the schema; position 0 of a dynamic entity is its document.
    ///
    /// Held by `queries::a_row_shows_every_value_of_every_type`.
    fn field(&self, position: usize) -> StorageResult<ValueRef<'_>>;

    /// The value of a column that a sort may name: never a key of a dynamic entity's document, which is
    /// [`Bug`](crate::ErrorKind::Bug). Keys have values of several types, whose common order differs between databases.
    ///
    /// Held by `sorting::every_type_sorts_and_pages`.
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
    ///
    /// Held by `queries::a_sink_that_has_enough_gets_no_more`,
    /// `queries::a_sink_that_fails_ends_the_query_and_leaves_the_transaction`.
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow>;

    /// Whether an update is to show what it replaces, too: one that nobody asks pays nothing for it.
    ///
    /// Held by `history::an_update_shows_what_it_replaces_only_to_who_asks`.
    fn wants_replaced(&self) -> bool {
        false
    }

    /// Takes what an update is about to replace, before [`record`](Self::record) takes the new record. It may be shown
    /// what was not replaced after all, and then no record with this id follows.
    ///
    /// Held by `history::an_update_shows_what_it_replaces`, `history::many_updates_show_what_they_replace`,
    /// `history::an_update_of_a_document_shows_the_one_before`.
    fn replaced(&mut self, id: RecordId, before: &dyn ReplacedView) -> StorageResult<()> {
        let _ = (id, before);
        Ok(())
    }
}

/// The values of a record before an update.
pub trait ReplacedView {
    /// The value that a field had which the update names, by its position in the schema; at position 0 of a dynamic
    /// entity the whole document. Of another field it may be [`Bug`](crate::ErrorKind::Bug).
    ///
    /// Held by `history::an_update_shows_what_it_replaces`, `history::an_update_of_a_document_shows_the_one_before`.
    fn replaced_field(&self, position: usize) -> StorageResult<ValueRef<'_>>;
}

/// Why a write of valid data was refused. Nothing was written and the transaction is intact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A live record of this tenant has the same value in this unique field.
    Unique(FieldName),
    /// This reference names no live record of this tenant.
    Reference(FieldName),
    /// A live record must have this field: it became required while the record was deleted.
    Required(FieldName),
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
    /// The record is deleted. It keeps its version, which is this.
    Deleted(Version),
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
    ///
    /// Held by `records::a_new_record_has_version_one_and_its_stamp`,
    /// `records::a_value_of_every_type_comes_back_as_it_was`,
    /// `unique::a_value_that_is_taken_is_refused_and_nothing_is_written`,
    /// `unique::of_concurrent_inserts_of_one_value_exactly_one_wins`,
    /// `references::a_reference_to_nothing_is_refused_and_nothing_is_written`,
    /// `references::another_tenants_record_is_refused_like_one_that_never_was`,
    /// `dynamic::a_document_has_a_longest_length_however_it_came_to_it`, `search::a_search_follows_every_write`.
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome>;

    /// Inserts several records as [`insert`](Self::insert) would each, in few statements, and says of each how it
    /// ended: one that is refused leaves the others. A reference counts if the record was there before the call, so
    /// not to another of these; of two with the same unique value the first is kept.
    ///
    /// Held by `batch::each_insert_of_many_ends_as_it_would_alone`,
    /// `batch::of_many_inserts_with_one_unique_value_the_first_is_kept`,
    /// `batch::many_inserts_cannot_refer_to_one_another`, `batch::many_inserts_of_every_type_come_back_as_they_were`,
    /// `batch::many_inserts_are_one_transaction_and_one_tenants`,
    /// `batch::many_documents_are_inserted_and_updated_as_one`, `batch::many_of_nothing_is_nothing`,
    /// `batch::misuse_of_many_is_refused`, `batch::many_take_no_longer_than_there_is_time`.
    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>>;

    /// Gives the sink the live record of this tenant with this id, and returns whether there is one.
    ///
    /// Held by `soft_delete::a_deleted_record_is_invisible_to_every_verb`,
    /// `tenants::every_verb_answers_for_anothers_record_as_for_none`, `records::an_id_that_never_was_is_not_found`,
    /// `dynamic::an_entity_that_is_not_there_has_no_records`.
    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool>;

    /// Gives the sink this tenant's live records that fulfil the filter: at most `page.limit` of them, in the page's
    /// order, absent values last, text by code point.
    ///
    /// Held by `sorting::absent_values_come_last_in_both_directions`,
    /// `sorting::pages_neither_skip_nor_repeat_on_equal_keys`, `sorting::every_type_sorts_and_pages`,
    /// `sorting::the_hosts_own_fields_sort_and_page`, `dynamic::it_sorts_by_the_hosts_own_fields_and_by_no_key`,
    /// `queries::a_page_has_at_most_its_limit_and_says_whether_more_follow`,
    /// `queries::the_total_is_of_all_that_match_and_only_on_request`,
    /// `queries::what_a_query_looks_at_is_counted_whether_it_finds_it_or_not`,
    /// `queries::a_sink_that_has_enough_gets_no_more`,
    /// `filters::a_comparison_with_an_absent_value_is_false_and_its_negation_true`,
    /// `filters::text_compares_by_code_point`, `filters::every_type_compares_in_its_own_order`,
    /// `search::a_search_ignores_case_in_every_script`, `search::only_a_searchable_field_can_be_searched`,
    /// `tenants::no_query_shows_or_counts_anothers_records`.
    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome>;

    /// Counts this tenant's live records that fulfil the filter.
    ///
    /// Held by `aggregate::a_count_is_of_this_tenants_live_records_that_match`,
    /// `aggregate::a_count_says_what_it_looked_at`, `aggregate::an_entity_that_is_not_there_counts_as_empty`.
    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted>;

    /// Computes figures over this tenant's live records that fulfil the filter: one [`Group`](crate::Group) for each combination of
    /// values of the columns to group by, in their order with absent values last, at most `aggregate.limit` of them.
    /// Without such columns it is exactly one group, also of no records. Sums are exact and do not overflow.
    ///
    /// Held by `aggregate::figures_are_of_this_tenants_live_records_that_match`,
    /// `aggregate::sums_are_exact_beyond_64_bits`,
    /// `aggregate::groups_come_in_the_order_of_their_keys_with_absent_ones_last`,
    /// `aggregate::at_most_so_many_groups_come_and_it_says_whether_there_are_more`,
    /// `aggregate::of_no_records_there_is_one_group_or_none`,
    /// `aggregate::the_smallest_and_the_largest_of_every_type_are_found`,
    /// `aggregate::the_smallest_text_is_by_code_point`, `aggregate::records_group_by_every_type_that_has_an_order`,
    /// `aggregate::an_aggregate_has_its_bounds`, `aggregate::an_entity_that_is_not_there_counts_as_empty`.
    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome>;

    /// Changes the live record of this tenant that has this id and this version, raises its version by one even if
    /// no value differs, and gives the sink the new record. Check and write are one statement.
    ///
    /// Held by `versions::an_update_with_a_stale_version_is_rejected_and_told_the_present_one`,
    /// `versions::versions_rise_by_one`, `versions::no_update_is_lost_among_many_writers`,
    /// `records::an_update_changes_only_what_it_names`, `records::an_update_of_nothing_raises_the_version`,
    /// `references::an_update_is_checked_like_an_insert`, `unique::an_update_to_a_value_that_is_taken_is_refused`,
    /// `dynamic::an_update_replaces_and_removes_keys_one_level_deep`, `search::a_search_follows_every_write`.
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
    /// the order of the updates. An id may stand only once. Which of two is made first is not promised: one may be
    /// refused for a unique value that the other is about to free.
    ///
    /// Held by `batch::each_update_of_many_ends_as_it_would_alone`,
    /// `batch::many_updates_of_changing_fields_come_in_their_order`,
    /// `batch::many_documents_are_inserted_and_updated_as_one`, `batch::many_of_nothing_is_nothing`,
    /// `batch::misuse_of_many_is_refused`.
    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>>;

    /// Marks the live record of this tenant with this id as deleted and tells its version; its unique values become free.
    ///
    /// Held by `deleted::a_restored_record_lives_with_the_next_version_and_its_stamp`,
    /// `soft_delete::a_deleted_record_is_invisible_to_every_verb`,
    /// `soft_delete::deleting_one_record_leaves_the_others`, `unique::deleting_a_record_frees_its_value`.
    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome>;

    /// Makes the deleted record of this tenant with this id live again, raises its version by one, and gives it to the
    /// sink, unless it would break a unique field or reference. One to itself is none that is broken.
    ///
    /// Held by `deleted::a_restored_record_lives_with_the_next_version_and_its_stamp`,
    /// `deleted::only_a_deleted_record_of_this_tenant_can_be_restored`,
    /// `deleted::a_record_whose_unique_value_is_taken_is_not_restored`,
    /// `deleted::a_record_whose_reference_is_gone_is_not_restored`,
    /// `deleted::a_record_that_refers_to_itself_is_restored`.
    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome>;

    /// Removes for good at most `limit` of this tenant's records that were deleted before this moment, those that were
    /// deleted first, and returns how many it removed.
    ///
    /// Held by `deleted::a_purge_removes_what_was_deleted_before_its_moment`,
    /// `deleted::a_purge_removes_at_most_its_limit_the_first_deleted_first`, `deleted::a_purged_id_can_be_had_again`.
    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64>;
}
