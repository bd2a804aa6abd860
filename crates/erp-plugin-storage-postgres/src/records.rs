//! [`Records`]: each primitive is one statement that holds its preconditions — tenant, live, expected version,
//! references — and only when it hit no row others ask why.
//!
//! An insert that finds a value taken does nothing and is no error, so that the transaction stands. An update cannot
//! be written so; where it could clash it goes behind a savepoint, in the same message.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use erp_plugin_model::filter::Filter;
use erp_plugin_model::fold::fold;
use erp_plugin_model::page::{Page, Start};
use erp_plugin_model::schema::MAX_DOCUMENT_BYTES;
use erp_plugin_model::{RecordId, TenantId, Value, Version};
use erp_plugin_storage::layout::FieldSet;
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Change, Counted, DeleteOutcome, Entity, ErrorKind, InsertOutcome, NewRecord,
    QueryOutcome, RecordSink, RecordUpdate, Records, RestoreOutcome, SinkFlow, Stamp, StorageResult,
    UpdateOutcome, Violation,
};
use futures_util::TryStreamExt as _;
use futures_util::future::join3;
use tokio_postgres::{Row, RowStream};

use crate::client::Client;
use crate::document;
use crate::error::{Error, Result};
use crate::names::{read_count, read_integer, read_text};
use crate::query::{self, Part, Question};
use crate::row::StoredRow;
use crate::scanned;
use crate::schema::Tables;
use crate::sql::Parameter;
use crate::statements::{self, Reference, Statements, Update, Written};
use crate::transaction::PostgresTransaction;
use crate::{aggregate, batch};

/// For what is not sent together with others.
static NONE_NEW: LazyLock<HashSet<RecordId>> = LazyLock::new(HashSet::new);

/// What every operation on records knows.
pub(crate) struct Context<'a> {
    pub(crate) client: &'a Client,
    pub(crate) tables: &'a Tables,
    pub(crate) tenant: &'a TenantId,
    pub(crate) entity: &'a Entity,
    pub(crate) statements: &'a Statements,
}

#[async_trait]
impl Records for PostgresTransaction {
    async fn insert(
        &mut self,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("insert"))?;
        self.session.write("insert", context.insert(record, stamp)).await
    }

    async fn insert_many(
        &mut self,
        entity: &Entity,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
    ) -> StorageResult<Vec<InsertOutcome>> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("insert"))?;
        self.session.write("insert", batch::insert(&context, records, stamp)).await
    }

    async fn get(&mut self, entity: &Entity, id: RecordId, sink: &mut dyn RecordSink) -> StorageResult<bool> {
        let client = self.session.client();
        let context = self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("get"))?;
        self.session.run("get", context.get(id, sink)).await
    }

    async fn query(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<QueryOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("query"))?;
        self.session.run("query", context.query(filter, page, sink)).await
    }

    async fn count(&mut self, entity: &Entity, filter: &Filter) -> StorageResult<Counted> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("count"))?;
        self.session.run("count", context.count(filter)).await
    }

    async fn aggregate(
        &mut self,
        entity: &Entity,
        filter: &Filter,
        aggregate: &Aggregate,
    ) -> StorageResult<AggregateOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("aggregate"))?;
        self.session.run("aggregate", aggregate::run(&context, filter, aggregate)).await
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
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("update"))?;
        let update = RecordUpdate { id, expected, change };
        self.session.write("update", context.update(update, stamp, sink)).await
    }

    async fn update_many(
        &mut self,
        entity: &Entity,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<Vec<UpdateOutcome>> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("update"))?;
        self.session.write("update", batch::update(&context, updates, stamp, sink)).await
    }

    async fn delete(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
    ) -> StorageResult<DeleteOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("delete"))?;
        self.session.write("delete", context.delete(id, stamp)).await
    }

    async fn restore(
        &mut self,
        entity: &Entity,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> StorageResult<RestoreOutcome> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("restore"))?;
        self.session.write("restore", context.restore(id, stamp, sink)).await
    }

    async fn purge(
        &mut self,
        entity: &Entity,
        deleted_before: DateTime<Utc>,
        limit: u32,
    ) -> StorageResult<u64> {
        let client = self.session.client();
        let context =
            self.tables.context(&client, &self.tenant, entity).map_err(|error| error.at("purge"))?;
        self.session.write("purge", context.purge(deleted_before, limit)).await
    }
}

