//! [`History`]: who changed what.
//!
//! What an invocation noted goes out in one go with its COMMIT, so that it costs no round trip: it is kept back until
//! then, or until the transaction itself asks for its history.

use std::pin::pin;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::{EntityRef, InvocationId, RecordId, TenantId, UserId, Version};
use erp_plugin_storage::{
    ChangeFilter, ChangePlace, History, HistoryQuery, HistorySink, NewChange, NotedChange, Origin, SinkFlow,
    StorageResult, Verb,
};
use futures_util::TryStreamExt as _;
use tokio_postgres::Row;

use crate::client::Client;
use crate::columns::Raw;
use crate::error::{Error, Result};
use crate::names::{read_integer, read_text, read_time, read_uuid};
use crate::row::raw;
use crate::sql::Parameter;
use crate::transaction::PostgresTransaction;

/// Tenant and origin, then an array for each column.
const NOTE: &str = "INSERT INTO erp_plugin.record_history
         (tenant_id, at, changed_by, caused_by, plugin, plugin_version, invocation, entity, record, version, verb, changes)
     SELECT $1, $2, $3, $4, $5, $6, $7, c.* FROM unnest(
         $8::text[], $9::uuid[], $10::bigint[], $11::bigint[], $12::text[]
     ) AS c";
/// Tenant, entity, before, at most so many.
pub(crate) const PRUNE: &str = "DELETE FROM erp_plugin.record_history WHERE tenant_id = $1 AND entity = $2
     AND (record, version, verb) IN (
         SELECT record, version, verb FROM erp_plugin.record_history
         WHERE tenant_id = $1 AND entity = $2 AND at < $3 ORDER BY at, record, version, verb LIMIT $4
     )";

/// Changes that are noted and not sent yet.
#[derive(Debug)]
pub(crate) struct Noted(Vec<Parameter<'static>>);

impl Noted {
    fn new(tenant: &TenantId, origin: Origin<'_>, changes: &[NewChange<'_>]) -> Self {
        let Origin { at, by, caused_by, plugin, invocation } = origin;
        let owned =
            |text: Option<&str>| text.map_or(Parameter::Null, |text| Parameter::Owned(text.to_owned()));
        let column = |value: &dyn Fn(&NewChange<'_>) -> Parameter<'static>| {
            Parameter::Many(changes.iter().map(value).collect())
        };
        Self(vec![
            owned(Some(tenant.as_str())),
            Parameter::Time(at),
            owned(Some(by)),
            owned(caused_by.map(UserId::as_str)),
            owned(plugin.map(|(name, _)| name.as_str())),
            owned(plugin.map(|(_, version)| version)),
            Parameter::Uuid(invocation.0),
            column(&|change| Parameter::Owned(change.entity.to_string())),
            column(&|change| Parameter::Uuid(change.record.0)),
            column(&|change| Parameter::Integer(change.version.get())),
            column(&|change| Parameter::Integer(change.verb.rank())),
            column(&|change| owned(change.changes)),
        ])
    }

    /// Prepares [`send`](Self::send), so that it goes out at once.
    pub(crate) async fn ready(client: &Client) -> Result<()> {
        client.ready(NOTE).await
    }

    pub(crate) async fn send(&self, client: &Client) -> Result<()> {
        client.execute(NOTE, &self.0).await.map(drop)
    }
}

impl PostgresTransaction {
    /// Sends what was kept back.
    async fn send_noted(&mut self) -> StorageResult<()> {
        let Some(noted) = self.noted.take() else { return Ok(()) };
        let client = self.session.client();
        self.session.write("note changes", noted.send(&client)).await
    }
}

#[async_trait]
impl History for PostgresTransaction {
    async fn note_changes(&mut self, origin: Origin<'_>, changes: &[NewChange<'_>]) -> StorageResult<()> {
        self.session.check_mode("note changes")?;
        // Only one statement can go out with COMMIT.
        self.send_noted().await?;
        if !changes.is_empty() {
            self.noted = Some(Noted::new(&self.tenant, origin, changes));
        }
        Ok(())
    }

    async fn history(
        &mut self,
        entity: &EntityRef,
        query: HistoryQuery<'_>,
        sink: &mut dyn HistorySink,
    ) -> StorageResult<bool> {
        self.send_noted().await?;
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        self.session.run("history", show(&client, &tenant, entity, query, sink)).await
    }

    async fn prune_history(
        &mut self,
        entity: &EntityRef,
        before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        self.send_noted().await?;
        let (client, tenant) = (self.session.client(), self.tenant.clone());
        let work = async {
            let parameters = [
                Parameter::Text(tenant.as_str()),
                Parameter::Owned(entity.to_string()),
                Parameter::Time(before),
                Parameter::Integer(i64::from(limit)),
            ];
            client.execute(PRUNE, &parameters).await
        };
        self.session.write("prune history", work).await
    }
}

