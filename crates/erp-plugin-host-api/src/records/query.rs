//! Reading records: one by its id, and pages.

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::page::{Page, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{FieldName, RecordId, TenantId, Value};
use erp_plugin_storage::{QueryOutcome, RecordSink, RowView, SinkFlow, StorageResult};

use super::{OneRecord, RECORD, no_record};
use crate::error::CallResult;
use crate::fields::Seen;
use crate::invocation::Invocation;
use crate::json::cursor::Binding;
use crate::json::{cursor, filter, page, write};

impl Invocation {
    /// The record that has this id, or `not-found`: also for another tenant's, and for a text that is no id.
    pub async fn get(&mut self, entity: &str, id: &str) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + id.len())?;
        let readable = self.readable(entity).await?;
        let (entity, seen) = (&readable.entity, readable.seen());
        let schema = seen.schema;
        let Some(record) = RecordId::parse(id) else { return Err(no_record(schema, id).into()) };
        if self.budget.rows_left() == 0 {
            return Err(self.budget.too_many_rows());
        }
        let tenant = self.tenant().clone();
        let mut sink = OneRecord { seen, tenant: &tenant, out: Vec::with_capacity(RECORD) };
        self.budget.statement();
        if !self.transaction().await?.get(entity, record, &mut sink).await? {
            return Err(no_record(schema, id).into());
        }
        let out = sink.out;
        self.budget.rows_read(1);
        self.budget.transfer(out.len())?;
        Ok(out)
    }

    /// The fields of an entity that whoever acts may not see, for a table that has a column for each of the others.
    pub async fn unreadable_fields(&mut self, entity: &str) -> CallResult<Vec<FieldName>> {
        self.enter(entity.len())?;
        let readable = self.readable(entity).await?;
        let seen = readable.seen();
        let fields = seen.schema.fields().iter().enumerate();
        Ok(fields.filter(|(at, _)| !seen.shows(*at)).map(|(_, field)| field.name.clone()).collect())
    }

    /// Answers with a page of records that fulfil the filter: `{"items":[…],"next_cursor":"…"|null,"total":n?}`.
    pub async fn query(&mut self, entity: &str, filter: &[u8], page: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + filter.len() + page.len())?;
        let readable = self.readable(entity).await?;
        let (entity, seen) = (&readable.entity, readable.seen());
        let filter = filter::read(seen, filter)?;
        let page = page::read(seen, &filter.source, page)?;
        let max_bytes = self.budget.limits().call_bytes;
        let tenant = self.tenant().clone();
        let mut sink = PageSink {
            seen,
            tenant: &tenant,
            binding: Binding { schema: seen.schema, filter: &filter.source, sort: &page.sort },
            limit: page.limit,
            rows_left: self.budget.rows_left(),
            max_bytes,
            rows: 0,
            cursor: None,
            overflow: None,
            out: Vec::with_capacity(RECORD),
        };
        sink.out.extend_from_slice(b"{\"items\":[");
        self.budget.statement();
        let outcome = match by_id(&filter.filter, &page) {
            Some(id) => {
                let found = self.transaction().await?.get(entity, id, &mut sink).await?;
                QueryOutcome {
                    has_more: false,
                    total: page.total.then_some(u64::from(found)),
                    rows_scanned: 1,
                }
            }
            None => self.transaction().await?.query(entity, &filter.filter, &page, &mut sink).await?,
        };
        let PageSink { rows, cursor, overflow, mut out, .. } = sink;
        self.budget.rows_read(u64::from(rows));
        self.budget.rows_scanned(outcome.rows_scanned);
        match overflow {
            Some(LimitKind::RowsRead) => {
                return Err(self.budget.too_many_rows());
            }
            Some(kind) => return Err(self.budget.exceeded(kind, out.len() as u64)),
            None => {}
        }
        out.extend_from_slice(b"],\"next_cursor\":");
        match cursor.filter(|_| outcome.has_more) {
            Some(cursor) => write::string(&cursor, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        if let Some(total) = outcome.total {
            write::key("total", &mut out);
            out.extend_from_slice(total.to_string().as_bytes());
        }
        out.push(b'}');
        self.budget.transfer(out.len())?;
        Ok(out)
    }
}

/// A query for exactly one id needs no search.
fn by_id(filter: &Filter, page: &Page) -> Option<RecordId> {
    match (filter, &page.start) {
        (
            Filter::Compare(Column::System(SystemField::Id), Comparison::Eq, Value::Uuid(id)),
            Start::Offset(0),
        ) => Some(RecordId(*id)),
        _ => None,
    }
}

/// Writes the records of a page as they are read, and stops when there are too many or too large.
struct PageSink<'a> {
    seen: Seen<'a>,
    tenant: &'a TenantId,
    binding: Binding<'a>,
    limit: u32,
    rows_left: u64,
    max_bytes: u64,
    rows: u32,
    cursor: Option<String>,
    /// The limit that there was more than.
    overflow: Option<LimitKind>,
    out: Vec<u8>,
}

impl RecordSink for PageSink<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        if u64::from(self.rows) >= self.rows_left {
            self.overflow = Some(LimitKind::RowsRead);
            return Ok(SinkFlow::Stop);
        }
        if self.rows > 0 {
            self.out.push(b',');
        }
        write::record(self.seen, self.tenant, row, &mut self.out)?;
        self.rows += 1;
        if self.out.len() as u64 > self.max_bytes {
            self.overflow = Some(LimitKind::CallBytes);
            return Ok(SinkFlow::Stop);
        }
        if self.rows == self.limit {
            self.cursor = Some(cursor::write(&self.binding, row)?);
        }
        Ok(SinkFlow::Continue)
    }
}
