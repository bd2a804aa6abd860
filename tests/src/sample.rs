//! Drives `test-sample`, the plugin that does what an event tells it to; its source lists the events.

use erp_plugin::InvocationReport;
use serde_json::{Value as Json, json};

use crate::{Platform, guests};

/// The plugin's name.
pub const NAME: &str = "test-sample";

/// A platform with the plugin enabled and every default.
pub async fn platform() -> Platform {
    let platform = Platform::new().await;
    platform.enable(NAME, guests::plugin(NAME)).await;
    platform
}

/// Lets the plugin act, and returns what the host call answered it.
///
/// # Panics
///
/// When the plugin did not answer ok.
pub async fn answer(platform: &Platform, event: &str, payload: Json) -> Json {
    answer_of(&platform.call(NAME, event, &payload).await, event)
}

/// What the host call of this event answered, by the line that the plugin logs of it.
///
/// # Panics
///
/// When the plugin did not answer ok, or logged no such line.
#[must_use]
pub fn answer_of(report: &InvocationReport, event: &str) -> Json {
    assert_eq!(report.outcome, Ok(()), "{:?}", report.detail);
    let line = report.log.iter().find_map(|line| line.message.strip_prefix(event));
    let line = line.unwrap_or_else(|| panic!("no line of {event} in {:?}", report.log));
    serde_json::from_str(line).unwrap()
}

/// Lets the plugin act, and returns what it failed with.
///
/// # Panics
///
/// When it did not fail.
pub async fn refusal(platform: &Platform, event: &str, payload: Json) -> String {
    let report = platform.call(NAME, event, &payload).await;
    report.outcome.expect_err("a refusal").to_string()
}

/// An event that lets the plugin do several things in one call: pairs of event and payload.
#[must_use]
pub fn script(steps: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    let steps: Vec<Json> =
        steps.into_iter().map(|(event, payload)| json!({ "event": event, "payload": payload })).collect();
    json!({ "steps": steps })
}
