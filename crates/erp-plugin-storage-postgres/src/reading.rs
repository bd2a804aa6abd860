//! Records by their id, in pages, and counted.

use erp_plugin_model::RecordId;
use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::{Page, Start};
use erp_plugin_storage::{Counted, QueryOutcome, RecordSink, SinkFlow};
use futures_util::TryStreamExt as _;
use tokio_postgres::RowStream;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::read_count;
use crate::query::{self, Part, Question};
use crate::sql::Parameter;

impl Context<'_> {
    pub(crate) async fn get(&self, id: RecordId, sink: &mut dyn RecordSink) -> Result<bool> {
        if !self.has_table().await? {
            return Ok(false);
        }
        let row = self.client.row(&self.statements.get, &[self.tenant(), Parameter::Uuid(id.0)]).await?;
        if let Some(row) = &row {
            self.give(row, sink)?;
        }
        Ok(row.is_some())
    }

    pub(crate) async fn query(
        &self,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> Result<QueryOutcome> {
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

    pub(crate) async fn count(&self, filter: &Filter) -> Result<Counted> {
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
}

/// What a sink was given.
struct Fed {
    rows: u32,
    /// Whether there was a row beyond the limit.
    more: bool,
    /// Whether the sink wanted no more.
    stopped: bool,
}
