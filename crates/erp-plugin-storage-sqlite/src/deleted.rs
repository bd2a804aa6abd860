//! What becomes of deleted records: they live again, or go for good.

use chrono::{DateTime, Utc};
use erp_plugin_model::RecordId;
use erp_plugin_storage::{RecordSink, RestoreOutcome, Stamp, Violation};
use rusqlite::types::ValueRef as Stored;

use crate::columns;
use crate::error::{Error, Result};
use crate::session::Time;
use crate::table::{Feed, Table, bind_stamp};

/// The records that one statement removes: it cannot be stopped, so there are several with a look at the time between.
const PURGED_AT_ONCE: u32 = 500;

impl Table<'_> {
    pub(crate) fn restore(
        self,
        id: RecordId,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> Result<RestoreOutcome> {
        let Some(targets) = self.deleted(id)? else { return Ok(RestoreOutcome::NotFound) };
        let own = self.entity.schema().name.table();
        for (reference, target) in self.statements.references.iter().zip(targets) {
            let Some(target) = target else { continue };
            // A record that refers to itself lives as soon as it does.
            let is_itself = target == id && reference.table == own;
            if !is_itself && !self.refers(reference, target)? {
                return Ok(RestoreOutcome::Violates(Violation::Reference(reference.field.clone())));
            }
        }
        let Some(mut statement) = self.prepare(&self.statements.restore)? else {
            return Ok(RestoreOutcome::NotFound);
        };
        self.bind(&mut statement, id)?;
        bind_stamp(&mut statement, 4, stamp)?;
        let mut feed = Feed::new(1, sink);
        match self.feed(&mut statement, &mut feed) {
            Ok(()) if feed.rows > 0 => Ok(RestoreOutcome::Restored),
            Ok(()) => Ok(RestoreOutcome::NotFound),
            Err(Error::Sqlite(error)) => self.violation(error).map(RestoreOutcome::Violates),
            Err(other) => Err(other),
        }
    }

    /// What a deleted record refers to, in the order of the references; `None` when there is no such record.
    fn deleted(self, id: RecordId) -> Result<Option<Vec<Option<RecordId>>>> {
        let Some(mut statement) = self.prepare(&self.statements.deleted)? else { return Ok(None) };
        self.bind(&mut statement, id)?;
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        let references = 1..=self.statements.references.len();
        let targets = references.map(|column| match row.get_ref(column)? {
            Stored::Null => Ok(None),
            Stored::Blob(bytes) => Ok(Some(RecordId(columns::uuid(bytes)?))),
            _ => Err(Error::Unreadable("reference")),
        });
        targets.collect::<Result<_>>().map(Some)
    }

    pub(crate) fn purge(self, deleted_before: DateTime<Utc>, limit: u32, time: Time) -> Result<u64> {
        let Some(mut statement) = self.prepare(&self.statements.purge)? else { return Ok(0) };
        let mut purged = 0;
        let mut left = limit;
        while left > 0 {
            time.check()?;
            let wanted = left.min(PURGED_AT_ONCE);
            statement.raw_bind_parameter(1, self.tenant.as_str())?;
            statement.raw_bind_parameter(2, deleted_before.timestamp_micros())?;
            statement.raw_bind_parameter(3, wanted)?;
            let removed = statement.raw_execute()?;
            purged += removed as u64;
            if removed < wanted as usize {
                break;
            }
            left -= wanted;
        }
        Ok(purged)
    }
}
