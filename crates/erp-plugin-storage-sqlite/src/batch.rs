//! Several records at once.
//!
//! A loop over the statements of one record, compiled once: SQLite has no way to the server to save, so one long
//! statement would save nothing, and it could not be left at the deadline. Each statement is short, and the time is
//! looked at before each.

use std::collections::HashSet;

use erp_plugin_model::RecordId;
use erp_plugin_storage::{InsertOutcome, NewRecord, RecordSink, RecordUpdate, Stamp, UpdateOutcome};

use crate::error::{Error, Result};
use crate::session::Time;
use crate::table::Table;

impl Table<'_> {
    pub(crate) fn insert_many(
        self,
        records: &[NewRecord<'_>],
        stamp: Stamp<'_>,
        time: Time,
    ) -> Result<Vec<InsertOutcome>> {
        each_once(records.iter().map(|record| record.id))?;
        // All references before the first record is there.
        let mut dangling = Vec::with_capacity(records.len());
        for record in records {
            time.check()?;
            self.check_values(*record)?;
            dangling.push(self.dangling(*record)?);
        }
        let mut outcomes = Vec::with_capacity(records.len());
        for (record, violation) in records.iter().zip(dangling) {
            time.check()?;
            outcomes.push(match violation {
                Some(violation) => InsertOutcome::Violates(violation),
                None => self.insert(*record, stamp)?,
            });
        }
        Ok(outcomes)
    }

    pub(crate) fn update_many(
        self,
        updates: &[RecordUpdate<'_>],
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
        time: Time,
    ) -> Result<Vec<UpdateOutcome>> {
        each_once(updates.iter().map(|update| update.id))?;
        let mut outcomes = Vec::with_capacity(updates.len());
        for update in updates {
            time.check()?;
            outcomes.push(self.update(*update, stamp, sink)?);
        }
        Ok(outcomes)
    }
}

fn each_once(mut ids: impl Iterator<Item = RecordId>) -> Result<()> {
    let mut seen = HashSet::new();
    if ids.all(|id| seen.insert(id.0)) {
        Ok(())
    } else {
        Err(Error::Misuse("one id twice in a call for several records"))
    }
}
