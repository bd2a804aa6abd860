//! `[[subscriptions]]`: which events a plugin gets, in which order, and how often they are tried.

use std::time::Duration;

use super::ManifestError;
use super::table::Table;
use crate::event::{EventPattern, RetryPolicy};

/// The most retries that a manifest may ask for.
const MAX_RETRIES: u64 = 100;
/// The longest delay that a manifest may ask for.
const MAX_DELAY: Duration = Duration::from_hours(24 * 7);

/// Which events a plugin gets, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Those that match.
    pub pattern: EventPattern,
    /// The field of the payload whose value keeps events in order: those with different values do not wait for one
    /// another. `None` for the event's own key.
    pub key: Option<String>,
    /// How failed deliveries are tried again.
    pub retry: RetryPolicy,
}

pub(super) fn read(mut table: Table<'_>) -> Result<Subscription, ManifestError> {
    let text = table.required_string("event")?;
    let pattern = EventPattern::parse(text)
        .map_err(|rule| table.error("event", format!("is {text:?}: it must be {rule}")))?;
    let key = table.string("key")?.map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 100) {
        return Err(table.error("key", "must name a field of the payload, with 1 to 100 bytes"));
    }
    let retry = match table.take("retry") {
        Some(value) => retry(Table::new(table.path("retry"), value)?)?,
        None => RetryPolicy::DEFAULT,
    };
    table.finish()?;
    Ok(Subscription { pattern, key, retry })
}

pub(super) fn retry(mut table: Table<'_>) -> Result<RetryPolicy, ManifestError> {
    let defaults = RetryPolicy::DEFAULT;
    let retries = match table.number("retries", 0, MAX_RETRIES)? {
        Some(retries) => u32::try_from(retries).unwrap_or(u32::MAX),
        None => defaults.retries,
    };
    let first_delay = table.duration("first-delay", MAX_DELAY)?.unwrap_or(defaults.first_delay);
    let max_delay = table.duration("max-delay", MAX_DELAY)?.unwrap_or(defaults.max_delay.max(first_delay));
    if max_delay < first_delay {
        return Err(table.error("max-delay", "is shorter than `first-delay`"));
    }
    table.finish()?;
    Ok(RetryPolicy { retries, first_delay, max_delay })
}
