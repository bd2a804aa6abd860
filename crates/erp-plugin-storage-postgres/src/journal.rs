//! What is kept of invocations: written when a transaction ends, read through [`JournalReader`].

use async_trait::async_trait;
use erp_plugin_model::usage::{InvocationRecord, LogLevel, Usage};
use erp_plugin_model::{ErrorCode, InvocationId, PluginName, TenantId, UserId};
use erp_plugin_storage::{JournalReader, LogQuery, StorageResult, StoredLogLine, UsageTotal};
use futures_util::future::join;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::names::{read_count, read_integer, read_plugin, read_text, read_time, read_uuid};
use crate::sql::Parameter;
use crate::transaction::PostgresTransaction;

/// The most that is kept of one figure: a thousand such still have a sum.
const LARGEST_FIGURE: u64 = 1 << 53;
/// An invocation that is committed must be new: should somebody else have written its row meanwhile, having given up
/// on it, then it must not be.
const INVOCATION: &str = "INSERT INTO erp_plugin.invocations
         (tenant_id, id, plugin, plugin_version, trigger, caused_by, started_at, error, fuel, micros, peak_memory,
          host_calls, rows_read, rows_written, bytes, events)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
/// One that is not committed may have been written by whoever found out.
const INVOCATION_ONCE: &str = "INSERT INTO erp_plugin.invocations
         (tenant_id, id, plugin, plugin_version, trigger, caused_by, started_at, error, fuel, micros, peak_memory,
          host_calls, rows_read, rows_written, bytes, events)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING";
/// Tenant, invocation, plugin, then an array for each column.
const LOG: &str = "INSERT INTO erp_plugin.log_lines (tenant_id, invocation, plugin, ordinal, level, message, at)
     SELECT $1, $2, $3, l.ordinal, l.level, l.message, l.at
     FROM unnest($4::bigint[], $5::text[], $6::timestamptz[]) WITH ORDINALITY AS l(level, message, at, ordinal)
     ON CONFLICT DO NOTHING";

/// Whether an invocation's row may be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    New,
    Perhaps,
}

/// Prepares what [`write`] sends, so that it goes out at once.
pub(crate) async fn ready(client: &Client, row: Row) -> Result<()> {
    client.ready(text(row)).await?;
    client.ready(LOG).await
}

fn text(row: Row) -> &'static str {
    match row {
        Row::New => INVOCATION,
        Row::Perhaps => INVOCATION_ONCE,
    }
}

/// Writes an invocation's row and its log; returns whether the row was new.
pub(crate) async fn write(
    client: &Client,
    tenant: &TenantId,
    record: &InvocationRecord,
    row: Row,
) -> Result<bool> {
    let InvocationRecord { id, plugin, plugin_version, trigger, caused_by, started_at, error, usage, log } =
        record;
    let Usage { fuel, micros, peak_memory, host_calls, rows_read, rows_written, bytes, events } = *usage;
    let own = [Parameter::Text(tenant.as_str()), Parameter::Uuid(id.0), Parameter::Text(plugin.as_str())];
    let mut parameters = Vec::from(own.clone());
    parameters.extend([
        Parameter::Text(plugin_version),
        Parameter::Text(trigger),
        Parameter::text(caused_by.as_ref().map(UserId::as_str)),
        Parameter::Time(*started_at),
        Parameter::text(error.map(ErrorCode::as_str)),
    ]);
    let figures = [fuel, micros, peak_memory, host_calls, rows_read, rows_written, bytes, events];
    parameters.extend(
        figures
            .map(|figure| Parameter::Integer(i64::try_from(figure.min(LARGEST_FIGURE)).unwrap_or(i64::MAX))),
    );
    let invocation = client.execute(text(row), &parameters);
    if log.is_empty() {
        return Ok(invocation.await? > 0);
    }
    let mut lines = Vec::from(own);
    lines.extend([
        Parameter::many(log.iter().map(|line| Parameter::Integer(severity(line.level)))),
        Parameter::many(log.iter().map(|line| Parameter::Text(&line.message))),
        Parameter::many(log.iter().map(|line| Parameter::Time(line.at))),
    ]);
    let (written, logged) = join(invocation, client.execute(LOG, &lines)).await;
    let written = written?;
    logged?;
    Ok(written > 0)
}

#[async_trait]
impl JournalReader for PostgresTransaction {
    async fn log(&mut self, query: &LogQuery) -> StorageResult<Vec<StoredLogLine>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT plugin, invocation, level, message, at FROM erp_plugin.log_lines
                 WHERE tenant_id = $1 AND level >= $2 AND ($3::text IS NULL OR plugin = $3)
                 ORDER BY at DESC, invocation DESC, ordinal DESC LIMIT $4";
            let parameters = [
                Parameter::Text(tenant),
                Parameter::Integer(severity(query.min_level)),
                Parameter::text(query.plugin.as_ref().map(PluginName::as_str)),
                Parameter::Integer(i64::from(query.limit)),
            ];
            let rows = client.rows(sql, &parameters).await?;
            let lines = rows.iter().rev().map(|row| {
                Ok(StoredLogLine {
                    plugin: read_plugin(row, 0)?,
                    invocation: InvocationId(read_uuid(row, 1)?),
                    level: read_level(row, 2)?,
                    message: read_text(row, 3)?.to_owned(),
                    at: read_time(row, 4)?,
                })
            });
            lines.collect()
        };
        self.session.run("log", work).await
    }

    async fn usage(&mut self) -> StorageResult<Vec<UsageTotal>> {
        let (client, tenant) = (self.session.client(), self.tenant.as_str());
        let work = async {
            let sql = "SELECT plugin, count(*), count(error), sum(fuel)::bigint, sum(micros)::bigint, max(peak_memory),
                     sum(host_calls)::bigint, sum(rows_read)::bigint, sum(rows_written)::bigint, sum(bytes)::bigint,
                     sum(events)::bigint
                 FROM erp_plugin.invocations WHERE tenant_id = $1 GROUP BY plugin ORDER BY plugin";
            let rows = client.rows(sql, &[Parameter::Text(tenant)]).await?;
            let totals = rows.iter().map(|row| {
                let figure = |column| read_count(row, column);
                Ok(UsageTotal {
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
                })
            });
            totals.collect()
        };
        self.session.run("usage", work).await
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

fn read_level(row: &tokio_postgres::Row, column: usize) -> Result<LogLevel> {
    let stored = read_integer(row, column)?;
    LEVELS.into_iter().find(|level| severity(*level) == stored).ok_or_else(|| Error::Unreadable("log level"))
}
