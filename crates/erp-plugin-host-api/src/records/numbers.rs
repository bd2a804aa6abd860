//! The numbers that the host gives new records, of fields that are a series.
//!
//! Invariant: among what an invocation commits every number that it took is a record's. One that a record was refused with
//! is given back, so records of such an entity go to the storage one by one, those of a batch as well: which of them is
//! refused decides what the next one is called.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::{Field, RecordId, SeriesPattern, Value};
use erp_plugin_storage::{Entity, InsertOutcome, NewRecord, Series, Stamp, Violation};

use crate::error::CallResult;
use crate::invocation::Invocation;

/// What a number is before it is known: as long as the longest, so that its record's length is known.
pub(super) fn placeholder(pattern: &SeriesPattern, now: DateTime<Utc>) -> Value {
    Value::Text(pattern.number(now, u64::MAX / 2))
}

impl Invocation {
    /// Inserts a record with the next number of each of its series in the place of what its values have there.
    pub(super) async fn insert_numbered(
        &mut self,
        entity: &Entity,
        id: RecordId,
        values: &mut [Value],
    ) -> CallResult<InsertOutcome> {
        let schema = entity.schema();
        for field in schema.fields() {
            self.number(entity, field, values).await?;
        }
        let by = Arc::clone(&self.writer);
        loop {
            self.budget.statement();
            let stamp = Stamp { at: self.now, by: &by };
            let record = NewRecord { id, values };
            match self.transaction().await?.insert(entity, record, stamp).await? {
                InsertOutcome::Inserted => return Ok(InsertOutcome::Inserted),
                InsertOutcome::Violates(Violation::Unique(name))
                    if schema.field(name.as_str()).is_some_and(|field| field.series().is_some()) =>
                {
                    // A record has it from the time before the series began: the field was a string, or the pattern
                    // another one. So it leaves no gap.
                    if let Some(field) = schema.field(name.as_str()) {
                        self.number(entity, field, values).await?;
                    }
                }
                refused @ InsertOutcome::Violates(_) => {
                    for field in schema.fields() {
                        self.give_back(entity, field).await?;
                    }
                    return Ok(refused);
                }
            }
        }
    }

    async fn number(&mut self, entity: &Entity, field: &Field, values: &mut [Value]) -> CallResult<()> {
        let Some(pattern) = field.series() else { return Ok(()) };
        let schema = entity.schema();
        let text = pattern.series(self.now);
        let series = Series { entity: &schema.name, field, text: &text };
        self.budget.statement();
        let number = self.transaction().await?.take_numbers(series, 1).await?;
        let place = schema.position(field.name.as_str()).and_then(|position| values.get_mut(position));
        if let Some(value) = place {
            *value = Value::Text(pattern.number(self.now, number));
        }
        Ok(())
    }

    async fn give_back(&mut self, entity: &Entity, field: &Field) -> CallResult<()> {
        let Some(pattern) = field.series() else { return Ok(()) };
        let text = pattern.series(self.now);
        let series = Series { entity: &entity.schema().name, field, text: &text };
        self.budget.statement();
        self.transaction().await?.give_back_numbers(series, 1).await?;
        Ok(())
    }
}
