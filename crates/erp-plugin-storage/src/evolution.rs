//! What a step of a plan means for tables: begun and finished by the platform, its records moved one tenant at a time.
//!
//! The ledger of entities says of each which schema its table is at. A step is made only if the ledger is where the step
//! begins, and leaves it where the step ends, in one transaction: who was stopped makes a new plan from the ledger, and
//! of two who make a step at once one is told that it was made. What cannot be in one transaction can be begun again.
//!
//! A step that moves records begins with an empty column and a trigger that notes which records are written while they
//! are moved; it ends, under a lock that keeps writers out, with the few that were noted last. Readers go on throughout.

use std::time::Instant;

use async_trait::async_trait;
use erp_plugin_model::evolution::{Archived, Check, Step};
use erp_plugin_model::{EntitySchema, FieldName, PluginName, RecordId, Value};

use crate::{PlatformScope, StorageResult};

/// How the making of a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Altered {
    /// It is made, or begun where it moves records.
    Done,
    /// The ledger is not where the step begins: somebody else was first. Nothing was done.
    Elsewhere,
    /// What is stored does not fit: it was written since the checks, or nobody looked. Nothing was done.
    DoesNotFit,
}

/// Records that break what they must fulfil together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clashes {
    /// How many.
    pub count: u64,
    /// The first of them, with the value that each has.
    pub sample: Vec<(RecordId, Value)>,
}

/// Which records are moved next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those after this one, from the first.
    After(Option<RecordId>),
    /// Those that were written since they were moved.
    Noted,
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// So many records.
    pub records: u64,
    /// The last of them; `None` when there were none left.
    pub last: Option<RecordId>,
}

/// The tables of a plugin, as the ledger has them.
#[async_trait]
pub trait Ledger: Send {
    /// The entities of a plugin, declared and dynamic, by name, each with the schema that its table is at.
    ///
    /// Held by `evolution::the_ledger_tells_what_each_table_is_at`, `dynamic::a_plugin_has_a_limited_number_of_them`.
    async fn entities(&mut self, plugin: &PluginName) -> StorageResult<Vec<EntitySchema>>;

    /// Notes that a plugin's tables are at this version of it.
    ///
    /// Held by `evolution::the_ledger_tells_what_each_table_is_at`.
    async fn set_version(&mut self, plugin: &PluginName, version: &semver::Version) -> StorageResult<()>;

    /// What was put aside of a plugin and not purged, in the order in which it was put aside.
    ///
    /// Held by `archives::what_is_put_aside_is_kept_until_it_is_purged`,
    /// `archives::an_entity_that_was_put_aside_comes_back_with_all_that_it_had`.
    async fn archived(&mut self, plugin: &PluginName) -> StorageResult<Vec<Archived>>;

    /// Removes for good what was put aside, and returns whether it was there. With a table goes what was put aside in it
    /// before. Takes a transaction in [`Mode::Migrate`](crate::Mode::Migrate).
    ///
    /// Held by `archives::what_is_put_aside_is_kept_until_it_is_purged`, `archives::an_entity_that_was_purged_begins_anew`.
    async fn purge_archived(&mut self, archived: &Archived) -> StorageResult<bool>;
}

/// Makes steps.
#[async_trait]
pub trait Alter: Send + Sync {
    /// Makes a step, or begins one that moves records. Beginning one again goes on with it; beginning another that
    /// moves records of the same entity gives the first one up.
    ///
    /// Held by `evolution::each_kind_of_step_keeps_what_it_must`,
    /// `each_kind::each_kind_of_step_is_gone_on_with_wherever_it_was_stopped`,
    /// `each_kind::each_kind_of_step_is_made_by_two_at_once`, `evolution::a_step_is_made_once_and_only_from_where_it_begins`,
    /// `evolution::a_step_that_was_begun_is_gone_on_with_or_given_up`,
    /// `evolution::what_does_not_fit_is_refused_and_nothing_is_done`, `evolution::a_table_that_was_altered_is_like_a_new_one`.
    async fn alter(&self, scope: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered>;

    /// Finishes a step that moves records, once all were moved: keeps writers out for as long as it takes to move those
    /// that were noted, and makes what was moved the entity's own.
    ///
    /// Held by `evolution::each_kind_of_step_keeps_what_it_must`,
    /// `evolution::what_is_written_meanwhile_is_moved_too`.
    async fn finish(&self, scope: PlatformScope, step: &Step, deadline: Instant) -> StorageResult<Altered>;

    /// The statements that a step is made with, for people to read. Those that move records stand for many.
    ///
    /// Held by `evolution::a_step_shows_its_statements`.
    fn statements(&self, step: &Step) -> Vec<String>;
}

/// What a step reads and writes of one tenant's records. Takes a transaction in
/// [`Mode::Migrate`](crate::Mode::Migrate).
#[async_trait]
pub trait Reshape: Send {
    /// The values of a field of live records in the order of their ids, at most `limit` after this one. Without a field
    /// the documents of a dynamic entity, and nothing of a declared one but its ids.
    ///
    /// Held by `evolution::values_come_in_the_order_of_ids_of_live_records`.
    async fn values(
        &mut self,
        schema: &EntitySchema,
        field: Option<&FieldName>,
        after: Option<RecordId>,
        limit: u32,
    ) -> StorageResult<Vec<(RecordId, Value)>>;

    /// The live records that break [`Check::Duplicate`] or [`Check::Dangling`], at most `limit` of them shown. `schema`
    /// is the entity as it is stored, but the field's type as it will be.
    ///
    /// Held by `evolution::duplicates_and_dangling_references_are_found`.
    async fn clashes(&mut self, schema: &EntitySchema, check: &Check, limit: u32) -> StorageResult<Clashes>;

    /// Moves at most `limit` records of a step that was begun, deleted ones as well.
    ///
    /// Held by `evolution::each_kind_of_step_keeps_what_it_must`,
    /// `evolution::what_is_written_meanwhile_is_moved_too`, `evolution::records_are_moved_in_one_tenant_only`.
    async fn move_records(&mut self, step: &Step, which: Which, limit: u32) -> StorageResult<Moved>;
}
