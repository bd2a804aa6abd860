//! What a plugin has done so far.

use erp_plugin_host_api::Verb;
use erp_plugin_model::RecordId;
use erp_plugin_model::usage::{LogLine, Usage};
use serde_json::Value as Json;

/// A record that the plugin wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbOp {
    /// What was done to it.
    pub verb: Verb,
    /// Its entity, as the plugin calls it.
    pub entity: String,
    /// Its id.
    pub id: RecordId,
}

/// An event that the plugin published.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedEvent {
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub payload: Json,
}

/// What a plugin has done in all its calls so far. Records and events are those that were committed; log lines are
/// kept of every call, as on a server.
#[derive(Clone, Debug, Default)]
pub struct TestState {
    /// Records written, in order.
    pub db_ops: Vec<DbOp>,
    /// Events published, in order.
    pub events: Vec<PublishedEvent>,
    /// Log lines, in order, with those that the host wrote about a call that failed.
    pub logs: Vec<LogLine>,
    /// What the last call used.
    pub last_usage: Usage,
}
