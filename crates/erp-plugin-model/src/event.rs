//! Events: what is published, and what is delivered.

use chrono::{DateTime, Utc};

use crate::ids::{EventId, EventType, InvocationId, PluginName, TenantId, UserId};

/// Who published an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// The platform itself, known as `core`.
    Platform,
    /// A plugin.
    Plugin(PluginName),
}

impl Publisher {
    /// The publisher's name on the wire and in tables.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Platform => "core",
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
    /// How many events lead from the start of the chain to this one; 0 at the start.
    pub depth: u32,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

/// The proof that a delivery was claimed and not claimed again since. Rises at each claim of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimToken(pub i64);

/// A claimed event for one plugin: the next of its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The tenant whose event it is.
    pub tenant: TenantId,
    /// The plugin that gets it.
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
    /// The user at the start of the chain.
    pub caused_by: Option<UserId>,
    /// How far the event is from the start of its chain.
    pub depth: u32,
}

/// Which events a plugin gets: an exact type, or a pattern that ends in `.*` and stands for one or more segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventPattern(String);

impl EventPattern {
    /// The pattern of a plugin that said nothing: every event.
    #[must_use]
    pub fn everything() -> Self {
        Self("*".to_owned())
    }

    /// Reads `order.created`, `order.*` or `*`. The error is the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "an event type such as order.created, a pattern such as order.*, or *";
        let valid = match text.strip_suffix(".*") {
            Some(prefix) => EventType::parse(&format!("{prefix}.x")).is_ok(),
            None => text == "*" || EventType::parse(text).is_ok(),
        };
        if valid { Ok(Self(text.to_owned())) } else { Err(RULE) }
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of this type is meant.
    #[must_use]
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            // The dot stays in the prefix: `order.*` is not `orders.created`.
            Some(prefix) => event_type.as_str().starts_with(prefix),
            None => event_type.as_str() == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments() {
        let matches = |pattern: &str, event: &str| {
            EventPattern::parse(pattern).unwrap().matches(&EventType::parse(event).unwrap())
        };
        assert!(matches("order.created", "order.created") && !matches("order.created", "order.created.late"));
        assert!(matches("order.*", "order.created") && matches("order.*", "order.line.added"));
        assert!(!matches("order.*", "orders.created"));
        assert!(matches("*", "a.b"));
        for bad in ["", "order", "*.created", "order.*.x", "or*", "Order.*"] {
            assert!(EventPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
