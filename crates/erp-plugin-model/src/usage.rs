//! What an invocation used, and how it ended.

use chrono::{DateTime, Utc};

use crate::{ErrorCode, InvocationId, PluginName, UserId};

/// What one invocation used. Recorded per tenant and plugin, whatever its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel, the host's work for the guest included.
    pub fuel: u64,
    /// Wall-clock time, in microseconds.
    pub micros: u64,
    /// The most linear memory at one time, in bytes.
    pub peak_memory: u64,
    /// Calls of host functions.
    pub host_calls: u64,
    /// Records read.
    pub rows_read: u64,
    /// Records written, refused writes included.
    pub rows_written: u64,
    /// Bytes into and out of host calls.
    pub bytes: u64,
    /// Events published.
    pub events: u64,
}

/// How severe a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For the author.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The level's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads a level's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// A line a plugin wrote, or that the host wrote about it. Capped and with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How severe.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The row that tells of an invocation: that it was, what it used, how it ended. Its presence after a lost answer
/// to COMMIT proves that the invocation was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationRecord {
    /// The invocation's id.
    pub id: InvocationId,
    /// The plugin called.
    pub plugin: PluginName,
    /// The version of the plugin.
    pub plugin_version: String,
    /// The export called, as people say it: `init`, `handle-event order.created`.
    pub trigger: String,
    /// The user who acted, or at the start of the chain.
    pub caused_by: Option<UserId>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// `None` when it was committed, else the error's code.
    pub error: Option<ErrorCode>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
}
