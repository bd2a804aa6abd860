//! Records in hand: read whole, altered, put in an order, and given on.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::value::ValueRef;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::{
    Entity, ErrorKind, RecordSink, RowView, SinkFlow, StorageError, StorageResult, SystemValues, Transaction,
};

use crate::model::{self, Record};

/// A record as a backend showed it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: RecordId,
    pub(super) version: Version,
    pub(super) created_at: DateTime<Utc>,
    created_by: String,
    pub(super) updated_at: DateTime<Utc>,
    updated_by: String,
    pub(super) values: Vec<Value>,
}

impl Row {
    fn of(row: &dyn RowView, entity: &Entity) -> StorageResult<Self> {
        let system = row.system()?;
        let schema = entity.schema();
        let columns = if schema.is_dynamic() { 1 } else { schema.fields().len() };
        Ok(Self {
            id: system.id,
            version: system.version,
            created_at: system.created_at,
            created_by: system.created_by.to_owned(),
            updated_at: system.updated_at,
            updated_by: system.updated_by.to_owned(),
            values: (0..columns).map(|at| Ok(row.field(at)?.to_owned())).collect::<StorageResult<_>>()?,
        })
    }

    /// The record with the next version.
    pub(super) fn raised(mut self) -> Self {
        self.version = Version::new(self.version.get() + 1).unwrap();
        self
    }

    /// What a cursor on it holds.
    pub(super) fn key(&self, sort: &[SortKey]) -> Vec<Value> {
        sort.iter().map(|key| self.column(&key.column).unwrap().to_owned()).collect()
    }

    pub(super) fn matches(&self, filter: &Filter) -> bool {
        let record = Record { id: self.id, version: self.version.get(), values: self.values.clone() };
        model::matches(filter, &record)
    }
}

impl RowView for Row {
    fn system(&self) -> StorageResult<SystemValues<'_>> {
        Ok(SystemValues {
            id: self.id,
            version: self.version,
            created_at: self.created_at,
            created_by: &self.created_by,
            updated_at: self.updated_at,
            updated_by: &self.updated_by,
        })
    }

    fn field(&self, position: usize) -> StorageResult<ValueRef<'_>> {
        Ok(self.values[position].as_ref())
    }

    fn column(&self, column: &Column) -> StorageResult<ValueRef<'_>> {
        match column {
            Column::System(SystemField::Id) => Ok(ValueRef::Uuid(self.id.0)),
            Column::System(SystemField::Version) => Ok(ValueRef::Integer(self.version.get())),
            Column::System(SystemField::CreatedAt) => Ok(ValueRef::DateTime(self.created_at)),
            Column::System(SystemField::CreatedBy) => Ok(ValueRef::Text(&self.created_by)),
            Column::System(SystemField::UpdatedAt) => Ok(ValueRef::DateTime(self.updated_at)),
            Column::System(SystemField::UpdatedBy) => Ok(ValueRef::Text(&self.updated_by)),
            Column::Field(position) => self.field(*position),
            Column::Document(_) => Err(StorageError::new(ErrorKind::Bug, "a key of a document as a column")),
        }
    }
}

/// Keeps what it is given.
pub(super) struct Rows<'a> {
    entity: &'a Entity,
    pub(super) rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(entity: &'a Entity) -> Self {
        Self { entity, rows: Vec::new() }
    }
}

impl RecordSink for Rows<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        self.rows.push(Row::of(row, self.entity)?);
        Ok(SinkFlow::Continue)
    }
}

/// Gives on what it is given, altered.
pub(super) struct Altered<'a> {
    pub(super) entity: &'a Entity,
    pub(super) sink: &'a mut dyn RecordSink,
    pub(super) alter: fn(&mut Row),
}

impl RecordSink for Altered<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let mut row = Row::of(row, self.entity)?;
        (self.alter)(&mut row);
        self.sink.record(&row)
    }
}

/// Gives records to a sink until it has enough.
pub(super) fn give(rows: &[Row], sink: &mut dyn RecordSink) -> StorageResult<()> {
    for row in rows {
        if sink.record(row)? == SinkFlow::Stop {
            break;
        }
    }
    Ok(())
}

/// The live record with an id.
pub(super) async fn one(
    inner: &mut dyn Transaction,
    entity: &Entity,
    id: RecordId,
) -> StorageResult<Option<Row>> {
    let mut sink = Rows::of(entity);
    inner.get(entity, id, &mut sink).await?;
    Ok(sink.rows.pop())
}

/// Every live record that fulfils a filter, by id.
pub(super) async fn all(
    inner: &mut dyn Transaction,
    entity: &Entity,
    filter: &Filter,
) -> StorageResult<Vec<Row>> {
    let mut sink = Rows::of(entity);
    let mut page = Page { limit: 1000, sort: crate::fixture::by_id(), start: Start::Offset(0), total: false };
    while inner.query(entity, filter, &page, &mut sink).await?.has_more {
        page.start = Start::After(sink.rows.last().unwrap().key(&page.sort));
    }
    Ok(sink.rows)
}

/// How two values of a sort's column stand to each other: the order of all keys is that of the first that differs.
pub(super) type Order = fn(&Value, &Value, &SortKey) -> Ordering;

/// As it is promised.
pub(super) fn absent_last(a: &Value, b: &Value, key: &SortKey) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) if key.descending => model::order(b, a),
        (false, false) => model::order(a, b),
        (a, b) => a.cmp(&b),
    }
}

/// By an order of the single columns.
pub(super) fn compare(a: &[Value], b: &[Value], sort: &[SortKey], order: Order) -> Ordering {
    let orders = sort.iter().zip(a.iter().zip(b)).map(|(key, (a, b))| order(a, b, key));
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
