//! Deliveries that failed for good: kept until they are sent again or dropped.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{Delivery, EventPattern};
use erp_plugin_model::{EventId, PluginName, TenantId};

use crate::StorageResult;

/// A delivery that failed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// What it was, with the number of the last attempt.
    pub delivery: Delivery,
    /// The last error.
    pub error: String,
    /// When that was.
    pub failed_at: DateTime<Utc>,
}

/// Which dead letters are meant: those to which all of this applies.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this subscriber.
    pub plugin: Option<PluginName>,
    /// Of events whose type matches.
    pub pattern: Option<EventPattern>,
    /// Of this event.
    pub event: Option<EventId>,
    /// That failed at or after this.
    pub since: Option<DateTime<Utc>>,
    /// That failed before this.
    pub until: Option<DateTime<Utc>>,
}

/// Dead letters of every tenant.
#[async_trait]
pub trait DeadLetters: Send {
    /// At most `limit` of them, the oldest event first, behind this delivery if one is given.
    ///
    /// Held by `dead_letters::they_are_listed_the_oldest_first_and_by_filter`.
    async fn dead_letters(
        &mut self,
        filter: &DeadLetterFilter,
        after: Option<&Delivery>,
        limit: u32,
    ) -> StorageResult<Vec<DeadLetter>>;

    /// Sends at most `limit` of them again, the oldest event first, and returns how many: each is the next of its stream, as
    /// if it had not been attempted.
    ///
    /// Held by `dead_letters::what_is_sent_again_comes_next_in_its_stream`,
    /// `dead_letters::a_stream_in_hand_gets_what_is_sent_again_afterwards`.
    async fn resend(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64>;

    /// Drops at most `limit` of them, the oldest event first, and returns how many: nobody gets them any more.
    ///
    /// Held by `dead_letters::what_is_dropped_is_never_delivered`.
    async fn drop_dead_letters(&mut self, filter: &DeadLetterFilter, limit: u32) -> StorageResult<u64>;
}
