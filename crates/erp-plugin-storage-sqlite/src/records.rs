//! [`Records`]: each primitive is one statement that holds its preconditions — tenant, live, expected version — and
//! only when it hit no row a second one asks why. Several at once are in `batch`, searches in `search`, figures in
//! `aggregate`, and what becomes of deleted records in `deleted`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::layout::FieldSet;
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Change, Counted, DeleteOutcome, Entity, InsertOutcome, NewRecord,
    QueryOutcome, RecordSink, RecordUpdate, Records, RestoreOutcome, Stamp, StorageResult, UpdateOutcome,
    Violation,
};
use rusqlite::Connection;

use crate::document;
use crate::error::{Error, Result};
use crate::prepare::{Prepared, prepare};
use crate::query;
use crate::row::StoredRow;
use crate::sql::Sql;
use crate::statements::FIRST_FIELD;
use crate::table::{Feed, Table, bind_stamp};
use crate::transaction::SqliteTransaction;

#[async_trait]
impl Records for SqliteTransaction {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("insert", |connection| {
            let table = Table::of(connection, tenant, entity)?;
            table.check_values(record)?;
            match table.dangling(record)? {
                Some(violation) => Ok(InsertOutcome::Violates(violation)),
                None => table.insert(record, stamp),
            }
        })
    }

    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let Self { session, tenant, .. } = self;
        session.write_each("insert many", |connection, time| {
            Table::of(connection, tenant, entity)?.insert_many(records, stamp, time)
        })
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        let Self { session, tenant, .. } = self;
        session.read("get", |connection| Table::of(connection, tenant, entity)?.get(id, sink))
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let Self { session, tenant, .. } = self;
        let query =
            |connection: &Connection| Table::of(connection, tenant, entity)?.query(filter, page, sink);
        if query::finds_few(entity.schema(), filter) {
            session.read("query", query)
        } else {
            session.scan("query", query)
        }
    }

    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        let Self { session, tenant, .. } = self;
        let count = |connection: &Connection| Table::of(connection, tenant, entity)?.count(filter);
        if query::finds_few(entity.schema(), filter) {
            session.read("count", count)
        } else {
            session.scan("count", count)
        }
    }

    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let Self { session, tenant, .. } = self;
        session.scan("aggregate", |connection| {
            Table::of(connection, tenant, entity)?.aggregate(filter, aggregate)
        })
    }

    async fn update(
        &mut self,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        change: Change<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<UpdateOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("update", |connection| {
            let update = RecordUpdate { id, expected, change };
            Table::of(connection, tenant, entity)?.update(update, stamp, sink)
        })
    }

    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        let Self { session, tenant, .. } = self;
        session.write_each("update many", |connection, time| {
            Table::of(connection, tenant, entity)?.update_many(updates, stamp, sink, time)
        })
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("delete", |connection| Table::of(connection, tenant, entity)?.delete(id, stamp))
    }

    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        let Self { session, tenant, .. } = self;
        session.write("restore", |connection| Table::of(connection, tenant, entity)?.restore(id, stamp, sink))
    }

    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        let Self { session, tenant, .. } = self;
        session.write_each("purge", |connection, time| {
            Table::of(connection, tenant, entity)?.purge(deleted_before, limit, time)
        })
    }
}

impl<'c> Table<'c> {
    pub(crate) fn check_values(self, record: NewRecord<'_>) -> Result<()> {
        if record.values.len() == self.statements.types.len() {
            Ok(())
        } else {
            Err(Error::Misuse("a record with another number of values than its schema has fields"))
        }
    }

