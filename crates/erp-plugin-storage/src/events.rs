//! The outbox, seen from an invocation.
//!
//! Payloads are JSON, kept as they were spelled: text that no backend looks into, but for the key that a subscription
//! says is in it. They hold no character U+0000.

use async_trait::async_trait;
use erp_plugin_model::event::{Delivery, NewEvent};

use crate::StorageResult;

/// What an invocation does with events of the transaction's tenant.
#[async_trait]
pub trait Events: Send {
    /// Writes events into the outbox; they become visible to the dispatcher with everything else this transaction
    /// wrote, or not at all.
    ///
    /// Held by `events::events_become_visible_with_the_commit`, `events::events_go_with_a_rollback`,
    /// `events::publishing_nothing_is_nothing`, `events::a_delivery_tells_all_that_was_published`.
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()>;

    /// Marks a delivery as done, and returns whether it was still this claim's to mark. On `false` the caller must
    /// roll back: somebody else has claimed the delivery since.
    ///
    /// Held by `events::a_done_mark_is_part_of_its_transaction`, `events::a_stale_claim_cannot_mark_done`,
    /// `events::another_tenant_cannot_mark_done`.
    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool>;

    /// How many events of this tenant the outbox holds.
    ///
    /// Held by `events::events_become_visible_with_the_commit`,
    /// `tenants::configuration_activation_journal_and_events_are_the_tenants_own`.
    async fn event_count(&mut self) -> StorageResult<u64>;
}
