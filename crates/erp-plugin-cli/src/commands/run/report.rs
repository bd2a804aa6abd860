//! What an invocation did, for people and for programs.

use std::collections::HashMap;

use anyhow::Result;
use chrono::SecondsFormat;
use erp_plugin::limits::{LimitKind, Limits};
use erp_plugin::usage::LogLevel;
use erp_plugin::{
    EventType, HostFailure, Identity, InvocationReport, PluginHost, PluginSummary, TenantId, UserId, Verb,
};
use serde::Serialize;
use serde_json::Value;

use crate::output::{BAD, FAINT, GOOD, HEADING, foreign, styled};
use crate::values::grouped;

/// Everything there is to say; its fields are those of the JSON object.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ok: bool,
    error: Option<Failure>,
    plugin: String,
    version: String,
    tenant: String,
    event: String,
    invocation: String,
    attempts: u32,
    log: Vec<Line>,
    records: Vec<Record>,
    events: Vec<Event>,
    usage: Used,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    message: String,
    /// Why the guest ended without an answer: for its author, not for a tenant.
    detail: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    level: &'static str,
    message: String,
    at: String,
}

#[derive(Debug, Serialize)]
struct Record {
    verb: &'static str,
    entity: String,
    id: String,
    /// As it is now; absent when it was deleted, or could not be read back.
    record: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Event {
    r#type: String,
    payload: Value,
}

#[derive(Debug, Serialize)]
struct Used {
    fuel: u64,
    micros: u64,
    peak_memory: u64,
    host_calls: u64,
    rows_read: u64,
    rows_written: u64,
    bytes: u64,
}

impl Report {
    /// Puts it together, and reads back the records that were written.
    pub(super) async fn new(
        host: &PluginHost,
        plugin: &PluginSummary,
        tenant: &TenantId,
        event: &EventType,
        done: &InvocationReport,
    ) -> Result<Self> {
        let error = done.outcome.as_ref().err().map(|error| Failure {
            code: error.code.as_str(),
            message: error.message.clone(),
            detail: done.detail.clone(),
        });
        // What was undone is no record.
        let records = if done.outcome.is_ok() { written(host, tenant, done).await? } else { Vec::new() };
        let usage = done.usage;
        Ok(Self {
            ok: done.outcome.is_ok(),
            error,
            plugin: plugin.name.to_string(),
            version: plugin.version.to_string(),
            tenant: tenant.to_string(),
            event: event.to_string(),
            invocation: done.id.to_string(),
            attempts: done.attempts,
            log: done
                .log
                .iter()
                .map(|line| Line {
                    level: line.level.as_str(),
                    message: line.message.clone(),
                    at: line.at.to_rfc3339_opts(SecondsFormat::Micros, true),
                })
                .collect(),
            records,
            events: done
                .events
                .iter()
                .map(|event| {
                    let payload = serde_json::from_str(&event.payload)?;
                    Ok(Event { r#type: event.event_type.to_string(), payload })
                })
                .collect::<Result<_>>()?,
            usage: Used {
                fuel: usage.fuel,
                micros: usage.micros,
                peak_memory: usage.peak_memory,
                host_calls: usage.host_calls,
                rows_read: usage.rows_read,
                rows_written: usage.rows_written,
                bytes: usage.bytes,
            },
            notes: plugin.notes.clone(),
        })
    }

    /// The report for people.
    pub(super) fn to_text(&self, limits: &Limits) -> String {
        let Self { plugin, version, event, tenant, .. } = self;
        let outcome = if self.ok { styled(GOOD, "ok") } else { styled(BAD, "failed, nothing was kept") };
        let mut text = format!("{plugin} {version}, {event} in {tenant}: {outcome}\n");
        section(&mut text, "log", self.log.iter().map(Line::to_text));
        section(&mut text, "records", self.records.iter().map(Record::to_text));
        section(&mut text, "events", self.events.iter().map(Event::to_text));
        text + &self.usage.to_text(limits) + "\n"
    }
}

fn section(text: &mut String, title: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() == 0 {
        return;
    }
    *text += &format!("{}\n", styled(HEADING, title));
    for line in lines {
        *text += &format!("  {line}\n");
    }
}

impl Line {
    fn to_text(&self) -> String {
        let style = match LogLevel::parse(self.level) {
            Some(LogLevel::Error | LogLevel::Warn) => BAD,
            Some(LogLevel::Trace | LogLevel::Debug) => FAINT,
            Some(LogLevel::Info) | None => GOOD,
        };
        // The host has escaped the message.
        format!("{} {}", styled(style, format!("{:5}", self.level)), self.message)
    }
}

impl Record {
    fn to_text(&self) -> String {
        let Self { verb, entity, id, record } = self;
        match record {
            Some(record) => format!("{verb} {entity} {id}\n    {}", foreign(&record.to_string())),
            None => format!("{verb} {entity} {id}"),
        }
    }
}

impl Event {
    fn to_text(&self) -> String {
        format!("{} {}", self.r#type, foreign(&self.payload.to_string()))
    }
}

impl Used {
    fn to_text(&self, limits: &Limits) -> String {
        let kibibytes = grouped(self.peak_memory.div_ceil(1024));
        #[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
        let milliseconds = self.micros as f64 / 1000.0;
        format!(
            "fuel {} of {}, peak memory {kibibytes} KiB of {}, {milliseconds:.1} ms, {} host calls",
            grouped(self.fuel),
            grouped(limits.fuel),
            LimitKind::Memory.show(limits.memory),
            grouped(self.host_calls),
        )
    }
}

/// The records that were written, in order, as they are now.
async fn written(host: &PluginHost, tenant: &TenantId, done: &InvocationReport) -> Result<Vec<Record>> {
    let system = Identity::system(tenant.clone(), UserId::parse("system")?, None);
    let stored = host.records(system);
    let mut known: HashMap<_, Option<Value>> = HashMap::new();
    let mut records = Vec::with_capacity(done.writes.len());
    for write in &done.writes {
        let entity = write.entity.to_string();
        let record = match known.get(&write.id) {
            _ if write.verb == Verb::Delete => None,
            Some(record) => record.clone(),
            None => {
                let record = match stored.get(&entity, write.id).await {
                    Ok(record) => Some(record),
                    // It was deleted later, or the plugin's deadline is too short for a second look.
                    Err(HostFailure::Refused(_)) => None,
                    Err(failure) => return Err(failure.into()),
                };
                known.entry(write.id).or_insert(record).clone()
            }
        };
        records.push(Record { verb: write.verb.as_str(), entity, id: write.id.to_string(), record });
    }
    Ok(records)
}
