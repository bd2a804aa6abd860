//! The list of all cases, for the macros that make something of each.

/// Gives the cases of one backend to a macro of this crate, after whatever else it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! each_case {
    ($callback:ident $($given:tt)*) => {
        $crate::$callback! { $($given)*
            access: [
                a_tenant_is_new_once,
                tenants_are_listed_by_id,
                a_tenant_is_looked_up_by_its_very_id,
            ],
            aggregate: [
                a_count_is_of_this_tenants_live_records_that_match,
                a_count_says_what_it_looked_at,
                an_entity_that_is_not_there_counts_as_empty,
                of_no_records_there_is_one_group_or_none,
                figures_are_of_this_tenants_live_records_that_match,
                the_smallest_and_the_largest_of_every_type_are_found,
                the_smallest_text_is_by_code_point,
                sums_are_exact_beyond_64_bits,
                groups_come_in_the_order_of_their_keys_with_absent_ones_last,
                records_group_by_every_type_that_has_an_order,
                at_most_so_many_groups_come_and_it_says_whether_there_are_more,
                an_aggregate_has_its_bounds,
            ],
            batch: [
                many_inserts_of_every_type_come_back_as_they_were,
                many_inserts_are_one_transaction_and_one_tenants,
                each_insert_of_many_ends_as_it_would_alone,
                of_many_inserts_with_one_unique_value_the_first_is_kept,
                many_inserts_cannot_refer_to_one_another,
                many_documents_are_inserted_and_updated_as_one,
                each_update_of_many_ends_as_it_would_alone,
                many_updates_of_changing_fields_come_in_their_order,
                many_of_nothing_is_nothing,
                misuse_of_many_is_refused,
                many_take_no_longer_than_there_is_time,
            ],
            deleted: [
                a_restored_record_lives_with_the_next_version_and_its_stamp,
                only_a_deleted_record_of_this_tenant_can_be_restored,
                a_record_whose_unique_value_is_taken_is_not_restored,
                a_record_whose_reference_is_gone_is_not_restored,
                a_record_that_refers_to_itself_is_restored,
                a_purge_removes_what_was_deleted_before_its_moment,
                a_purge_removes_at_most_its_limit_the_first_deleted_first,
                a_purged_id_can_be_had_again,
            ],
            dispatch: [
                an_event_goes_once_to_each_plugin_that_subscribes_to_it,
                a_plugin_gets_its_own_events_only_if_it_asks,
                events_of_a_stream_come_in_order_and_numbered_from_one,
                events_without_subscribers_are_numbered_once_and_for_all,
                a_round_numbers_at_most_its_limit_the_oldest_first,
                subscriptions_count_as_they_stand_when_the_event_is_numbered,
                a_claim_takes_the_head_of_each_stream_only,
                each_claim_raises_token_and_attempt,
                a_claim_that_is_rolled_back_was_none,
                claims_go_round_robin_by_tenant,
                a_claim_takes_at_most_its_limit,
                streams_that_were_worked_off_take_nobodys_place,
                a_disabled_plugins_deliveries_wait_until_it_is_enabled_again,
                a_failure_leaves_the_delivery_at_the_head,
                a_claim_that_is_given_back_was_no_attempt,
                a_delivery_that_is_set_aside_lets_its_stream_go_on,
                deliveries_set_aside_are_listed_the_oldest_first,
                a_stream_that_was_idle_wakes_up,
            ],
            dynamic: [
                the_first_insert_makes_the_entity_in_its_own_transaction,
                an_entity_that_is_not_there_has_no_records,
                after_a_rollback_it_has_no_records,
                documents_come_back_as_they_were,
                an_update_replaces_and_removes_keys_one_level_deep,
                an_update_may_name_many_keys,
                a_document_has_a_longest_length_however_it_came_to_it,
                a_hostile_key_is_only_a_key,
                a_value_compares_only_with_its_own_type,
                only_top_level_keys_are_compared,
                the_hosts_own_fields_are_not_keys,
                it_sorts_by_the_hosts_own_fields_and_by_no_key,
                a_plugin_has_a_limited_number_of_them,
                a_declared_entity_is_no_dynamic_one,
            ],
            events: [
                events_become_visible_with_the_commit,
                events_go_with_a_rollback,
                publishing_nothing_is_nothing,
                a_delivery_tells_all_that_was_published,
                a_done_mark_is_part_of_its_transaction,
                a_stale_claim_cannot_mark_done,
                another_tenant_cannot_mark_done,
            ],
            filters: [
                a_comparison_with_an_absent_value_is_false_and_its_negation_true,
                and_or_and_not_have_two_values_in_every_combination,
                all_of_none_is_true_and_any_of_none_is_false,
                every_type_compares_in_its_own_order,
                text_compares_by_code_point,
                a_prefix_is_a_range_of_code_points,
                the_hosts_own_fields_can_be_filtered,
                a_filter_may_be_as_long_and_as_deep_as_a_host_lets_it,
                the_longest_chain_of_conditions_may_stand_at_the_bottom_of_the_deepest_nesting,
                hostile_values_are_only_values,
            ],
            history: [
                changes_become_visible_with_the_commit,
                changes_go_with_a_rollback,
                noting_nothing_is_nothing,
                a_change_comes_back_as_it_was,
                a_transaction_sees_what_it_noted_itself,
                a_read_transaction_notes_nothing,
                a_records_changes_come_newest_first_a_page_at_a_time,
                an_entitys_changes_come_newest_first_a_page_at_a_time,
                changes_are_the_tenants_and_the_entitys_own,
                a_sink_that_has_enough_gets_no_more,
                pruning_removes_only_what_is_older_at_most_its_limit_the_oldest_first,
                an_update_shows_what_it_replaces,
                an_update_shows_what_it_replaces_only_to_who_asks,
                many_updates_show_what_they_replace,
                an_update_of_a_document_shows_the_one_before,
            ],
            isolation: [
                nobody_sees_what_is_not_committed,
                a_read_transaction_sees_one_moment,
                query_then_insert_if_none_leaves_one,
                what_one_reads_the_other_does_not_change_meanwhile,
                writers_of_many_tenants_get_through,
                a_failed_writer_takes_nobody_with_it,
            ],
            journal: [
                a_record_is_kept_with_a_commit_and_with_a_rollback,
                a_read_transaction_keeps_its_record_too,
                a_drop_keeps_no_record_and_nor_does_none,
                usage_is_summed_by_plugin_and_peak_memory_is_the_largest,
                large_figures_do_not_break_the_sums,
                log_lines_are_chosen_by_plugin_and_severity,
                the_newest_log_lines_come_the_oldest_of_them_first,
                a_log_line_keeps_its_text_and_moment,
            ],
            property: [
                random_operations_of_two_tenants_agree_with_the_model,
            ],
            queries: [
                an_empty_entity_has_an_empty_page,
                a_page_has_at_most_its_limit_and_says_whether_more_follow,
                an_offset_skips_records,
                the_total_is_of_all_that_match_and_only_on_request,
                what_a_query_looks_at_is_counted_whether_it_finds_it_or_not,
                a_query_sees_what_its_own_transaction_wrote,
                a_row_shows_every_value_of_every_type,
                a_sink_that_has_enough_gets_no_more,
                a_sink_that_fails_ends_the_query_and_leaves_the_transaction,
            ],
            records: [
                a_value_of_every_type_comes_back_as_it_was,
                the_extremes_of_every_type_come_back_as_they_were,
                text_of_every_kind_comes_back_as_it_was,
                json_keeps_its_spelling_or_at_least_its_value,
                an_absent_value_is_not_an_empty_one,
                a_new_record_has_version_one_and_its_stamp,
                an_id_that_never_was_is_not_found,
                an_update_changes_only_what_it_names,
                an_update_of_each_single_field_leaves_the_others,
                an_update_of_nothing_raises_the_version,
                every_option_of_a_field_can_be_had,
                fields_and_entities_may_have_the_names_of_sql_words,
                names_may_be_as_long_as_they_can_be,
                an_entity_may_have_as_many_fields_as_it_can_have,
            ],
            references: [
                a_reference_to_a_live_record_is_kept,
                a_reference_to_nothing_is_refused_and_nothing_is_written,
                another_tenants_record_is_refused_like_one_that_never_was,
                a_deleted_record_is_refused,
                a_record_of_another_entity_is_refused,
                an_update_is_checked_like_an_insert,
                an_entity_may_refer_to_itself,
                an_entity_that_is_not_installed_has_no_records,
            ],
            registry: [
                a_component_comes_back_by_its_hash,
                a_version_is_new_once_and_never_changes,
                versions_are_listed_in_the_order_of_installation,
                a_plugin_is_enabled_per_tenant,
                configuration_is_set_replaced_and_taken_away,
                the_platforms_configuration_is_one,
                lifecycle_marks_go_with_a_rollback,
            ],
            schema: [
                making_an_entity_again_changes_nothing,
                an_entity_made_from_another_schema_is_left_alone,
                what_no_table_depends_on_may_change,
                a_trial_leaves_nothing,
                entities_of_one_name_in_two_plugins_are_two,
                tables_are_made_in_a_transaction_that_was_begun_to_make_them,
            ],
            search: [
                a_search_ignores_case_in_every_script,
                a_search_makes_a_difference_of_all_but_case,
                a_search_is_one_condition_among_others,
                a_search_follows_every_write,
                a_searchable_unique_field_is_unique_by_its_very_text,
                the_longest_text_is_found_by_its_beginning,
                only_a_searchable_field_can_be_searched,
            ],
            soft_delete: [
                a_deleted_record_is_invisible_to_every_verb,
                deleting_one_record_leaves_the_others,
            ],
            sorting: [
                absent_values_come_last_in_both_directions,
                pages_neither_skip_nor_repeat_on_equal_keys,
                every_type_sorts_and_pages,
                the_hosts_own_fields_sort_and_page,
                a_cursor_keeps_its_place_while_records_come_and_go,
                a_cursor_works_together_with_a_filter,
                a_page_of_the_last_records_has_no_more,
            ],
            tenants: [
                every_verb_answers_for_anothers_record_as_for_none,
                no_query_shows_or_counts_anothers_records,
                one_id_in_two_tenants_is_two_records,
                names_that_are_nearly_equal_are_two_tenants,
                configuration_activation_journal_and_events_are_the_tenants_own,
                a_transaction_after_anothers_carries_nothing_of_it,
            ],
            transactions: [
                a_commit_makes_all_of_it_visible,
                a_rollback_leaves_only_the_invocations_record,
                dropping_a_transaction_rolls_it_back,
                an_unpolled_commit_is_a_drop,
                a_transaction_sees_what_it_wrote_itself,
                a_read_transaction_refuses_to_write,
                a_platform_transaction_may_only_read,
                misuse_is_refused_and_leaves_the_transaction,
                past_the_deadline_nothing_more_is_done,
                waiting_for_another_writer_ends_at_the_deadline,
                a_writer_held_too_long_is_told_and_rolled_back,
            ],
            unique: [
                a_value_that_is_taken_is_refused_and_nothing_is_written,
                the_same_value_is_free_in_another_tenant,
                absent_values_never_clash_and_empty_ones_do,
                values_that_differ_only_in_case_accent_or_space_do_not_clash,
                deleting_a_record_frees_its_value,
                changing_a_record_frees_its_old_value,
                an_update_to_a_value_that_is_taken_is_refused,
                of_several_unique_fields_the_one_that_clashes_is_named,
                of_concurrent_inserts_of_one_value_exactly_one_wins,
            ],
            versions: [
                an_update_with_a_stale_version_is_rejected_and_told_the_present_one,
                versions_rise_by_one,
                a_refused_update_does_not_raise_the_version,
                of_writers_with_one_version_exactly_one_wins,
                no_update_is_lost_among_many_writers,
            ],
        }
    };
}

