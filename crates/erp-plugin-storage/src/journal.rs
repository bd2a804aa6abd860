//! What is kept of invocations: their log and what they used. Written by
//! [`Transaction::commit`](crate::Transaction::commit) and [`rollback`](crate::Transaction::rollback), read here.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::usage::{LogLevel, Usage};
use erp_plugin_model::{InvocationId, PluginName};

use crate::StorageResult;

/// Which log lines are wanted.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Of this plugin only.
    pub plugin: Option<PluginName>,
    /// At least this severe.
    pub min_level: LogLevel,
    /// The newest so many.
    pub limit: u32,
}

/// A log line as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLogLine {
    /// Whose it is.
    pub plugin: PluginName,
    /// The invocation that wrote it.
    pub invocation: InvocationId,
    /// How severe.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a plugin used in a tenant, over all its invocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageTotal {
    /// The plugin.
    pub plugin: PluginName,
    /// How many invocations.
    pub invocations: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The sums; of `peak_memory` the largest.
    pub usage: Usage,
}

/// Reads the journal of the transaction's tenant.
#[async_trait]
pub trait JournalReader: Send {
    /// Log lines, the oldest of those wanted first.
    ///
    /// Held by `journal::log_lines_are_chosen_by_plugin_and_severity`,
    /// `journal::the_newest_log_lines_come_the_oldest_of_them_first`, `journal::a_log_line_keeps_its_text_and_moment`.
    async fn log(&mut self, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>>;

    /// What each plugin used, by name.
    ///
    /// Held by `journal::usage_is_summed_by_plugin_and_peak_memory_is_the_largest`,
    /// `journal::large_figures_do_not_break_the_sums`.
    async fn usage(&mut self) -> StorageResult<Vec<UsageTotal>>;
}
