//! From the outbox to the subscribers, in order.
//!
//! Publishers write events without a number. [`Dispatch::dispatch`] takes visible unnumbered events in order, gives
//! each stream (tenant, subscribing plugin, key) its next numbers, and makes the deliveries. [`Dispatch::claim`]
//! takes the head of each waiting stream for one attempt. No clock or sequence decides an order.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::Delivery;

use crate::StorageResult;

/// What a round of dispatch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchOutcome {
    /// Events numbered.
    pub events: u64,
    /// Deliveries made for them.
    pub deliveries: u64,
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// What was attempted.
    pub delivery: &'a Delivery,
    /// The error, as people read it.
    pub error: &'a str,
    /// Whether there are to be no further attempts: the delivery is set aside and its stream goes on.
    pub park: bool,
    /// When it failed.
    pub at: DateTime<Utc>,
}

/// A delivery that was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// What was set aside, with the number of the last attempt.
    pub delivery: Delivery,
    /// The last error.
    pub error: String,
}

/// The dispatcher's and workers' side of events.
#[async_trait]
pub trait Dispatch: Send {
    /// Numbers at most `limit` of the oldest unnumbered events, and makes a delivery for each plugin that is enabled
    /// in the event's tenant and subscribes to its type, as subscriptions stand in this very transaction. So a plugin
    /// never gets what was numbered while it was disabled, not even when it is enabled again.
    ///
    /// Held by `dispatch::an_event_goes_once_to_each_plugin_that_subscribes_to_it`,
    /// `dispatch::a_round_numbers_at_most_its_limit_the_oldest_first`,
    /// `dispatch::subscriptions_count_as_they_stand_when_the_event_is_numbered`,
    /// `dispatch::events_of_a_stream_come_in_order_and_numbered_from_one`,
    /// `dispatch::events_without_subscribers_are_numbered_once_and_for_all`,
    /// `dispatch::a_plugin_gets_its_own_events_only_if_it_asks`.
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome>;

    /// Claims the first waiting delivery of at most `limit` streams, round-robin by tenant: raises each stream's token
    /// and the delivery's attempt count. Passes over the streams of plugins that are disabled in the stream's tenant:
    /// what was assigned to them before waits, unchanged, until they are enabled again. So do the streams of a tenant that
    /// is suspended.
    ///
    /// Held by `dispatch::a_claim_takes_the_head_of_each_stream_only`,
    /// `dispatch::each_claim_raises_token_and_attempt`, `dispatch::claims_go_round_robin_by_tenant`,
    /// `dispatch::a_claim_takes_at_most_its_limit`, `dispatch::streams_that_were_worked_off_take_nobodys_place`,
    /// `dispatch::a_disabled_plugins_deliveries_wait_until_it_is_enabled_again`,
    /// `dispatch::a_suspended_tenants_deliveries_wait_until_it_is_resumed`,
    /// `dispatch::a_claim_that_is_rolled_back_was_none`, `dispatch::a_stream_that_was_idle_wakes_up`.
    async fn claim(&mut self, limit: u32) -> StorageResult<Vec<Delivery>>;

    /// Records a failed attempt, and returns whether the delivery was still this claim's.
    ///
    /// Held by `dispatch::a_failure_leaves_the_delivery_at_the_head`,
    /// `dispatch::a_delivery_that_is_set_aside_lets_its_stream_go_on`.
    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool>;

    /// Gives back a claim whose attempt did not take place, which is then not counted, and returns whether the
    /// delivery was still this claim's.
    ///
    /// Held by `dispatch::a_claim_that_is_given_back_was_no_attempt`.
    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool>;

    /// Deliveries that were set aside, the oldest first.
    ///
    /// Held by `dispatch::deliveries_set_aside_are_listed_the_oldest_first`.
    async fn parked(&mut self, limit: u32) -> StorageResult<Vec<Parked>>;
}
