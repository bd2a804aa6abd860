//! Records are deleted softly: they live again, or go for good.

use chrono::{DateTime, Utc};
use erp_plugin_model::{FieldName, RecordId, Value, Version};
use erp_plugin_storage::layout::required_constraint;
use erp_plugin_storage::{DeleteOutcome, ErrorKind, RecordSink, RestoreOutcome, Stamp, Violation};

use crate::context::{Context, NONE_NEW};
use crate::error::{Error, Result};
use crate::names::read_integer;
use crate::row::StoredRow;
use crate::sql::Parameter;
use crate::statements::Statements;

impl Context<'_> {
    pub(crate) async fn delete(&self, id: RecordId, stamp: Stamp<'_>) -> Result<DeleteOutcome> {
        if !self.has_table().await? {
            return Ok(DeleteOutcome::NotFound);
        }
        let parameters =
            [self.tenant(), Parameter::Uuid(id.0), Parameter::Time(stamp.at), Parameter::Text(stamp.by)];
        Ok(match self.client.row(&self.statements.delete, &parameters).await? {
            None => DeleteOutcome::NotFound,
            Some(row) => {
                let version = Version::new(read_integer(&row, 0)?);
                DeleteOutcome::Deleted(version.ok_or_else(|| Error::Unreadable("version"))?)
            }
        })
    }

    pub(crate) async fn restore(
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
            Err(error) => match error.check_violation().and_then(|name| self.required(name)) {
                Some(field) => return Ok(RestoreOutcome::Violates(Violation::Required(field))),
                None => return Err(error),
            },
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

    /// The field that live records must have by this constraint.
    fn required(&self, constraint: &str) -> Option<FieldName> {
        let fields = self.entity.schema().fields();
        fields.iter().find(|field| required_constraint(field) == constraint).map(|field| field.name.clone())
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

    pub(crate) async fn purge(&self, deleted_before: DateTime<Utc>, limit: u32) -> Result<u64> {
        if !self.has_table().await? {
            return Ok(0);
        }
        let parameters =
            [self.tenant(), Parameter::Time(deleted_before), Parameter::Integer(i64::from(limit))];
        self.client.execute(&self.statements.purge, &parameters).await
    }
}