/// The select of a page: tenant, entity, at most so many, then the record if it is of one, then the place to go on from,
/// in the order of the key, and at last what [`ChangeFilter`] asks for, if it asks for anything.
pub(crate) fn select(of_one: bool, after: bool, filtered: bool) -> String {
    let (wanted, order, parameters) = match (of_one, after) {
        (true, false) => ("AND record = $4", "version DESC, verb DESC", 4),
        (true, true) => ("AND record = $4 AND (version, verb) < ($5, $6)", "version DESC, verb DESC", 6),
        (false, false) => ("", "at DESC, record DESC, version DESC, verb DESC", 3),
        (false, true) => (
            "AND (at, record, version, verb) < ($4, $5, $6, $7)",
            "at DESC, record DESC, version DESC, verb DESC",
            7,
        ),
    };
    let filter = if filtered {
        let (since, until, by, verb) = (parameters + 1, parameters + 2, parameters + 3, parameters + 4);
        format!(
            "AND at >= coalesce(${since}::timestamptz, '-infinity')
                 AND at < coalesce(${until}::timestamptz, 'infinity')
                 AND (${by}::text IS NULL OR changed_by = ${by}) AND (${verb}::bigint IS NULL OR verb = ${verb})"
        )
    } else {
        String::new()
    };
    format!(
        "SELECT at, record, version, verb, changed_by, caused_by, plugin, plugin_version, invocation, changes
         FROM erp_plugin.record_history WHERE tenant_id = $1 AND entity = $2 {wanted} {filter} ORDER BY {order} LIMIT $3"
    )
}

async fn show(
    client: &Client,
    tenant: &TenantId,
    entity: &EntityRef,
    query: HistoryQuery<'_>,
    sink: &mut dyn HistorySink,
) -> Result<bool> {
    let HistoryQuery { record, filter, after, limit } = query;
    let mut parameters = vec![
        Parameter::Text(tenant.as_str()),
        Parameter::Owned(entity.to_string()),
        Parameter::Integer(i64::from(limit) + 1),
    ];
    parameters.extend(record.map(|record| Parameter::Uuid(record.0)));
    if let Some(ChangePlace { at, record: last, version, verb }) = after {
        if record.is_none() {
            parameters.extend([Parameter::Time(at), Parameter::Uuid(last.0)]);
        }
        parameters.extend([Parameter::Integer(version.get()), Parameter::Integer(verb.rank())]);
    }
    if !filter.is_empty() {
        let ChangeFilter { since, until, by, verb } = filter;
        parameters.extend([
            since.map_or(Parameter::Null, Parameter::Time),
            until.map_or(Parameter::Null, Parameter::Time),
            Parameter::text(by),
            verb.map_or(Parameter::Null, |verb| Parameter::Integer(verb.rank())),
        ]);
    }
    let sql = select(record.is_some(), after.is_some(), !filter.is_empty());
    let mut rows = pin!(client.stream(&sql, &parameters).await?);
    let (mut given, mut more, mut enough) = (0, false, false);
    // To its end, so that nothing of it is in the way of what is sent next.
    while let Some(row) = rows.try_next().await? {
        if given == limit || enough {
            more = !enough;
            continue;
        }
        given += 1;
        enough = sink.change(&read(&row)?).map_err(Error::Sink)? == SinkFlow::Stop;
    }
    Ok(more)
}

fn read(row: &Row) -> Result<NotedChange<'_>> {
    let text = |column| raw(row, column)?.map(Raw::text).transpose();
    Ok(NotedChange {
        place: ChangePlace {
            at: read_time(row, 0)?,
            record: RecordId(read_uuid(row, 1)?),
            version: Version::new(read_integer(row, 2)?).ok_or_else(|| Error::Unreadable("version"))?,
            verb: Verb::of_rank(read_integer(row, 3)?).ok_or_else(|| Error::Unreadable("verb"))?,
        },
        by: read_text(row, 4)?,
        caused_by: text(5)?,
        plugin: text(6)?,
        plugin_version: text(7)?,
        invocation: InvocationId(read_uuid(row, 8)?),
        changes: text(9)?,
    })
}
