//! Is the suite worth its time? Each promise is broken once, on a real backend, and the case that the table names must
//! fail.
//!
//! A sabotage is an [`Interceptor`] of the calls to the backend: it does what a backend does that has the bug of its
//! name, and leaves everything else to the backend. The suite's own list of cases is not run: only those that are
//! named here, each of them also without a sabotage.
//!
//! To add a sabotage: 1. the interceptor, in the file of its concern; 2. a line in the table below, with the case that
//! catches it; 3. the case, if there is none yet. Both backends run it: `cargo xtask test --sabotage`.

mod batches;
mod deleted;
mod erasure;
mod events;
mod evolution;
mod filters;
mod history;
mod jobs;
mod lifecycle;
mod pages;
mod rows;
mod runner;
mod series;
mod system;
mod tenants;
mod transactions;
mod unique;
mod values;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use erp_plugin_storage::{Mode, Storage};

pub use runner::main;

use crate::intercept::Interceptor;
use crate::{Running, boxed};
use deleted::SeesDeleted;
use events::{End, NoToken};
use pages::Sorted;
use tenants::{NoTenantPredicate, TenantLeftBehind};
use transactions::{EachQueryAlone, KeepsAWrite, Meeting};
use versions::CheckedInAnotherTransaction;

/// A case of the suite.
#[derive(Clone, Copy)]
struct Case {
    /// `module::name`.
    name: &'static str,
    run: fn(Arc<dyn Storage>) -> Running,
}

/// A promise that is broken, and the case that must notice.
struct Sabotage {
    name: &'static str,
    interceptor: fn() -> Arc<dyn Interceptor>,
    caught_by: Case,
}

/// The table, a line for each sabotage: its name, its interceptor, the case that must catch it.
macro_rules! sabotages {
    ($($name:literal: $interceptor:expr => $module:ident::$case:ident;)*) => {
        fn sabotages() -> Vec<Sabotage> {
            vec![$(Sabotage {
                name: $name,
                interceptor: || Arc::new($interceptor),
                caught_by: Case {
                    name: concat!(stringify!($module), "::", stringify!($case)),
                    run: boxed::$module::$case,
                },
            }),*]
        }
    };
}

