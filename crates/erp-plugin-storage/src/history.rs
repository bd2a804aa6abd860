//! The history of records: who changed what, when, and on whose behalf.
//!
//! Which changes are noted, and what of them, is decided above; that they commit and roll back with the records, are
//! one tenant's own and come in order, is promised here. Changes are JSON objects, kept as they were spelled: text that
//! no backend looks into. They hold no character U+0000.
//!
//! A record's changes are in the order of its versions. Of two with one version the deletion is the later: it is the one
//! change that leaves the version as it is.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, InvocationId, PluginName, RecordId, UserId, Version};

use crate::{SinkFlow, StorageResult};

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It was inserted.
    Insert,
    /// It was changed.
    Update,
    /// It was deleted.
    Delete,
    /// It lives again after it was deleted.
    Restore,
}

impl Verb {
    /// Every verb, by its [`rank`](Self::rank).
    pub const BY_RANK: [Self; 4] = [Self::Insert, Self::Update, Self::Restore, Self::Delete];

    /// The verb, as permissions spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }

    /// The verb as it is stored: of two changes with one version the later has the greater.
    #[must_use]
    pub fn rank(self) -> i64 {
        match self {
            Self::Insert => 0,
            Self::Update => 1,
            Self::Restore => 2,
            Self::Delete => 3,
        }
    }

    /// The verb that is stored as this.
    #[must_use]
    pub fn of_rank(rank: i64) -> Option<Self> {
        Self::BY_RANK.into_iter().find(|verb| verb.rank() == rank)
    }
}

/// What all changes of one invocation have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom: a user id, or `plugin:<name>`.
    pub by: &'a str,
    /// The user at the start of the chain.
    pub caused_by: Option<&'a UserId>,
    /// The plugin that was called, and its version; `None` at the platform's edge.
    pub plugin: Option<(&'a PluginName, &'a str)>,
    /// The invocation.
    pub invocation: InvocationId,
}

/// A change to be noted.
#[derive(Clone, Copy, Debug)]
pub struct NewChange<'a> {
    /// The record's entity.
    pub entity: &'a EntityRef,
    /// The record.
    pub record: RecordId,
    /// The version that the record has since.
    pub version: Version,
    /// What was done.
    pub verb: Verb,
    /// The fields that changed, as a JSON object; `None` where no field did.
    pub changes: Option<&'a str>,
}

/// Where a change stands among those of its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangePlace {
    /// When it was.
    pub at: DateTime<Utc>,
    /// The record.
    pub record: RecordId,
    /// The version that the record has since.
    pub version: Version,
    /// What was done.
    pub verb: Verb,
}

/// A change as it was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedChange<'a> {
    /// When, to which record, and what was done.
    pub place: ChangePlace,
    /// By whom.
    pub by: &'a str,
    /// The user at the start of the chain.
    pub caused_by: Option<&'a str>,
    /// The plugin that was called.
    pub plugin: Option<&'a str>,
    /// Its version.
    pub plugin_version: Option<&'a str>,
    /// The invocation.
    pub invocation: InvocationId,
    /// The fields that changed, as a JSON object.
    pub changes: Option<&'a str>,
}

/// Which changes are wanted of all that there are; those that fulfil every part that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter<'a> {
    /// Not before this moment.
    pub since: Option<DateTime<Utc>>,
    /// Before this moment.
    pub until: Option<DateTime<Utc>>,
    /// By this user or plugin, as [`Origin::by`] says.
    pub by: Option<&'a str>,
    /// Of this kind.
    pub verb: Option<Verb>,
}

impl ChangeFilter<'_> {
    /// Whether every change fulfils it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which changes of an entity's records are wanted: the newest first.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery<'a> {
    /// Of this record only, in the order of its versions. Without it they are in the order of their times, and those of
    /// one time in that of the records' ids.
    pub record: Option<RecordId>,
    /// Only these.
    pub filter: ChangeFilter<'a>,
    /// Only those that come after this one, in the same order. Of one record the time in it does not matter.
    pub after: Option<ChangePlace>,
    /// At most so many.
    pub limit: u32,
}

/// Where changes go as they are read.
pub trait HistorySink: Send {
    /// Takes one change.
    ///
    /// Held by `history::a_sink_that_has_enough_gets_no_more`.
    fn change(&mut self, change: &NotedChange<'_>) -> StorageResult<SinkFlow>;
}

/// The history of the transaction's tenant.
#[async_trait]
pub trait History: Send {
    /// Notes changes, which become visible with everything else that this transaction wrote, or not at all. A record has
    /// at most one change of a verb with one version.
    ///
    /// Held by `history::changes_become_visible_with_the_commit`, `history::changes_go_with_a_rollback`,
    /// `history::noting_nothing_is_nothing`, `history::a_change_comes_back_as_it_was`,
    /// `history::a_transaction_sees_what_it_noted_itself`, `history::a_read_transaction_notes_nothing`.
    async fn note_changes(&mut self, origin: Origin<'_>, changes: &[NewChange<'_>]) -> StorageResult<()>;

    /// Gives the sink this tenant's changes of an entity's records, and returns whether more follow.
    ///
    /// Held by `history::a_records_changes_come_newest_first_a_page_at_a_time`,
    /// `history::an_entitys_changes_come_newest_first_a_page_at_a_time`,
    /// `history::changes_are_found_by_time_author_and_kind`,
    /// `history::changes_are_the_tenants_and_the_entitys_own`, `history::a_sink_that_has_enough_gets_no_more`.
    async fn history(
        &mut self,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool>;

    /// Removes for good at most `limit` of this tenant's changes of an entity's records that are older than this moment,
    /// the oldest first, and returns how many it removed.
    ///
    /// Held by `history::pruning_removes_only_what_is_older_at_most_its_limit_the_oldest_first`.
    async fn prune_history(
        &mut self,
        entity: &EntityRef,
        before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_found_by_its_rank_and_a_deletion_ranks_last() {
        for verb in Verb::BY_RANK {
            assert_eq!(Verb::of_rank(verb.rank()), Some(verb));
            assert!(verb.rank() <= Verb::Delete.rank());
        }
        assert_eq!(Verb::of_rank(4), None);
    }
}
