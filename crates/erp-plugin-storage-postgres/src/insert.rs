//! Inserts. One that finds a value taken does nothing and is no error, so that the transaction stands.

use std::collections::HashSet;

use erp_plugin_model::RecordId;
use erp_plugin_storage::{ErrorKind, InsertOutcome, NewRecord, Stamp, Violation};

use crate::context::{Context, NONE_NEW};
use crate::error::{Error, Result};
use crate::sql::Parameter;

impl Context<'_> {
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
}
