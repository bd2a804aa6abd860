//! What is kept of invocations: written when a transaction ends, read through [`JournalReader`].

use async_trait::async_trait;
use erp_plugin_model::usage::{InvocationRecord, LogLevel, Usage};
use erp_plugin_model::{ErrorCode, InvocationId, PluginName, TenantId, UserId};
use erp_plugin_storage::{JournalReader, LogQuery, StorageResult, StoredLogLine, UsageTotal};
use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::names::{read_plugin, read_text, read_time, read_uuid};
use crate::transaction::SqliteTransaction;

/// The most that is kept of one figure: a thousand such still have a sum.
const LARGEST_FIGURE: u64 = 1 << 53;

/// Writes an invocation's row and its log.
pub(crate) fn write(connection: &Connection, tenant: &TenantId, record: &InvocationRecord) -> Result<()> {
    let InvocationRecord { id, plugin, plugin_version, trigger, caused_by, started_at, error, usage, log } =
        record;
    let Usage { fuel, micros, peak_memory, host_calls, rows_read, rows_written, bytes, events } = *usage;
    let mut statement = connection.prepare_cached(
        "INSERT INTO invocations (tenant_id, id, plugin, plugin_version, trigger, caused_by, started_at, error,
         fuel, micros, peak_memory, host_calls, rows_read, rows_written, bytes, events)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(2, &id.0.as_bytes()[..])?;
    statement.raw_bind_parameter(3, plugin.as_str())?;
    statement.raw_bind_parameter(4, plugin_version)?;
    statement.raw_bind_parameter(5, trigger)?;
    statement.raw_bind_parameter(6, caused_by.as_ref().map(UserId::as_str))?;
    statement.raw_bind_parameter(7, started_at.timestamp_micros())?;
    statement.raw_bind_parameter(8, error.map(ErrorCode::as_str))?;
    let figures = [fuel, micros, peak_memory, host_calls, rows_read, rows_written, bytes, events];
    for (figure, parameter) in figures.into_iter().zip(9..) {
        let kept = i64::try_from(figure.min(LARGEST_FIGURE)).unwrap_or(i64::MAX);
        statement.raw_bind_parameter(parameter, kept)?;
    }
    statement.raw_execute()?;
    if log.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO log_lines (tenant_id, invocation, ordinal, plugin, level, message, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (ordinal, line) in (1_i64..).zip(log) {
        insert.execute((
            tenant.as_str(),
            &id.0.as_bytes()[..],
            ordinal,
            plugin.as_str(),
            severity(line.level),
            &line.message,
            line.at.timestamp_micros(),
        ))?;
    }
    Ok(())
}

#[async_trait]
impl JournalReader for SqliteTransaction {
    async fn log(&mut self, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        let Self { session, tenant, .. } = self;
        session.scan("log", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, invocation, level, message, at FROM log_lines
                 WHERE tenant_id = ?1 AND level >= ?2 AND (?3 IS NULL OR plugin = ?3)
                 ORDER BY at DESC, invocation DESC, ordinal DESC LIMIT ?4",
            )?;
            let plugin = query.plugin.as_ref().map(PluginName::as_str);
            let mut rows =
                statement.query((tenant.as_str(), severity(query.min_level), plugin, query.limit))?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(StoredLogLine {
                    plugin: read_plugin(row, 0)?,
                    invocation: InvocationId(read_uuid(row, 1)?),
                    level: read_level(row, 2)?,
                    message: read_text(row, 3)?.to_owned(),
                    at: read_time(row, 4)?,
                });
            }
            lines.reverse();
            Ok(lines)
        })
    }

    async fn usage(&mut self) -> StorageResult<Vec<UsageTotal>> {
        let Self { session, tenant, .. } = self;
        session.scan("usage", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, count(*), count(error), sum(fuel), sum(micros), max(peak_memory),
                        sum(host_calls), sum(rows_read), sum(rows_written), sum(bytes), sum(events)
                 FROM invocations WHERE tenant_id = ?1 GROUP BY plugin ORDER BY plugin",
            )?;
            let mut rows = statement.query([tenant.as_str()])?;
            let mut totals = Vec::new();
            while let Some(row) = rows.next()? {
                let figure = |column| -> Result<u64> {
                    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| Error::Unreadable("figure"))
                };
                totals.push(UsageTotal {
                    plugin: read_plugin(row, 0)?,
                    invocations: figure(1)?,
                    failed: figure(2)?,
                    usage: Usage {
                        fuel: figure(3)?,
                        micros: figure(4)?,
                        peak_memory: figure(5)?,
                        host_calls: figure(6)?,
                        rows_read: figure(7)?,
                        rows_written: figure(8)?,
                        bytes: figure(9)?,
                        events: figure(10)?,
                    },
                });
            }
            Ok(totals)
        })
    }
}

const LEVELS: [LogLevel; 5] =
    [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

/// A level as it is stored: the more severe, the greater.
fn severity(level: LogLevel) -> i64 {
    match level {
        LogLevel::Trace => 0,
        LogLevel::Debug => 1,
        LogLevel::Info => 2,
        LogLevel::Warn => 3,
        LogLevel::Error => 4,
    }
}

fn read_level(row: &Row<'_>, column: usize) -> Result<LogLevel> {
    let stored: i64 = row.get(column)?;
    LEVELS.into_iter().find(|level| severity(*level) == stored).ok_or_else(|| Error::Unreadable("log level"))
}