impl<'a> Context<'a> {
    pub(crate) fn tenant(&self) -> Parameter<'a> {
        Parameter::Text(self.tenant.as_str())
    }

    /// Whether the entity's table is there. A declared one's is; a dynamic one's may not be yet, and then it has no
    /// records.
    pub(crate) async fn has_table(&self) -> Result<bool> {
        let schema = self.entity.schema();
        Ok(!schema.is_dynamic() || self.tables.is_there(self.client, &schema.name.table()).await?)
    }

    /// Whether all tables that the entity refers to are there, so that a statement can check its references itself.
    async fn has_targets(&self) -> Result<bool> {
        for reference in &self.statements.references {
            if !self.tables.is_there(self.client, &reference.name).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The text of a statement that fits the tables that are there.
    pub(crate) async fn choose<'t>(&self, written: &'t Written) -> Result<(&'t statements::Text, bool)> {
        Ok(if self.has_targets().await? { (&written.checked, true) } else { (&written.unchecked, false) })
    }

    pub(crate) async fn insert(&self, record: NewRecord<'_>, stamp: Stamp<'_>) -> Result<InsertOutcome> {
        self.check_values(record)?;
        if self.is_too_long(record.values) {
            return Ok(InsertOutcome::Violates(Violation::DocumentTooLong));
        }
        let (text, is_checked) = self.choose(&self.statements.insert).await?;
        if !is_checked && let Some(violation) = self.broken_reference(record.values, &NONE_NEW).await? {
            return Ok(InsertOutcome::Violates(violation));
        }
        let mut parameters = vec![
            self.tenant(),
            Parameter::Uuid(record.id.0),
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
        ];
        parameters.extend(record.values.iter().map(Parameter::Value));
        parameters.extend(self.folds(record.values));
        match self.client.execute_text(text, &parameters).await? {
            0 => self.why_not_inserted(record, &NONE_NEW).await.map(InsertOutcome::Violates),
            _ => Ok(InsertOutcome::Inserted),
        }
    }

    pub(crate) fn check_values(&self, record: NewRecord<'_>) -> Result<()> {
        if record.values.len() == self.statements.types.len() {
            Ok(())
        } else {
            Err(Error::Misuse("a record with another number of values than its schema has fields"))
        }
    }

    /// Whether a dynamic entity's document is longer than it may be.
    pub(crate) fn is_too_long(&self, values: &[Value]) -> bool {
        self.entity.schema().is_dynamic()
            && matches!(values, [Value::Json(document)] if document.len() > MAX_DOCUMENT_BYTES)
    }

    /// The folds of the searchable fields, given the values of all fields.
    pub(crate) fn folds<'v>(&self, values: &'v [Value]) -> impl Iterator<Item = Parameter<'v>> {
        self.statements.searchable.iter().map(|position| folded(values.get(*position)))
    }

    /// Why an insert did nothing, when it was sent together with those of `new`.
    pub(crate) async fn why_not_inserted(
        &self,
        record: NewRecord<'_>,
        new: &HashSet<RecordId>,
    ) -> Result<Violation> {
        if let Some(violation) = self.broken_reference(record.values, new).await? {
            return Ok(violation);
        }
        let values = |position: usize| record.values.get(position);
        if let Some(violation) = self.taken(values).await? {
            return Ok(violation);
        }
        let own = [self.tenant(), Parameter::Uuid(record.id.0)];
        match self.client.row(&self.statements.exists, &own).await? {
            Some(_) => Err(Error::Misuse("an id that a record of this tenant already has")),
            // What stood in the way is not of this transaction's time.
            None => Err(Error::Kind(ErrorKind::TransactionLost)),
        }
    }

    /// The first unique field whose value another record has, as this transaction sees it.
    async fn taken<'v>(&self, values: impl Fn(usize) -> Option<&'v Value>) -> Result<Option<Violation>> {
        for unique in &self.statements.uniques {
            let Some(value) = values(unique.position).filter(|value| !value.is_null()) else { continue };
            let parameters = [self.tenant(), Parameter::Value(value)];
            if !self.client.rows_text(&unique.taken, &parameters).await?.is_empty() {
                return Ok(Some(Violation::Unique(unique.field.clone())));
            }
        }
        Ok(None)
    }

    /// The first of these values that refers to no live record, or to one of this entity that is new.
    pub(crate) async fn broken_reference(
        &self,
        values: &[Value],
        new: &HashSet<RecordId>,
    ) -> Result<Option<Violation>> {
        for reference in &self.statements.references {
            let Some(Value::Uuid(id)) = values.get(reference.position) else { continue };
            let id = RecordId(*id);
            let is_new = reference.is_own(self.statements) && new.contains(&id);
            if is_new || !self.refers(reference, id).await? {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// Whether a reference names a live record of the tenant. An entity that is not installed has none.
    async fn refers(&self, reference: &Reference, id: RecordId) -> Result<bool> {
        let parameters = [self.tenant(), Parameter::Uuid(id.0)];
        Ok(self.tables.is_there(self.client, &reference.name).await?
            && self.client.row(&reference.exists, &parameters).await?.is_some())
    }

    async fn get(&self, id: RecordId, sink: &mut dyn RecordSink) -> Result<bool> {
        if !self.has_table().await? {
            return Ok(false);
        }
        let row = self.client.row(&self.statements.get, &[self.tenant(), Parameter::Uuid(id.0)]).await?;
        if let Some(row) = &row {
            self.give(row, sink)?;
        }
        Ok(row.is_some())
    }

    /// Shows a sink a row.
    pub(crate) fn give(&self, row: &Row, sink: &mut dyn RecordSink) -> Result<SinkFlow> {
        sink.record(&StoredRow { row, types: &self.statements.types }).map_err(Error::Sink)
    }

    async fn query(&self, filter: &Filter, page: &Page, sink: &mut dyn RecordSink) -> Result<QueryOutcome> {
        if !self.has_table().await? {
            return Ok(QueryOutcome { has_more: false, total: page.total.then_some(0), rows_scanned: 0 });
        }
        let Self { client, tenant, statements, .. } = *self;
        let schema = self.entity.schema();
        let question = Question { statements, schema, tenant, filter, page };
        let measured = !query::finds_few(schema, filter);
        let mut outcome = QueryOutcome { has_more: false, total: None, rows_scanned: 0 };
        let mut left = page.limit;
        let mut skipped = match page.start {
            Start::Offset(offset) => offset,
            Start::After(_) => 0,
        };
        let parts = query::parts(schema, page);
        for (index, part) in parts.iter().enumerate() {
            // One more than wanted tells whether more follow.
            let sql = question.select(*part, skipped, left.saturating_add(1))?;
            client.ready_built(&sql).await?;
            let fed = async { self.feed(client.stream_built(&sql).await?, left, sink).await };
            let (fed, scanned) = if measured {
                self.measured(fed).await?
            } else {
                let fed = fed.await?;
                let scanned = u64::from(fed.rows);
                (fed, scanned)
            };
            outcome.rows_scanned += scanned;
            if fed.stopped {
                return Ok(outcome);
            }
            outcome.has_more = fed.more;
            left -= fed.rows;
            if fed.more {
                break;
            }
            if skipped > 0 && index + 1 < parts.len() {
                let (count, scanned) = self.count_part(&question, *part).await?;
                skipped = skipped.saturating_sub(count);
                outcome.rows_scanned += scanned;
            }
        }
        if page.total {
            let (count, scanned) = self.count_part(&question, Part::Whole).await?;
            outcome.total = Some(count);
            outcome.rows_scanned += scanned;
        }
        Ok(outcome)
    }

    async fn count(&self, filter: &Filter) -> Result<Counted> {
        if !self.has_table().await? {
            return Ok(Counted { count: 0, rows_scanned: 0 });
        }
        let page = Page { limit: 1, sort: Vec::new(), start: Start::Offset(0), total: false };
        let Self { tenant, statements, .. } = *self;
        let question = Question { statements, schema: self.entity.schema(), tenant, filter, page: &page };
        let (count, rows_scanned) = self.count_part(&question, Part::Whole).await?;
        Ok(Counted { count, rows_scanned })
    }

    /// How many records of a part match, and about how many were looked at to know.
    async fn count_part(&self, question: &Question<'_>, part: Part) -> Result<(u64, u64)> {
        let sql = question.count(part)?;
        self.client.ready_built(&sql).await?;
        let counted = async {
            let rows = self.client.rows_built(&sql).await?;
            read_count(rows.first().ok_or_else(|| Error::Unreadable("count"))?, 0)
        };
        self.measured(counted).await
    }

    /// Sends a statement that is ready, and tells with its answer how many records it looked at.
    pub(crate) async fn measured<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, u64)> {
        let relations = self.tables.relations(self.client, &self.statements.table).await?;
        scanned::around(self.client, &relations, work).await
    }

    async fn feed(&self, stream: RowStream, limit: u32, sink: &mut dyn RecordSink) -> Result<Fed> {
        let mut fed = Fed { rows: 0, more: false, stopped: false };
        let mut stream = std::pin::pin!(stream);
        while let Some(row) = stream.try_next().await? {
            if fed.rows == limit {
                fed.more = true;
                break;
            }
            fed.rows += 1;
            if self.give(&row, sink)? == SinkFlow::Stop {
                fed.stopped = true;
                break;
            }
        }
        Ok(fed)
    }

    pub(crate) async fn update(
        &self,
        update: RecordUpdate<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> Result<UpdateOutcome> {
        match self.update_row(update, stamp).await? {
            Ok(row) => {
                self.give(&row, sink)?;
                Ok(UpdateOutcome::Written)
            }
            Err(outcome) => Ok(outcome),
        }
    }

    /// Makes an update and returns the new record, or how it ended otherwise.
    pub(crate) async fn update_row(
        &self,
        update: RecordUpdate<'_>,
        stamp: Stamp<'_>,
    ) -> Result<std::result::Result<Row, UpdateOutcome>> {
        match update.change {
            Change::Fields(fields) if !self.entity.schema().is_dynamic() => {
                let shape = self.shape(fields)?;
                self.update_fields(update, fields, &shape, stamp).await
            }
            Change::Document(changes) if self.entity.schema().is_dynamic() => {
                self.update_document(update, changes, stamp).await
            }
            _ => Err(Error::Misuse("a change that is not of the entity's kind")),
        }
    }

    /// The statements that change these fields.
    pub(crate) fn shape(&self, fields: &[(usize, Value)]) -> Result<Arc<Update>> {
        let schema = self.entity.schema();
        let mut set = FieldSet::default();
        for (position, _) in fields {
            if *position >= schema.fields().len() || !set.insert(*position) {
                return Err(Error::Misuse("a field twice in one update, or that the schema does not have"));
            }
        }
        Ok(self.statements.update(schema, set))
    }

    async fn update_fields(
        &self,
        update: RecordUpdate<'_>,
        fields: &[(usize, Value)],
        shape: &Update,
        stamp: Stamp<'_>,
    ) -> Result<std::result::Result<Row, UpdateOutcome>> {
        let (text, is_checked) = self.choose(&shape.one).await?;
        if !is_checked && self.broken_change(fields).await?.is_some() {
            return self.why_not_updated(update, fields).await.map(Err);
        }
        let mut parameters = vec![
            self.tenant(),
            Parameter::Uuid(update.id.0),
            Parameter::Integer(update.expected.get()),
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
        ];
        parameters.extend(changed_values(shape, fields));
        let written = if shape.may_clash {
            self.behind_savepoint(text, &parameters).await
        } else {
            self.client.rows_text(text, &parameters).await
        };
        match written {
            Ok(mut rows) => match rows.pop() {
                Some(row) => Ok(Ok(row)),
                None => self.why_not_updated(update, fields).await.map(Err),
            },
            Err(error) if error.unique_violation().is_some() => {
                self.clash(&error, fields).await.map(|violation| Err(UpdateOutcome::Violates(violation)))
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a statement that may break a unique index, with a savepoint before and after it, in one go.
    pub(crate) async fn behind_savepoint(
        &self,
        text: &statements::Text,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>> {
        let client = self.client;
        client.ready_text(text).await?;
        let (begun, done, released) = join3(
            client.batch("SAVEPOINT change"),
            client.rows_text(text, parameters),
            client.batch("RELEASE change"),
        )
        .await;
        begun?;
        if let Err(error) = &done
            && error.unique_violation().is_some()
        {
            client.batch("ROLLBACK TO change; RELEASE change").await?;
            return done;
        }
        let rows = done?;
        released?;
        Ok(rows)
    }

    /// Which unique field an update would have broken.
    async fn clash(&self, error: &Error, fields: &[(usize, Value)]) -> Result<Violation> {
        let values =
            |position: usize| fields.iter().find(|(own, _)| *own == position).map(|(_, value)| value);
        match self.taken(values).await? {
            Some(violation) => Ok(violation),
            // By a record that this transaction does not see: it came too late for that.
            None if self
                .statements
                .uniques
                .iter()
                .any(|own| error.unique_violation() == Some(&own.index)) =>
            {
                Err(Error::Kind(ErrorKind::TransactionLost))
            }
            None => Err(Error::Misuse("an update that breaks an index of no field")),
        }
    }

    async fn broken_change(&self, fields: &[(usize, Value)]) -> Result<Option<Violation>> {
        for (position, value) in fields {
            if let (Some(reference), Value::Uuid(id)) = (self.statements.reference(*position), value)
                && !self.refers(reference, RecordId(*id)).await?
            {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// Why an update hit no row.
    pub(crate) async fn why_not_updated(
        &self,
        update: RecordUpdate<'_>,
        fields: &[(usize, Value)],
    ) -> Result<UpdateOutcome> {
        let own = [self.tenant(), Parameter::Uuid(update.id.0)];
        let Some(row) = self.client.row(&self.statements.version, &own).await? else {
            return Ok(UpdateOutcome::NotFound);
        };
        let actual = Version::new(read_integer(&row, 0)?).ok_or_else(|| Error::Unreadable("version"))?;
        if actual != update.expected {
            return Ok(UpdateOutcome::VersionMismatch { actual });
        }
        match self.broken_change(fields).await? {
            Some(violation) => Ok(UpdateOutcome::Violates(violation)),
            None => Err(Error::Kind(ErrorKind::TransactionLost)),
        }
    }

    async fn update_document(
        &self,
        update: RecordUpdate<'_>,
        changes: &[(String, Value)],
        stamp: Stamp<'_>,
    ) -> Result<std::result::Result<Row, UpdateOutcome>> {
        if !self.has_table().await? {
            return Ok(Err(UpdateOutcome::NotFound));
        }
        let own = [self.tenant(), Parameter::Uuid(update.id.0), Parameter::Integer(update.expected.get())];
        let Some(row) = self.client.row(&self.statements.document, &own).await? else {
            return self.why_not_updated(update, &[]).await.map(Err);
        };
        let document = Value::Json(document::changed(read_text(&row, 0)?, changes)?);
        if self.is_too_long(std::slice::from_ref(&document)) {
            return Ok(Err(UpdateOutcome::Violates(Violation::DocumentTooLong)));
        }
        let mut parameters = Vec::from(own);
        parameters.extend([
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
            Parameter::Value(&document),
        ]);
        // It was there a moment ago, in this very transaction.
        let row = self.client.row(&self.statements.update_document(), &parameters).await?;
        row.map(Ok).ok_or_else(|| Error::Kind(ErrorKind::TransactionLost))
    }

    async fn delete(&self, id: RecordId, stamp: Stamp<'_>) -> Result<DeleteOutcome> {
        if !self.has_table().await? {
            return Ok(DeleteOutcome::NotFound);
        }
        let parameters =
            [self.tenant(), Parameter::Uuid(id.0), Parameter::Time(stamp.at), Parameter::Text(stamp.by)];
        Ok(match self.client.execute(&self.statements.delete, &parameters).await? {
            0 => DeleteOutcome::NotFound,
            _ => DeleteOutcome::Deleted,
        })
    }

    async fn restore(
        &self,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> Result<RestoreOutcome> {
        if !self.has_table().await? {
            return Ok(RestoreOutcome::NotFound);
        }
        let Some(values) = self.deleted(id).await? else { return Ok(RestoreOutcome::NotFound) };
        let (text, is_checked) = self.choose(&self.statements.restore).await?;
        if !is_checked && let Some(violation) = self.broken_reference(&values, &NONE_NEW).await? {
            return Ok(RestoreOutcome::Violates(violation));
        }
        let parameters =
            [self.tenant(), Parameter::Uuid(id.0), Parameter::Time(stamp.at), Parameter::Text(stamp.by)];
        let rows = match self.behind_savepoint(text, &parameters).await {
            Ok(rows) => rows,
            Err(error) if error.unique_violation().is_some() => {
                let fields: Vec<_> = values.into_iter().enumerate().collect();
                return self.clash(&error, &fields).await.map(RestoreOutcome::Violates);
            }
            Err(error) => return Err(error),
        };
        match rows.first() {
            Some(row) => {
                self.give(row, sink)?;
                Ok(RestoreOutcome::Restored)
            }
            None => match self.broken_reference(&values, &NONE_NEW).await? {
                Some(violation) => Ok(RestoreOutcome::Violates(violation)),
                None => Err(Error::Kind(ErrorKind::TransactionLost)),
            },
        }
    }

    /// The values of a deleted record.
    async fn deleted(&self, id: RecordId) -> Result<Option<Vec<Value>>> {
        let Statements { table, columns, types, .. } = self.statements;
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NOT NULL"
        );
        let Some(row) = self.client.row(&sql, &[self.tenant(), Parameter::Uuid(id.0)]).await? else {
            return Ok(None);
        };
        let row = StoredRow { row: &row, types };
        (0..types.len()).map(|position| row.value(position)).collect::<Result<_>>().map(Some)
    }

    async fn purge(&self, deleted_before: DateTime<Utc>, limit: u32) -> Result<u64> {
        if !self.has_table().await? {
            return Ok(0);
        }
        let parameters =
            [self.tenant(), Parameter::Time(deleted_before), Parameter::Integer(i64::from(limit))];
        self.client.execute(&self.statements.purge, &parameters).await
    }
}

/// What a sink was given.
struct Fed {
    rows: u32,
    /// Whether there was a row beyond the limit.
    more: bool,
    /// Whether the sink wanted no more.
    stopped: bool,
}

/// The values of an update and the folds of them, in the order of its parameters.
pub(crate) fn changed_values<'v>(
    shape: &Update,
    fields: &'v [(usize, Value)],
) -> impl Iterator<Item = Parameter<'v>> {
    let value =
        move |position: &usize| fields.iter().find(|(own, _)| own == position).map(|(_, value)| value);
    let values =
        shape.positions.iter().map(move |position| value(position).map_or(Parameter::Null, Parameter::Value));
    values.chain(shape.folded.iter().map(move |position| folded(value(position))))
}

fn folded(value: Option<&Value>) -> Parameter<'_> {
    match value {
        Some(Value::Text(text)) => Parameter::Owned(fold(text)),
        _ => Parameter::Null,
    }
}
