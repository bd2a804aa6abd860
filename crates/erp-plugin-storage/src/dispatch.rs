//! From the outbox to the subscribers, in order.
//!
//! Publishers write events without a number. [`Dispatch::dispatch`] takes visible unnumbered events in order, gives
//! each stream (tenant, subscriber, key) its next numbers, and makes the deliveries. [`Dispatch::claim`] takes waiting
//! streams for a worker. No clock or sequence decides an order.
//!
//! A stream is in one worker's hands at a time, from its claim until that ends: [`Dispatch::end_claims`], a failure, a
//! release, or the worker is [retired](crate::Workers::retire). Whoever ends a delivery must have the token of the last
//! claim, so that one who was taken for dead does no harm.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::Delivery;
use erp_plugin_model::{PluginName, TenantId, WorkerId};

use crate::StorageResult;

/// What a round of dispatch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DispatchOutcome {
    /// Events numbered.
    pub events: u64,
    /// Deliveries made for them.
    pub deliveries: u64,
}

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// Who asks. A claim is a sign of life, as [`Workers::beat`](crate::Workers::beat) is.
    pub worker: WorkerId,
    /// What is to be tried again until then is due. Whoever does not wait says a time that is far.
    pub at: DateTime<Utc>,
    /// The present moment: what is in quarantine until later is left.
    pub now: DateTime<Utc>,
    /// The most streams.
    pub streams: u32,
    /// The most deliveries of each.
    pub batch: u32,
    /// The most streams of one tenant.
    pub per_tenant: u32,
    /// Tenants of which nothing is wanted: the worker has enough of theirs in hand.
    pub full: &'a [TenantId],
    /// The subscribers of the platform's own that the worker can hand something to.
    pub subscribers: &'a [PluginName],
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// What was attempted.
    pub delivery: &'a Delivery,
    /// The error, as people read it.
    pub error: &'a str,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// When it is to be tried again; `None` makes it a dead letter, and its stream goes on.
    pub retry_at: Option<DateTime<Utc>>,
}

/// The dispatcher's and workers' side of events.
#[async_trait]
pub trait Dispatch: Send {
    /// Numbers at most `limit` unnumbered events, the oldest of each tenant first and as many of one tenant as of
    /// another, and makes a delivery for each plugin that is enabled in the event's tenant and subscribes to its type, and
    /// for each subscriber of the platform's own, as subscriptions stand in this very transaction. So a plugin never gets
    /// what was numbered while it was disabled, not even when it is enabled again. The key is the one that the first
    /// subscription that matches finds in the payload, else the event's own.
    ///
    /// One transaction does this at a time, and holds what it needs for it until it ends: a lease that nobody can outlive.
    ///
    /// Held by `dispatch::an_event_goes_once_to_each_plugin_that_subscribes_to_it`,
    /// `dispatch::a_round_numbers_at_most_its_limit_the_oldest_first`,
    /// `dispatch::a_round_takes_as_many_events_of_one_tenant_as_of_another`,
    /// `dispatch::subscriptions_count_as_they_stand_when_the_event_is_numbered`,
    /// `dispatch::events_of_a_stream_come_in_order_and_numbered_from_one`,
    /// `dispatch::events_without_subscribers_are_numbered_once_and_for_all`,
    /// `dispatch::a_plugin_gets_its_own_events_only_if_it_asks`,
    /// `dispatch::a_subscription_finds_its_key_in_the_payload`,
    /// `subscribers::the_platforms_own_get_what_they_subscribe_to_in_every_tenant`.
    async fn dispatch(&mut self, limit: u32) -> StorageResult<DispatchOutcome>;

    /// Claims waiting streams, round-robin by tenant, and raises the token of each: of each the first delivery that is
    /// pending, and those behind it as far as nothing was attempted yet of any of them. Their attempts are counted. One that
    /// was attempted before comes alone.
    ///
    /// Passes over the streams of plugins that are disabled in the stream's tenant: what was assigned to them before waits,
    /// unchanged, until they are enabled again. So do the streams of a tenant that is suspended, those of the platform's
    /// subscribers that are not asked for, those that a worker has, and those whose first delivery failed, until it is to be
    /// tried again; if the clock says that it has not failed yet, it is tried at once.
    ///
    /// Held by `dispatch::a_claim_takes_what_waits_in_a_stream_up_to_a_batch`,
    /// `dispatch::what_was_attempted_before_is_claimed_alone`,
    /// `dispatch::a_stream_is_in_one_workers_hands`,
    /// `dispatch::each_claim_raises_token_and_attempt`, `dispatch::claims_go_round_robin_by_tenant`,
    /// `dispatch::a_claim_takes_at_most_its_limit`, `dispatch::a_claim_leaves_room_for_other_tenants`, `dispatch::streams_that_were_worked_off_take_nobodys_place`,
    /// `dispatch::a_disabled_plugins_deliveries_wait_until_it_is_enabled_again`,
    /// `dispatch::a_suspended_tenants_deliveries_wait_until_it_is_resumed`,
    /// `dispatch::a_failed_delivery_waits_for_its_time`,
    /// `dispatch::a_claim_that_is_rolled_back_was_none`, `dispatch::a_stream_that_was_idle_wakes_up`,
    /// `subscribers::they_are_claimed_by_those_who_can_hand_something_to_them`.
    async fn claim(&mut self, request: &ClaimRequest<'_>) -> StorageResult<Vec<Vec<Delivery>>>;

    /// Ends the claims that these deliveries came with, each the last of its own: all that was claimed was ended. Those that
    /// are no longer the worker's stay as they are. It is a sign of life.
    ///
    /// Held by `dispatch::a_stream_is_in_one_workers_hands`, `dispatch::an_ended_claim_is_nobodys_to_end`.
    async fn end_claims(&mut self, worker: WorkerId, claims: &[&Delivery]) -> StorageResult<()>;

    /// Records a failed attempt, and returns whether the delivery was still this claim's. That ends the claim: what was
    /// claimed behind it was not attempted, and does not count as that.
    ///
    /// Held by `dispatch::a_failure_leaves_the_delivery_at_the_head`,
    /// `dispatch::a_failure_gives_the_rest_of_its_claim_back`,
    /// `dispatch::a_dead_letter_lets_its_stream_go_on`.
    async fn record_failure(&mut self, failure: Failure<'_>) -> StorageResult<bool>;

    /// Gives back a delivery whose attempt did not take place and what was claimed behind it, none of which is then
    /// counted, and returns whether it was still this claim's. That ends the claim.
    ///
    /// Held by `dispatch::a_claim_that_is_given_back_was_no_attempt`.
    async fn release(&mut self, delivery: &Delivery) -> StorageResult<bool>;
}
