//! Events: what is published, and what is delivered.

mod key;
mod pattern;
mod retry;

use chrono::{DateTime, Utc};

use crate::ids::{EventId, EventType, InvalidName, InvocationId, PluginName, TenantId, UserId};

pub use key::{MAX_KEY, key_in};
pub use pattern::EventPattern;
pub use retry::{RetryCaps, RetryPolicy};

/// Who published an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// The platform itself, known as `core`.
    Platform,
    /// A plugin.
    Plugin(PluginName),
}

impl Publisher {
    /// The platform's name among the participants. No plugin has it.
    pub const PLATFORM: &str = "core";

    /// Reads a publisher's name.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        if name == Self::PLATFORM { Ok(Self::Platform) } else { PluginName::parse(name).map(Self::Plugin) }
    }

    /// The publisher's name on the wire and in tables.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Platform => Self::PLATFORM,
            Self::Plugin(name) => name.as_str(),
        }
    }
}

/// An event on its way into the outbox. Where it stands in its streams is not known yet: the dispatcher numbers it
/// once it is visible.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// Events with the same key reach a subscriber in order; the tenant's id where none was given.
    pub key: String,
    /// One JSON value, as text.
    pub payload: String,
    /// Who published it.
    pub publisher: Publisher,
    /// The invocation that published it, and its place among that invocation's events.
    pub invocation: InvocationId,
    /// See `invocation`.
    pub ordinal: u32,
    /// The user at the start of the chain of events, if there was one.
    pub caused_by: Option<UserId>,
    /// The event in whose handling it was published; `None` at the start of a chain.
    pub parent: Option<EventId>,
    /// How many events lead from the start of the chain to this one; 0 at the start.
    pub depth: u32,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

/// The proof that a delivery was claimed and not claimed again since. Rises at each claim of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimToken(pub i64);

/// A claimed event for one plugin, or for a subscriber of the platform's own, which has a name like a plugin's.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The tenant whose event it is.
    pub tenant: TenantId,
    /// Who gets it.
    pub plugin: PluginName,
    /// The stream's key.
    pub key: String,
    /// Its place in the stream (tenant, plugin, key), from 1.
    pub number: i64,
    /// The proof of the claim.
    pub token: ClaimToken,
    /// Which attempt this is, from 1; counted when claimed, so that a handler that kills the process counts too.
    pub attempt: u32,
    /// The event's id.
    pub event: EventId,
    /// The event's type.
    pub event_type: EventType,
    /// The event's payload, one JSON value.
    pub payload: String,
    /// Who published the event.
    pub publisher: Publisher,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// The user at the start of the chain.
    pub caused_by: Option<UserId>,
    /// How far the event is from the start of its chain.
    pub depth: u32,
}
