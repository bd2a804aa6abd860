//! The outbox, seen by whoever runs the platform.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::event::{EventPattern, NewEvent};
use erp_plugin_model::{EventId, PluginName, TenantId};

use crate::StorageResult;

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Whose it is.
    pub tenant: TenantId,
    /// What was published.
    pub event: NewEvent,
    /// Its number; `None` until the dispatcher gave it one. No two events of a database have one number.
    pub number: Option<i64>,
}

/// Which events are meant: those to which all of this applies.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Whose type matches.
    pub pattern: Option<EventPattern>,
    /// With a number greater than this.
    pub after: Option<i64>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits, or is being attempted.
    Pending,
    /// It was handled.
    Done,
    /// It failed for good.
    Dead,
    /// It failed for good and was dropped.
    Dropped,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Done, Self::Dead, Self::Dropped];

    /// Its name, as people and databases have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Dropped => "dropped",
        }
    }
}

/// What became of an event for one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The subscriber.
    pub plugin: PluginName,
    /// The key of its stream.
    pub key: String,
    /// Its place in that stream, from 1.
    pub number: i64,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was attempted.
    pub attempts: u32,
    /// The last error, if there was one.
    pub error: Option<String>,
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Events without a number.
    pub unnumbered: u64,
    /// Deliveries that wait or are being attempted.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest event was published that has no number or of which a delivery is pending.
    pub oldest: Option<DateTime<Utc>>,
}

/// The events of every tenant.
#[async_trait]
pub trait Outbox: Send {
    /// At most `limit` events with numbers, in their order from the oldest, or the newest of them from the newest.
    ///
    /// Held by `outbox::events_are_listed_from_either_end`.
    async fn events(
        &mut self,
        filter: &EventFilter,
        newest: bool,
        limit: u32,
    ) -> StorageResult<Vec<StoredEvent>>;

    /// An event of a tenant.
    ///
    /// Held by `outbox::an_event_is_found_with_its_deliveries_and_its_chain`.
    async fn event(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Option<StoredEvent>>;

    /// What became of an event, by subscriber.
    ///
    /// Held by `outbox::an_event_is_found_with_its_deliveries_and_its_chain`.
    async fn deliveries(&mut self, tenant: &TenantId, event: EventId) -> StorageResult<Vec<DeliveryStatus>>;

    /// What is still to be done, in one tenant or in all.
    ///
    /// Held by `outbox::the_backlog_is_what_is_still_to_be_done`.
    async fn backlog(&mut self, tenant: Option<&TenantId>) -> StorageResult<Backlog>;

    /// Removes at most `limit` events that were published before this and are delivered to the end, with their
    /// deliveries; returns how many. An event of which a delivery is pending or dead stays, with all its deliveries.
    ///
    /// Held by `outbox::only_what_was_delivered_is_pruned`.
    async fn prune_events(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64>;

    /// Removes at most `limit` log lines that were written before this, and returns how many.
    ///
    /// Held by `outbox::old_log_lines_are_pruned`.
    async fn prune_log(&mut self, before: DateTime<Utc>, limit: u32) -> StorageResult<u64>;
}
