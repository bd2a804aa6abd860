//! What the commands about events print.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use erp_plugin::{Backlog, DeadLetter, DeliveryStatus, EventDetails, StoredEvent, UserId};
use serde_json::{Value as Json, json};

use crate::output::{BAD, FAINT, HEADING, foreign, styled};
use crate::values::grouped;

/// As much of a payload as fits on a line.
const SHOWN: usize = 80;

pub(super) fn table(events: &[StoredEvent]) -> String {
    if events.is_empty() {
        return "no events\n".to_owned();
    }
    events.iter().map(line).collect()
}

/// An event on one line.
pub(super) fn line(stored: &StoredEvent) -> String {
    let StoredEvent { tenant, event, number } = stored;
    let number = number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let time = styled(FAINT, time(event.published_at));
    let (kind, id) = (&event.event_type, event.id);
    format!("{number:>8}  {time}  {tenant}  {kind}  {id}  {}\n", short(&event.payload))
}

pub(super) fn event_json(stored: &StoredEvent) -> Json {
    let StoredEvent { tenant, event, number } = stored;
    json!({
        "number": number,
        "tenant": tenant.as_str(),
        "id": event.id.to_string(),
        "type": event.event_type.as_str(),
        "key": event.key,
        "publisher": event.publisher.as_str(),
        "published_at": time(event.published_at),
        "caused_by": event.caused_by.as_ref().map(UserId::as_str),
        "parent": event.parent.map(|parent| parent.to_string()),
        "depth": event.depth,
        "payload": payload(&event.payload),
    })
}

pub(super) fn details(found: &EventDetails) -> String {
    let StoredEvent { tenant, event, number } = &found.event;
    let mut text = styled(HEADING, format!("{} of {tenant}", event.event_type));
    let number =
        number.map_or_else(|| "not seen by the dispatcher yet".to_owned(), |number| number.to_string());
    let by = event.caused_by.as_ref().map_or_else(String::new, |user| format!(", caused by {user}"));
    let _ = write!(text, "\n  id         {}\n  number     {number}", event.id);
    let _ = write!(text, "\n  published  {} by {}{by}", time(event.published_at), event.publisher.as_str());
    let _ = write!(text, "\n  key        {}", foreign(&event.key));
    let _ = write!(text, "\n  payload    {}", foreign(&event.payload));
    if found.deliveries.is_empty() {
        text += "\n  delivered  to nobody";
    }
    for DeliveryStatus { plugin, state, attempts, error, .. } in &found.deliveries {
        let error = error.as_ref().map_or_else(String::new, |error| format!(": {}", foreign(error)));
        let attempts = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
        let _ = write!(text, "\n  {:9}  {plugin}, {attempts}{error}", state.as_str());
    }
    for StoredEvent { event, .. } in &found.chain {
        let _ = write!(text, "\n  led to by  {} {}", event.event_type, event.id);
    }
    text
}

pub(super) fn details_json(found: &EventDetails) -> Json {
    let mut event = event_json(&found.event);
    let deliveries: Vec<Json> = found
        .deliveries
        .iter()
        .map(|own| {
            json!({
                "plugin": own.plugin.as_str(),
                "key": own.key,
                "number": own.number,
                "state": own.state.as_str(),
                "attempts": own.attempts,
                "error": own.error,
            })
        })
        .collect();
    if let Some(fields) = event.as_object_mut() {
        fields.insert("deliveries".to_owned(), deliveries.into());
        fields.insert("chain".to_owned(), found.chain.iter().map(event_json).collect());
    }
    event
}

pub(super) fn backlog(backlog: &Backlog) -> String {
    let Backlog { unnumbered, pending, dead, oldest } = backlog;
    let oldest = oldest.map_or_else(String::new, |oldest| format!("; the oldest is of {}", time(oldest)));
    format!(
        "{} events without a number, {} deliveries that wait, {} dead letters{oldest}",
        grouped(*unnumbered),
        grouped(*pending),
        grouped(*dead)
    )
}

pub(super) fn backlog_json(backlog: &Backlog) -> Json {
    let Backlog { unnumbered, pending, dead, oldest } = backlog;
    json!({ "unnumbered": unnumbered, "pending": pending, "dead": dead, "oldest": oldest.map(time) })
}

pub(super) fn letters(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut text = String::new();
    for DeadLetter { delivery, error, failed_at } in letters {
        let heading = format!("{} of {} for {}", delivery.event_type, delivery.tenant, delivery.plugin);
        let _ = writeln!(text, "{}", styled(HEADING, heading));
        let (id, attempts, at) = (delivery.event, delivery.attempt, time(*failed_at));
        let _ = writeln!(text, "  {id}  {attempts} attempts, the last at {at}");
        let _ = writeln!(text, "  {}", styled(BAD, foreign(error)));
        let _ = writeln!(text, "  {}", short(&delivery.payload));
    }
    text
}

pub(super) fn letter_json(letter: &DeadLetter) -> Json {
    let DeadLetter { delivery, error, failed_at } = letter;
    json!({
        "tenant": delivery.tenant.as_str(),
        "plugin": delivery.plugin.as_str(),
        "event": delivery.event.to_string(),
        "type": delivery.event_type.as_str(),
        "key": delivery.key,
        "attempts": delivery.attempt,
        "error": error,
        "failed_at": time(*failed_at),
        "published_at": time(delivery.published_at),
        "payload": payload(&delivery.payload),
    })
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A payload as JSON; one that is none, as the text that it is.
fn payload(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
}

fn short(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(SHOWN).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    foreign(&shown)
}
