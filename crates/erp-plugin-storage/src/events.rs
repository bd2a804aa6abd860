//! The outbox, seen from an invocation.
//!
//! Payloads are JSON, kept as they were spelled: text that no backend looks into. They hold no character U+0000.

use async_trait::async_trait;
use erp_plugin_model::event::{Delivery, NewEvent};

use crate::StorageResult;

/// What an invocation does with events of the transaction's tenant.
#[async_trait]
pub trait Events: Send {
    /// Writes events into the outbox; they become visible to the dispatcher with everything else this transaction
    /// wrote, or not at all.
    async fn publish(&mut self, events: &[NewEvent]) -> StorageResult<()>;

    /// Marks a delivery as done, and returns whether it was still this claim's to mark. On `false` the caller must
    /// roll back: somebody else has claimed the delivery since.
    async fn mark_done(&mut self, delivery: &Delivery) -> StorageResult<bool>;

    /// How many events of this tenant the outbox holds.
    async fn event_count(&mut self) -> StorageResult<u64>;
}