/// Gives the cases of moving from one backend to another to a macro of this crate, after whatever else it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! each_transfer_case {
    ($callback:ident $($given:tt)*) => {
        $crate::$callback! { $($given)*
            transfer: [
                rows_come_in_the_order_of_their_keys_a_page_at_a_time,
                rows_are_this_tenants_alone,
                rows_are_taken_in_only_where_tables_may_be_made,
                the_platforms_own_tables_are_told,
                everything_arrives_and_counts_and_hashes_agree,
                what_arrived_can_be_worked_with,
                dispatch_goes_on_where_the_source_stopped,
                a_copy_that_was_killed_after_any_page_goes_on,
                copying_again_writes_nothing,
                a_target_that_holds_other_things_is_refused_and_left_alone,
                a_record_that_differs_is_named_before_anything_is_written,
                a_record_changed_in_the_target_is_found,
                a_table_that_no_version_declares_is_refused,
            ],
        }
    };
}

/// The cases as functions that return a boxed future. So they are compiled once, here, and not in every test binary.
macro_rules! as_boxed {
    ($parameters:tt $arguments:tt $($module:ident: [$($case:ident),* $(,)?],)*) => {
        $(pub mod $module {
            use super::*;

            $(#[must_use]
            pub fn $case $parameters -> $crate::Running {
                Box::pin($crate::cases::$module::$case $arguments)
            })*
        })*
    };
}
pub(crate) use as_boxed;
