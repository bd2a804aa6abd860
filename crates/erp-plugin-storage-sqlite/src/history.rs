//! [`History`]: who changed what. A statement for each change, compiled once.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, InvocationId, RecordId, TenantId, UserId, Version};
use erp_plugin_storage::{
    ChangeFilter, ChangePlace, History, HistoryQuery, HistorySink, NewChange, NotedChange, Origin, SinkFlow,
    StorageResult, Verb,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::error::{Error, Result};
use crate::names::{read_text, read_time, read_uuid};
use crate::session::Time;
use crate::transaction::SqliteTransaction;

/// The changes that one statement removes: it cannot be stopped, so there are several with a look at the time between.
const PRUNED_AT_ONCE: u32 = 500;

const NOTE: &str =
    "INSERT INTO record_history (tenant_id, entity, record, version, verb, at, changed_by, caused_by,
     plugin, plugin_version, invocation, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
/// Tenant, entity, before, at most so many.
pub(crate) const PRUNE: &str = "DELETE FROM record_history WHERE tenant_id = ?1 AND entity = ?2
     AND (record, version, verb) IN (SELECT record, version, verb FROM record_history
         WHERE tenant_id = ?1 AND entity = ?2 AND at < ?3 ORDER BY at, record, version, verb LIMIT ?4)";

#[async_trait]
impl History for SqliteTransaction {
    async fn note_changes(&mut self, origin: Origin<'_>, changes: &[NewChange<'_>]) -> StorageResult<()> {
        let Self { session, tenant, .. } = self;
        session.write("note changes", |connection| note(connection, tenant, origin, changes))
    }

    async fn history(
        &mut self,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.scan("history", |connection| show(connection, tenant, entity, query, sink))
    }

    async fn prune_history(
        &mut self,
        entity: &EntityRef,
        before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.write_each("prune history", |connection, time| {
            prune(connection, tenant, entity, before, limit, time)
        })
    }
}

