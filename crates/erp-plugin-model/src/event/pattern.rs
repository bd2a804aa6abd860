//! Which events are meant.

use crate::ids::EventType;

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

    /// The one type that is meant, if it is one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.0.ends_with('*')).then_some(self.as_str())
    }

    /// What the types begin with that are meant, if that is what they have in common.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*').filter(|prefix| !prefix.is_empty())
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
        let parts = |text: &str| {
            let pattern = EventPattern::parse(text).unwrap();
            (pattern.exact().map(str::to_owned), pattern.prefix().map(str::to_owned))
        };
        assert_eq!(parts("a.b"), (Some("a.b".to_owned()), None));
        assert_eq!(parts("a.*"), (None, Some("a.".to_owned())));
        assert_eq!(parts("*"), (None, None));
        for bad in ["", "order", "*.created", "order.*.x", "or*", "Order.*"] {
            assert!(EventPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
