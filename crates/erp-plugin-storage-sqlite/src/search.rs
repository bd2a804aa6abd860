//! Pages and counts of records.

use erp_plugin_model::filter::Filter;
use erp_plugin_model::page::Page;
use erp_plugin_storage::{Counted, QueryOutcome, RecordSink};

use crate::error::{Error, Result};
use crate::query;
use crate::table::{Feed, Table, restart_steps, rows_scanned};

impl Table<'_> {
    pub(crate) fn query(
        self,
        filter: &Filter,
        page: &Page,
        sink: &mut dyn RecordSink,
    ) -> Result<QueryOutcome> {
        let Self { tenant, entity, statements, .. } = self;
        let schema = entity.schema();
        let mut feed = Feed::new(page.limit, sink);
        let mut scanned = 0;
        for part in query::parts(schema, page) {
            if !feed.goes_on() {
                break;
            }
            let sql = query::select(statements, schema, tenant, filter, page, (*part, feed.wanted()))?;
            let Some(mut statement) = self.prepare(&sql.text)? else { break };
            sql.bind(&mut statement)?;
            restart_steps(&statement);
            self.feed(&mut statement, &mut feed)?;
            scanned += rows_scanned(&statement);
        }
        let (has_more, stopped) = (feed.more, feed.stopped);
        let mut total = None;
        if page.total && !stopped {
            let counted = self.count(filter)?;
            total = Some(counted.count);
            scanned += counted.rows_scanned;
        }
        Ok(QueryOutcome { has_more, total, rows_scanned: scanned })
    }

    pub(crate) fn count(self, filter: &Filter) -> Result<Counted> {
        let Self { tenant, entity, statements, .. } = self;
        let sql = query::count(statements, entity.schema(), tenant, filter)?;
        let Some(mut statement) = self.prepare(&sql.text)? else {
            return Ok(Counted { count: 0, rows_scanned: 0 });
        };
        sql.bind(&mut statement)?;
        restart_steps(&statement);
        let mut rows = statement.raw_query();
        let row = rows.next()?.ok_or_else(|| Error::Unreadable("count"))?;
        let count = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        drop(rows);
        Ok(Counted { count, rows_scanned: rows_scanned(&statement) })
    }
}