    /// The first reference that names no record.
    pub(crate) fn dangling(self, record: NewRecord<'_>) -> Result<Option<Violation>> {
        for reference in &self.statements.references {
            if let Some(Value::Uuid(id)) = record.values.get(reference.position)
                && !self.refers(reference, RecordId(*id))?
            {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// Inserts a record whose references have been checked.
    pub(crate) fn insert(self, record: NewRecord<'_>, stamp: Stamp<'_>) -> Result<InsertOutcome> {
        let mut statement = prepare(self.connection, &self.statements.insert)?;
        self.bind(&mut statement, record.id)?;
        bind_stamp(&mut statement, 3, stamp)?;
        for (position, value) in record.values.iter().enumerate() {
            self.statements.bind_field(&mut statement, position, value)?;
        }
        match statement.raw_execute() {
            Ok(_) => Ok(InsertOutcome::Inserted),
            Err(error) => self.violation(error).map(InsertOutcome::Violates),
        }
    }

    fn get(self, id: RecordId, sink: &mut dyn RecordSink) -> Result<bool> {
        let Some(mut statement) = self.prepare(&self.statements.get)? else { return Ok(false) };
        self.bind(&mut statement, id)?;
        let mut feed = Feed::new(1, sink);
        self.feed(&mut statement, &mut feed)?;
        Ok(feed.rows > 0)
    }

    pub(crate) fn update(
        self,
        update: RecordUpdate<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> Result<UpdateOutcome> {
        let RecordUpdate { id, expected, change } = update;
        if sink.wants_replaced() {
            self.show_replaced(id, sink)?;
        }
        let is_dynamic = self.entity.schema().is_dynamic();
        let mut statement = match change {
            Change::Fields(fields) if !is_dynamic => {
                let set = self.set_of(fields)?;
                if let Some(violation) = self.dangling_among(fields)? {
                    return Ok(match self.why_not(id)? {
                        UpdateOutcome::VersionMismatch { actual } if actual == expected => {
                            UpdateOutcome::Violates(violation)
                        }
                        worse => worse,
                    });
                }
                let sql = self.statements.update(self.entity.schema(), set);
                let mut statement = prepare(self.connection, &sql)?;
                for (position, value) in fields {
                    self.statements.bind_field(&mut statement, *position, value)?;
                }
                statement
            }
            Change::Document(changes) if is_dynamic => match self.update_of_document(changes)? {
                Some(statement) => statement,
                None => return Ok(UpdateOutcome::NotFound),
            },
            _ => return Err(Error::Misuse("a change that is not of the entity's kind")),
        };
        self.bind(&mut statement, id)?;
        statement.raw_bind_parameter(3, expected.get())?;
        bind_stamp(&mut statement, 4, stamp)?;
        let mut feed = Feed::new(1, sink);
        match self.feed(&mut statement, &mut feed) {
            Ok(()) if feed.rows > 0 => Ok(UpdateOutcome::Written),
            Ok(()) => {
                drop(statement);
                self.why_not(id)
            }
            Err(Error::Sqlite(error)) => self.violation(error).map(UpdateOutcome::Violates),
            Err(other) => Err(other),
        }
    }

    /// Shows a sink what an update is about to replace. RETURNING knows the new values alone, and a point read is cheap
    /// beside the write.
    fn show_replaced(self, id: RecordId, sink: &mut dyn RecordSink) -> Result<()> {
        let Some(mut statement) = self.prepare(&self.statements.get)? else { return Ok(()) };
        self.bind(&mut statement, id)?;
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => {
                let before = StoredRow { row, types: &self.statements.types };
                sink.replaced(id, &before).map_err(Error::Sink)
            }
            None => Ok(()),
        }
    }

    /// Which fields an update changes.
    fn set_of(self, fields: &[(usize, Value)]) -> Result<FieldSet> {
        FieldSet::of(fields, self.entity.schema().fields().len())
            .ok_or_else(|| Error::Misuse("a field twice in one update, or that the schema does not have"))
    }

    fn dangling_among(self, fields: &[(usize, Value)]) -> Result<Option<Violation>> {
        for (position, value) in fields {
            if let Some(reference) = self.statements.reference(*position)
                && let Value::Uuid(target) = value
                && !self.refers(reference, RecordId(*target))?
            {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// The update of a dynamic entity's document; `None` when it has no records.
    fn update_of_document(self, changes: &[(String, Value)]) -> Result<Option<Prepared<'c>>> {
        let mut sql = Sql::after(FIRST_FIELD - 1);
        document::push_changed(&mut sql, changes)?;
        let text = self.statements.update_with(&format!(", data = {}", sql.text));
        let mut statement = self.prepare(&text)?;
        if let Some(statement) = &mut statement {
            sql.bind(statement)?;
        }
        Ok(statement)
    }

    /// Why an update hit no row.
    fn why_not(self, id: RecordId) -> Result<UpdateOutcome> {
        let mut statement = prepare(self.connection, &self.statements.version)?;
        self.bind(&mut statement, id)?;
        let mut rows = statement.raw_query();
        Ok(match rows.next()? {
            None => UpdateOutcome::NotFound,
            Some(row) => UpdateOutcome::VersionMismatch {
                actual: Version::new(row.get(0)?).ok_or_else(|| Error::Unreadable("version"))?,
            },
        })
    }

    fn delete(self, id: RecordId, stamp: Stamp<'_>) -> Result<DeleteOutcome> {
        let Some(mut statement) = self.prepare(&self.statements.delete)? else {
            return Ok(DeleteOutcome::NotFound);
        };
        self.bind(&mut statement, id)?;
        bind_stamp(&mut statement, 3, stamp)?;
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else { return Ok(DeleteOutcome::NotFound) };
        let version = Version::new(row.get(0)?).ok_or_else(|| Error::Unreadable("version"))?;
        // What has been written is whole only when the statement has come to its end.
        while rows.next()?.is_some() {}
        Ok(DeleteOutcome::Deleted(version))
    }
}
