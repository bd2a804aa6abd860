//! What becomes of deleted records: they live again, or go for good.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::RecordId;
use erp_plugin_model::limits::LimitKind;
use erp_plugin_storage::{RestoreOutcome, Stamp, Verb};

use super::{OneRecord, RECORD, no_record, violated};
use crate::error::CallResult;
use crate::history::Watch;
use crate::hooks::HookPoint;
use crate::invocation::Invocation;

impl Invocation {
    /// Makes a deleted record live again, with the next version; returns all of it. `not-found` when no deleted record
    /// has the id; refused when one of its unique values is taken by now, or what it refers to is gone. What was
    /// deleted along with it is not restored along with it.
    pub async fn restore(&mut self, entity: &str, id: &str) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + id.len())?;
        let writable = self.writable(entity, "restore")?;
        let (entity, seen) = (&writable.entity, writable.seen());
        let schema = seen.schema;
        let Some(record) = RecordId::parse(id) else { return Err(no_record(schema, id).into()) };
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeRestore { entity: &schema.name, id: record }).await?;
        let tenant = self.tenant().clone();
        let mut sink = OneRecord { seen, tenant: &tenant, out: Vec::with_capacity(RECORD) };
        self.budget.statement();
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        let mut watch = Watch::over(schema, &[], &mut sink);
        match self.transaction().await?.restore(entity, record, stamp, &mut watch).await? {
            RestoreOutcome::Restored => {
                let note = watch.note(record)?;
                let out = sink.out;
                self.wrote(Verb::Restore, entity, record, note);
                self.budget.transfer_written(out.len())?;
                Ok(out)
            }
            RestoreOutcome::NotFound => {
                let mut error = no_record(schema, id);
                error.message.push_str(" among those that were deleted");
                Err(error.into())
            }
            RestoreOutcome::Violates(violation) => Err(violated(seen, &violation, |_| false).into()),
        }
    }

    /// Removes for good what was deleted before this moment, those that were deleted first, as many as the invocation
    /// may still write; returns how many. A caller that gets as many as it could have had asks again in another
    /// invocation. Nobody's say is asked: what a purge removes was gone for everybody already.
    pub async fn purge(&mut self, entity: &str, before: DateTime<Utc>) -> CallResult<u64> {
        self.enter(entity.len())?;
        let entity = self.writable(entity, "purge")?.entity;
        let left = self.budget.writes_left();
        if left == 0 {
            let wanted = self.budget.used().rows_written.saturating_add(1);
            return Err(self.budget.exceeded(LimitKind::RowsWritten, wanted));
        }
        self.budget.statement();
        let limit = u32::try_from(left).unwrap_or(u32::MAX);
        let purged = self.transaction().await?.purge(&entity, before, limit).await?;
        self.budget.rows_written(purged)?;
        Ok(purged)
    }
}