sabotages! {
    "no tenant predicate in get": NoTenantPredicate::of(tenants::Statement::Get)
        => tenants::every_verb_answers_for_anothers_record_as_for_none;
    "no tenant predicate in query": NoTenantPredicate::of(tenants::Statement::Query)
        => tenants::no_query_shows_or_counts_anothers_records;
    "no tenant predicate in count": NoTenantPredicate::of(tenants::Statement::Count)
        => aggregate::a_count_is_of_this_tenants_live_records_that_match;
    "no tenant predicate in aggregate": NoTenantPredicate::of(tenants::Statement::Aggregate)
        => aggregate::figures_are_of_this_tenants_live_records_that_match;
    "no tenant predicate in update": NoTenantPredicate::of(tenants::Statement::Update)
        => tenants::every_verb_answers_for_anothers_record_as_for_none;
    "no tenant predicate in what tells a stale version": NoTenantPredicate::of(tenants::Statement::ActualVersion)
        => tenants::every_verb_answers_for_anothers_record_as_for_none;
    "no tenant predicate in delete": NoTenantPredicate::of(tenants::Statement::Delete)
        => tenants::every_verb_answers_for_anothers_record_as_for_none;
    "no tenant predicate in restore": NoTenantPredicate::of(tenants::Statement::Restore)
        => deleted::only_a_deleted_record_of_this_tenant_can_be_restored;
    "no tenant predicate in purge": NoTenantPredicate::of(tenants::Statement::Purge)
        => deleted::a_purge_removes_what_was_deleted_before_its_moment;
    "no tenant predicate in unique": NoTenantPredicate::of(tenants::Statement::Unique)
        => unique::the_same_value_is_free_in_another_tenant;
    "no tenant predicate in references": NoTenantPredicate::of(tenants::Statement::Reference)
        => references::another_tenants_record_is_refused_like_one_that_never_was;
    "no tenant predicate in done": NoTenantPredicate::of(tenants::Statement::MarkDone)
        => events::another_tenant_cannot_mark_done;
    "no tenant predicate in the count of events": NoTenantPredicate::of(tenants::Statement::EventCount)
        => tenants::configuration_activation_journal_and_events_are_the_tenants_own;
    "no tenant predicate in configuration": NoTenantPredicate::of(tenants::Statement::Config)
        => tenants::configuration_activation_journal_and_events_are_the_tenants_own;
    "no tenant predicate in the roles": NoTenantPredicate::of(tenants::Statement::Roles)
        => tenants::roles_and_who_has_them_are_the_tenants_own;
    "no tenant predicate in a user's roles": NoTenantPredicate::of(tenants::Statement::RolesOf)
        => tenants::roles_and_who_has_them_are_the_tenants_own;
    "no tenant predicate in removing a role": NoTenantPredicate::of(tenants::Statement::RemoveRole)
        => tenants::roles_and_who_has_them_are_the_tenants_own;
    "no tenant predicate in a series": NoTenantPredicate::of(tenants::Statement::TakeNumbers)
        => tenants::series_are_the_tenants_own;
    "no tenant predicate in the log": NoTenantPredicate::of(tenants::Statement::Log)
        => tenants::configuration_activation_journal_and_events_are_the_tenants_own;
    "no tenant predicate in usage": NoTenantPredicate::of(tenants::Statement::Usage)
        => tenants::configuration_activation_journal_and_events_are_the_tenants_own;
    "no tenant predicate in the history": NoTenantPredicate::of(tenants::Statement::History)
        => history::changes_are_the_tenants_and_the_entitys_own;
    "no tenant predicate in the audit trail": lifecycle::AuditOfAll
        => audit::entries_are_found_by_tenant_and_plugin_the_newest_first;
    "an audit entry outlives a rollback": lifecycle::AuditAtOnce => audit::what_was_done_is_noted_with_it_or_not_at_all;
    "a quarantine holds nobody": lifecycle::QuarantineOver => dispatch::what_is_in_quarantine_waits_until_it_may_be_tried;
    "a version that does not run is kept": lifecycle::AnyVersion
        => registry::what_a_version_wrote_is_kept_only_where_it_runs;
    "everybody changes a quarantine": lifecycle::QuarantineForAll => registry::a_quarantine_is_changed_by_one;
    "history is not filtered": history::FiltersNothing => history::changes_are_found_by_time_author_and_kind;
    "tenants that differ in case are one": tenants::TenantsIgnoreCase
        => tenants::names_that_are_nearly_equal_are_two_tenants;
    "a tenant left on a pooled connection": TenantLeftBehind::by_an_end()
        => tenants::a_transaction_after_anothers_carries_nothing_of_it;
    "a tenant left on the connection of a dropped transaction": TenantLeftBehind::by_a_drop()
        => tenants::a_transaction_after_anothers_carries_nothing_of_it;

    "deleted rows visible in get": SeesDeleted::by(deleted::Statement::Get)
        => soft_delete::a_deleted_record_is_invisible_to_every_verb;
    "deleted rows visible in query": SeesDeleted::by(deleted::Statement::Query)
        => soft_delete::a_deleted_record_is_invisible_to_every_verb;
    "deleted rows visible in count": SeesDeleted::by(deleted::Statement::Count)
        => aggregate::a_count_is_of_this_tenants_live_records_that_match;
    "deleted rows visible in aggregate": SeesDeleted::by(deleted::Statement::Aggregate)
        => aggregate::figures_are_of_this_tenants_live_records_that_match;
    "deleted rows visible in update": SeesDeleted::by(deleted::Statement::Update)
        => soft_delete::a_deleted_record_is_invisible_to_every_verb;
    "deleted rows visible in delete": SeesDeleted::by(deleted::Statement::Delete)
        => soft_delete::a_deleted_record_is_invisible_to_every_verb;
    "deleted rows visible in unique": SeesDeleted::by(deleted::Statement::Unique)
        => unique::deleting_a_record_frees_its_value;
    "deleted rows visible in references": SeesDeleted::by(deleted::Statement::Reference)
        => references::a_deleted_record_is_refused;
    "restore without the unique check": SeesDeleted::by(deleted::Statement::Restore)
        => deleted::a_record_whose_unique_value_is_taken_is_not_restored;
    "restore without the check of references": SeesDeleted::by(deleted::Statement::Restore)
        => deleted::a_record_whose_reference_is_gone_is_not_restored;

    "no version check": versions::NoVersionCheck
        => versions::an_update_with_a_stale_version_is_rejected_and_told_the_present_one;
    "no version check in a batch": versions::NoVersionCheckInBatches
        => batch::each_update_of_many_ends_as_it_would_alone;
    "version check as a separate read": CheckedInAnotherTransaction(Meeting::of(Duration::from_secs(1)))
        => versions::of_writers_with_one_version_exactly_one_wins;
    "updates lost after a separate version check":
        CheckedInAnotherTransaction(Meeting::of(Duration::from_millis(10)))
        => versions::no_update_is_lost_among_many_writers;
    "version not raised": versions::NotRaised => versions::versions_rise_by_one;
    "version not raised by an update of nothing": versions::NotRaisedByNothing
        => records::an_update_of_nothing_raises_the_version;

    "rollback keeps one write": KeepsAWrite::by_a_rollback()
        => transactions::a_rollback_leaves_only_the_invocations_record;
    "drop keeps one write": KeepsAWrite::by_a_drop() => transactions::dropping_a_transaction_rolls_it_back;
    "commit keeps nothing": transactions::CommitsNothing => transactions::a_commit_makes_all_of_it_visible;
    "outbox row outside the transaction": transactions::OutboxOutside::default()
        => events::events_go_with_a_rollback;
    "history outside the transaction": history::Outside => history::changes_go_with_a_rollback;
    "an update does not show what it replaces": history::ShowsNothingReplaced
        => history::an_update_shows_what_it_replaces;
    "many updates do not show what they replace": history::ShowsNothingReplaced
        => history::many_updates_show_what_they_replace;
    "an update shows what it has written": history::ShowsTheNewOne => history::an_update_shows_what_it_replaces;
    "pruning has no limit": history::PrunesAll
        => history::pruning_removes_only_what_is_older_at_most_its_limit_the_oldest_first;
    "a deletion comes before what it deletes": history::DeletesFirst
        => history::a_records_changes_come_newest_first_a_page_at_a_time;
    "rollback undoes the invocation's record": transactions::RollsTheRecordBack
        => journal::a_record_is_kept_with_a_commit_and_with_a_rollback;
    "no record of a transaction that only reads": transactions::ForgetsReaders
        => journal::a_read_transaction_keeps_its_record_too;
    "a read transaction may write": transactions::Begins(transactions::readers_as_writers)
        => transactions::a_read_transaction_refuses_to_write;
    "the deadline is not looked at": transactions::Begins(transactions::without_a_deadline)
        => transactions::past_the_deadline_nothing_more_is_done;
    "a read transaction sees many moments": EachQueryAlone::of(Mode::Read)
        => isolation::a_read_transaction_sees_one_moment;
    "a writer reads in another transaction, and inserts": EachQueryAlone::of(Mode::Write)
        => isolation::query_then_insert_if_none_leaves_one;
    "a writer reads in another transaction, and updates": EachQueryAlone::of(Mode::Write)
        => isolation::what_one_reads_the_other_does_not_change_meanwhile;

    "cursor skips on equal sort keys": pages::AsksFor(pages::after_equal_keys)
        => sorting::pages_neither_skip_nor_repeat_on_equal_keys;
    "cursor repeats on equal sort keys": pages::AsksFor(pages::from_equal_keys)
        => sorting::pages_neither_skip_nor_repeat_on_equal_keys;
    "cursor compares all keys in the direction of the first":
        Sorted { order: pages::absent_last, cursor: pages::all_in_one_direction }
        => sorting::pages_neither_skip_nor_repeat_on_equal_keys;
    "absent values sort first when ascending": Sorted::by(pages::absent_is_least)
        => sorting::absent_values_come_last_in_both_directions;
    "absent values sort first when descending": Sorted::by(pages::absent_is_greatest)
        => sorting::absent_values_come_last_in_both_directions;
    "text sorts by UTF-16": Sorted::by(pages::by_utf16) => sorting::every_type_sorts_and_pages;
    "text sorts by a language": Sorted::by(pages::by_language) => sorting::every_type_sorts_and_pages;
    "equal keys always by ascending id": pages::AsksFor(pages::by_ascending_id)
        => sorting::absent_values_come_last_in_both_directions;
    "has_more always false": pages::Says(pages::never_more)
        => queries::a_page_has_at_most_its_limit_and_says_whether_more_follow;
    "has_more after every full page": pages::Says(pages::more_after_every_full_page)
        => queries::a_page_has_at_most_its_limit_and_says_whether_more_follow;
    "total of the page": pages::Says(pages::the_total_of_the_page)
        => queries::the_total_is_of_all_that_match_and_only_on_request;
    "rows_scanned of what was found": pages::Says(pages::only_what_was_found_was_looked_at)
        => queries::what_a_query_looks_at_is_counted_whether_it_finds_it_or_not;
    "offset not looked at": pages::AsksFor(pages::from_the_beginning) => queries::an_offset_skips_records;
    "a sink that has enough gets more": pages::NeverStops => queries::a_sink_that_has_enough_gets_no_more;

    "not of a comparison with nothing is unknown": filters::Takes(filters::unknown_is_not_true)
        => filters::a_comparison_with_an_absent_value_is_false_and_its_negation_true;
    "nothing is unequal to everything": filters::Takes(filters::absent_is_unequal)
        => filters::a_comparison_with_an_absent_value_is_false_and_its_negation_true;
    "a prefix is a pattern": filters::Takes(filters::a_prefix_is_a_pattern)
        => filters::a_prefix_is_a_range_of_code_points;
    "a prefix ignores case": filters::Takes(filters::a_prefix_ignores_case)
        => filters::a_prefix_is_a_range_of_code_points;
    "text compares without case": filters::Takes(filters::text_ignores_case)
        => filters::text_compares_by_code_point;
    "text compares by UTF-16": filters::Takes(filters::text_is_utf16) => filters::text_compares_by_code_point;
    "a search folds ASCII only": filters::Takes(filters::a_search_folds_ascii_only)
        => search::a_search_ignores_case_in_every_script;
    "folded column not updated": filters::FoldsOnce::default() => search::a_search_follows_every_write;

    "unique ignores case": unique::Same(unique::ignoring_case)
        => unique::values_that_differ_only_in_case_accent_or_space_do_not_clash;
    "unique ignores trailing space": unique::Same(unique::ignoring_trailing_space)
        => unique::values_that_differ_only_in_case_accent_or_space_do_not_clash;
    "absent values clash": unique::Same(unique::absent_is_a_value)
        => unique::absent_values_never_clash_and_empty_ones_do;
    "the first unique field is named": unique::NamesTheFirst
        => unique::of_several_unique_fields_the_one_that_clashes_is_named;

    "insert_many takes a duplicate for inserted": batches::DuplicatesPassForInserted
        => batch::of_many_inserts_with_one_unique_value_the_first_is_kept;
    "insert_many keeps the last of duplicates": batches::TheLastIsKept
        => batch::of_many_inserts_with_one_unique_value_the_first_is_kept;
    "insert_many lets records refer to one another": batches::OneByOne
        => batch::many_inserts_cannot_refer_to_one_another;
    "insert_many writes nothing when one is refused": batches::AllOrNothing
        => batch::each_insert_of_many_ends_as_it_would_alone;
    "update_many gives records by their ids": batches::UpdatesById
        => batch::many_updates_of_changing_fields_come_in_their_order;

    "float decimals": values::Kept(values::float_decimals)
        => records::the_extremes_of_every_type_come_back_as_they_were;
    "float integers": values::Kept(values::float_integers)
        => records::the_extremes_of_every_type_come_back_as_they_were;
    "millisecond times": values::Kept(values::millisecond_times)
        => records::a_value_of_every_type_comes_back_as_it_was;
    "millisecond stamps": values::Kept(values::millisecond_stamps)
        => records::a_new_record_has_version_one_and_its_stamp;
    "empty text is absent": values::Kept(values::empty_text_is_absent)
        => records::an_absent_value_is_not_an_empty_one;
    "trailing space is cut": values::Kept(values::padded_text) => records::text_of_every_kind_comes_back_as_it_was;
    "no text beyond three bytes": values::Kept(values::no_text_beyond_three_bytes)
        => records::text_of_every_kind_comes_back_as_it_was;
    "numbers in JSON are floats": values::Kept(values::json_numbers_are_floats)
        => records::json_keeps_its_spelling_or_at_least_its_value;

    "sums in 64 bits": system::Sums(system::in_64_bits) => aggregate::sums_are_exact_beyond_64_bits;
    "sums as floats": system::Sums(system::as_a_float) => aggregate::sums_are_exact_beyond_64_bits;
    "no group of absent values": system::NoGroupOfAbsentValues
        => aggregate::groups_come_in_the_order_of_their_keys_with_absent_ones_last;

    "done without the token": NoToken::at(End::Done) => events::a_stale_claim_cannot_mark_done;
    "failure without the token": NoToken::at(End::Failure) => dispatch::a_failure_leaves_the_delivery_at_the_head;
    "release without the token": NoToken::at(End::Release) => dispatch::a_claim_that_is_given_back_was_no_attempt;
    "attempts are not counted": events::Claims(events::always_the_first_attempt)
        => dispatch::each_claim_raises_token_and_attempt;
    "the token does not rise": events::Claims(events::always_one_token)
        => dispatch::each_claim_raises_token_and_attempt;
    "a delivery forgets its depth": events::Claims(events::no_depth) => events::a_delivery_tells_all_that_was_published;
    "a round of dispatch has no limit": events::DispatchesAll
        => dispatch::a_round_numbers_at_most_its_limit_the_oldest_first;
    "a stream is in everybody's hands": events::ClaimsAreNobodys => dispatch::a_stream_is_in_one_workers_hands;
    "a failed delivery is tried again at once": events::NoDelay => dispatch::a_failed_delivery_waits_for_its_time;
    "the living are retired": events::RetiresTheLiving => workers::a_new_sign_of_life_comes_before_retirement;
    "what is sent again is dropped": events::DropsWhatIsResent
        => dead_letters::what_is_sent_again_comes_next_in_its_stream;
    "dead letters are pruned": events::PrunesDeadLetters => outbox::only_what_was_delivered_is_pruned;
    "the first failure is for good": events::NoSecondAttempt => dispatch::a_failure_leaves_the_delivery_at_the_head;
    "streams that were worked off take places in a claim": events::DoneTakesPlaces::default()
        => dispatch::streams_that_were_worked_off_take_nobodys_place;
    "a claim given back was an attempt": events::ReleaseCounts
        => dispatch::a_claim_that_is_given_back_was_no_attempt;

    "what was planned is planned again": jobs::PlansWhatWasPlanned::default()
        => jobs::what_is_due_is_planned_once;
    "runs of a job overlap": jobs::RunsOverlap
        => jobs::runs_of_one_job_come_one_after_the_other;
    "no token in the end of a run": jobs::NoToken::default()
        => jobs::a_stale_claim_of_a_run_cannot_end_it;
    "a run is claimed before its time": jobs::ClaimsAhead
        => jobs::a_run_is_claimed_when_it_is_due;
    "nothing is skipped": jobs::SkipsNothing
        => jobs::an_occasion_is_skipped_while_the_run_before_it_has_not_ended;
    "a run given back was an attempt": jobs::ReleaseCounts
        => jobs::a_run_that_is_given_back_was_not_attempted;

    "the newest log lines come first": system::NewestFirst
        => journal::the_newest_log_lines_come_the_oldest_of_them_first;
    "millisecond log lines": system::MillisecondLines => journal::a_log_line_keeps_its_text_and_moment;
    "a purge has no limit": system::PurgesAll
        => deleted::a_purge_removes_at_most_its_limit_the_first_deleted_first;
    "failed invocations are not counted": system::NothingFails
        => journal::a_record_is_kept_with_a_commit_and_with_a_rollback;
    "dynamic entities without end": system::DynamicWithoutEnd => dynamic::a_plugin_has_a_limited_number_of_them;
    "a role that is removed waits for another of its name": system::RolesComeBack::default()
        => roles::removing_a_role_takes_it_from_its_users;
    "a role that is not there can be assigned": system::AssignsAnything
        => roles::a_role_is_assigned_and_taken_away;
    "numbers are taken outside the transaction": series::Outside => series::a_rollback_leaves_no_gap;
    "numbers that are given back are lost": series::NothingIsGivenBack
        => series::numbers_that_are_given_back_are_the_next_ones;
    "a table of another schema will do": system::IfNotExists
        => schema::an_entity_made_from_another_schema_is_left_alone;
    "who comes second takes a step for his own": evolution::EveryStepIsMade
        => evolution::a_step_is_made_once_and_only_from_where_it_begins;
    "a step moves no record": evolution::MovesNothing => evolution::each_kind_of_step_keeps_what_it_must;
    "duplicates are not seen": evolution::SeesNoClash
        => evolution::duplicates_and_dangling_references_are_found;
    "what was put aside is forgotten": evolution::RemembersNothing
        => archives::what_is_put_aside_is_kept_until_it_is_purged;
    "what was put aside in a table is forgotten with it": evolution::ForgetsColumns
        => archives::an_entity_that_was_put_aside_comes_back_with_all_that_it_had;
    "what was purged is still there": evolution::PurgesNothing
        => archives::an_entity_that_was_purged_begins_anew;
    "an uninstalled plugin's versions stay": evolution::RemembersNothing
        => registry::the_versions_of_a_plugin_go_together;
    "nobody knows where a plugin is enabled": evolution::RemembersNothing
        => registry::a_plugin_is_enabled_per_tenant;
    "what runs never changes": evolution::RemembersNothing => registry::one_version_of_a_plugin_is_active;
    "rights are not granted anew": evolution::RemembersNothing
        => registry::rights_of_a_version_can_be_granted_anew;
    "a tenant is new each time": system::IfNotExists => access::a_tenant_is_new_once;
    "a version is new each time": system::IfNotExists => registry::a_version_is_new_once_and_never_changes;
    "an erasure forgets a table of the system": erasure::ForgetsATable("plugin_config")
        => erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others;
    "an erasure forgets an entity": erasure::ForgetsATable("suite__note")
        => erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others;
    "an erasure forgets what was put aside": erasure::ForgetsWhatWasPutAside
        => erasure::what_was_put_aside_is_erased_too;
    "an erasure takes another tenant's rows": erasure::ErasesOthers
        => erasure::nothing_of_a_tenant_is_left_and_everything_of_the_others;
    "an erasure takes a plugin's namesakes": erasure::ErasesNamesakes
        => erasure::nothing_of_a_plugin_is_left_and_everything_of_the_others;
    "an erasure has no limit": erasure::ErasesAllAtOnce => erasure::a_batch_has_at_most_its_limit;
    "a suspended tenant's streams are claimed": erasure::ClaimsOfSuspended
        => dispatch::a_suspended_tenants_deliveries_wait_until_it_is_resumed;

    "a tenant is found by a part of its id": system::TenantsByPrefix
        => access::a_tenant_is_looked_up_by_its_very_id;
}