fn note(
    connection: &Connection,
    tenant: &TenantId,
    origin: Origin<'_>,
    changes: &[NewChange<'_>],
) -> Result<()> {
    let Origin { at, by, caused_by, plugin, invocation } = origin;
    let mut statement = connection.prepare_cached(NOTE)?;
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(6, at.timestamp_micros())?;
    statement.raw_bind_parameter(7, by)?;
    statement.raw_bind_parameter(8, caused_by.map(UserId::as_str))?;
    statement.raw_bind_parameter(9, plugin.map(|(name, _)| name.as_str()))?;
    statement.raw_bind_parameter(10, plugin.map(|(_, version)| version))?;
    statement.raw_bind_parameter(11, &invocation.0.as_bytes()[..])?;
    for change in changes {
        statement.raw_bind_parameter(2, change.entity.to_string())?;
        statement.raw_bind_parameter(3, &change.record.0.as_bytes()[..])?;
        statement.raw_bind_parameter(4, change.version.get())?;
        statement.raw_bind_parameter(5, change.verb.rank())?;
        statement.raw_bind_parameter(12, change.changes)?;
        statement.raw_execute()?;
    }
    Ok(())
}

/// The select of a page: tenant, entity, at most so many, then the record if it is of one, then the place to go on from,
/// in the order of the key, and at last what [`ChangeFilter`] asks for, if it asks for anything.
pub(crate) fn select(of_one: bool, after: bool, filtered: bool) -> String {
    let (wanted, order, parameters) = match (of_one, after) {
        (true, false) => ("AND record = ?4", "version DESC, verb DESC", 4),
        (true, true) => ("AND record = ?4 AND (version, verb) < (?5, ?6)", "version DESC, verb DESC", 6),
        (false, false) => ("", "at DESC, record DESC, version DESC, verb DESC", 3),
        (false, true) => (
            "AND (at, record, version, verb) < (?4, ?5, ?6, ?7)",
            "at DESC, record DESC, version DESC, verb DESC",
            7,
        ),
    };
    let filter = if filtered {
        let (since, until, by, verb) = (parameters + 1, parameters + 2, parameters + 3, parameters + 4);
        format!(
            "AND at >= ?{since} AND at < ?{until} AND (?{by} IS NULL OR changed_by = ?{by}) AND (?{verb} IS NULL OR verb = ?{verb})"
        )
    } else {
        String::new()
    };
    format!(
        "SELECT at, record, version, verb, changed_by, caused_by, plugin, plugin_version, invocation, changes
         FROM record_history WHERE tenant_id = ?1 AND entity = ?2 {wanted} {filter} ORDER BY {order} LIMIT ?3"
    )
}

fn show(
    connection: &Connection,
    tenant: &TenantId,
    entity: &EntityRef,
    query: HistoryQuery<'_>,
    sink: &mut dyn HistorySink,
) -> Result<bool> {
    let HistoryQuery { record, filter, after, limit } = query;
    let sql = select(record.is_some(), after.is_some(), !filter.is_empty());
    let mut statement = connection.prepare_cached(&sql)?;
    statement.raw_bind_parameter(1, tenant.as_str())?;
    statement.raw_bind_parameter(2, entity.to_string())?;
    statement.raw_bind_parameter(3, i64::from(limit) + 1)?;
    let mut next = 4;
    if let Some(record) = record {
        statement.raw_bind_parameter(next, &record.0.as_bytes()[..])?;
        next += 1;
    }
    if let Some(ChangePlace { at, record: last, version, verb }) = after {
        if record.is_none() {
            statement.raw_bind_parameter(next, at.timestamp_micros())?;
            statement.raw_bind_parameter(next + 1, &last.0.as_bytes()[..])?;
            next += 2;
        }
        statement.raw_bind_parameter(next, version.get())?;
        statement.raw_bind_parameter(next + 1, verb.rank())?;
        next += 2;
    }
    if !filter.is_empty() {
        let ChangeFilter { since, until, by, verb } = filter;
        statement.raw_bind_parameter(next, since.map_or(i64::MIN, |at| at.timestamp_micros()))?;
        statement.raw_bind_parameter(next + 1, until.map_or(i64::MAX, |at| at.timestamp_micros()))?;
        statement.raw_bind_parameter(next + 2, by)?;
        statement.raw_bind_parameter(next + 3, verb.map(Verb::rank))?;
    }
    let mut rows = statement.raw_query();
    let mut given = 0;
    while let Some(row) = rows.next()? {
        if given == limit {
            return Ok(true);
        }
        given += 1;
        if sink.change(&read(row)?).map_err(Error::Sink)? == SinkFlow::Stop {
            break;
        }
    }
    Ok(false)
}

fn read<'r>(row: &'r Row<'_>) -> Result<NotedChange<'r>> {
    let text = |column| match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => read_text(row, column).map(Some),
    };
    Ok(NotedChange {
        place: ChangePlace {
            at: read_time(row, 0)?,
            record: RecordId(read_uuid(row, 1)?),
            version: Version::new(row.get(2)?).ok_or_else(|| Error::Unreadable("version"))?,
            verb: Verb::of_rank(row.get(3)?).ok_or_else(|| Error::Unreadable("verb"))?,
        },
        by: read_text(row, 4)?,
        caused_by: text(5)?,
        plugin: text(6)?,
        plugin_version: text(7)?,
        invocation: InvocationId(read_uuid(row, 8)?),
        changes: text(9)?,
    })
}

fn prune(
    connection: &Connection,
    tenant: &TenantId,
    entity: &EntityRef,
    before: DateTime<Utc>,
    limit: u32,
    time: Time,
) -> Result<u64> {
    let mut statement = connection.prepare_cached(PRUNE)?;
    let (mut pruned, mut left) = (0, limit);
    while left > 0 {
        time.check()?;
        let wanted = left.min(PRUNED_AT_ONCE);
        let removed =
            statement.execute((tenant.as_str(), entity.to_string(), before.timestamp_micros(), wanted))?;
        pruned += removed as u64;
        if removed < wanted as usize {
            break;
        }
        left -= wanted;
    }
    Ok(pruned)
}
