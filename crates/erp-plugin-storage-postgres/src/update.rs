//! Updates. One that could break a unique index goes behind a savepoint, in the same message.

use std::sync::Arc;

use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::layout::FieldSet;
use erp_plugin_storage::{Change, ErrorKind, RecordSink, RecordUpdate, Stamp, UpdateOutcome, Violation};
use tokio_postgres::Row;

use crate::context::{Context, folded};
use crate::document;
use crate::error::{Error, Result};
use crate::names::{read_integer, read_text, read_uuid};
use crate::row::{ReplacedDocument, ReplacedFields};
use crate::sql::Parameter;
use crate::statements::Update;

impl Context<'_> {
    pub(crate) async fn update(
        &self,
        update: RecordUpdate<'_>,
        stamp: Stamp<'_>,
        sink: &mut dyn RecordSink,
    ) -> Result<UpdateOutcome> {
        match self.update_row(update, stamp, sink.wants_replaced()).await? {
            Ok(updated) => {
                self.give_updated(&updated, sink)?;
                Ok(UpdateOutcome::Written)
            }
            Err(outcome) => Ok(outcome),
        }
    }

    /// Shows a sink a new record, and before it what it replaces, if the sink wants that.
    pub(crate) fn give_updated(&self, updated: &Updated, sink: &mut dyn RecordSink) -> Result<()> {
        let Updated { row, replaced } = updated;
        if sink.wants_replaced() {
            let id = RecordId(read_uuid(row, 0)?);
            let shown = match replaced {
                Replaced::Fields(shape) if shape.gives_replaced => {
                    let (types, positions) = (&*self.statements.types, &*shape.positions);
                    sink.replaced(id, &ReplacedFields { row, types, positions })
                }
                Replaced::Fields(_) => return Err(Error::Misuse("a sink that changed its mind")),
                Replaced::Document(before) => sink.replaced(id, &ReplacedDocument(before)),
            };
            shown.map_err(Error::Sink)?;
        }
        self.give(row, sink).map(drop)
    }

    /// Makes an update and returns the new record, or how it ended otherwise.
    pub(crate) async fn update_row(
        &self,
        update: RecordUpdate<'_>,
        stamp: Stamp<'_>,
        replaced: bool,
    ) -> Result<std::result::Result<Updated, UpdateOutcome>> {
        match update.change {
            Change::Fields(fields) if !self.entity.schema().is_dynamic() => {
                let shape = self.shape(fields, replaced)?;
                self.update_fields(update, fields, &shape, stamp).await
            }
            Change::Document(changes) if self.entity.schema().is_dynamic() => {
                self.update_document(update, changes, stamp).await
            }
            _ => Err(Error::Misuse("a change that is not of the entity's kind")),
        }
    }

    /// The statements that change these fields.
    pub(crate) fn shape(&self, fields: &[(usize, Value)], replaced: bool) -> Result<Arc<Update>> {
        let schema = self.entity.schema();
        let set = FieldSet::of(fields, schema.fields().len())
            .ok_or_else(|| Error::Misuse("a field twice in one update, or that the schema does not have"))?;
        Ok(self.statements.update(schema, set, replaced))
    }

    async fn update_fields(
        &self,
        update: RecordUpdate<'_>,
        fields: &[(usize, Value)],
        shape: &Arc<Update>,
        stamp: Stamp<'_>,
    ) -> Result<std::result::Result<Updated, UpdateOutcome>> {
        let (text, is_checked) = self.choose(&shape.one).await?;
        if !is_checked && self.broken_change(fields).await?.is_some() {
            return self.why_not_updated(update, fields).await.map(Err);
        }
        let mut parameters = vec![
            self.tenant(),
            Parameter::Uuid(update.id.0),
            Parameter::Integer(update.expected.get()),
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
        ];
        parameters.extend(changed_values(shape, fields));
        let written = if shape.may_clash {
            self.behind_savepoint(text, &parameters).await
        } else {
            self.client.rows_text(text, &parameters).await
        };
        match written {
            Ok(mut rows) => match rows.pop() {
                Some(row) => Ok(Ok(Updated { row, replaced: Replaced::Fields(Arc::clone(shape)) })),
                None => self.why_not_updated(update, fields).await.map(Err),
            },
            Err(error) if error.unique_violation().is_some() => {
                self.clash(&error, fields).await.map(|violation| Err(UpdateOutcome::Violates(violation)))
            }
            Err(error) => Err(error),
        }
    }

    async fn broken_change(&self, fields: &[(usize, Value)]) -> Result<Option<Violation>> {
        for (position, value) in fields {
            if let (Some(reference), Value::Uuid(id)) = (self.statements.reference(*position), value)
                && !self.refers(reference, RecordId(*id)).await?
            {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// Why an update hit no row.
    pub(crate) async fn why_not_updated(
        &self,
        update: RecordUpdate<'_>,
        fields: &[(usize, Value)],
    ) -> Result<UpdateOutcome> {
        let own = [self.tenant(), Parameter::Uuid(update.id.0)];
        let Some(row) = self.client.row(&self.statements.version, &own).await? else {
            return Ok(UpdateOutcome::NotFound);
        };
        let actual = Version::new(read_integer(&row, 0)?).ok_or_else(|| Error::Unreadable("version"))?;
        if actual != update.expected {
            return Ok(UpdateOutcome::VersionMismatch { actual });
        }
        match self.broken_change(fields).await? {
            Some(violation) => Ok(UpdateOutcome::Violates(violation)),
            None => Err(Error::Kind(ErrorKind::TransactionLost)),
        }
    }

    async fn update_document(
        &self,
        update: RecordUpdate<'_>,
        changes: &[(String, Value)],
        stamp: Stamp<'_>,
    ) -> Result<std::result::Result<Updated, UpdateOutcome>> {
        if !self.has_table().await? {
            return Ok(Err(UpdateOutcome::NotFound));
        }
        let own = [self.tenant(), Parameter::Uuid(update.id.0), Parameter::Integer(update.expected.get())];
        let Some(before) = self.client.row(&self.statements.document, &own).await? else {
            return self.why_not_updated(update, &[]).await.map(Err);
        };
        let document = Value::Json(document::changed(read_text(&before, 0)?, changes)?);
        if self.is_too_long(std::slice::from_ref(&document)) {
            return Ok(Err(UpdateOutcome::Violates(Violation::DocumentTooLong)));
        }
        let mut parameters = Vec::from(own);
        parameters.extend([
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
            Parameter::Value(&document),
        ]);
        // It was there a moment ago, in this very transaction.
        let row = self.client.row(&self.statements.update_document(), &parameters).await?;
        let row = row.ok_or_else(|| Error::Kind(ErrorKind::TransactionLost))?;
        Ok(Ok(Updated { row, replaced: Replaced::Document(before) }))
    }
}

/// A new record, and where to find what it replaced.
pub(crate) struct Updated {
    pub(crate) row: Row,
    pub(crate) replaced: Replaced,
}

/// Where what an update replaced is.
pub(crate) enum Replaced {
    /// Behind the new record, if the statement gives it.
    Fields(Arc<Update>),
    /// In a row of its own.
    Document(Row),
}

/// The values of an update and the folds of them, in the order of its parameters.
pub(crate) fn changed_values<'v>(
    shape: &Update,
    fields: &'v [(usize, Value)],
) -> impl Iterator<Item = Parameter<'v>> {
    let value =
        move |position: &usize| fields.iter().find(|(own, _)| own == position).map(|(_, value)| value);
    let values =
        shape.positions.iter().map(move |position| value(position).map_or(Parameter::Null, Parameter::Value));
    values.chain(shape.folded.iter().map(move |position| folded(value(position))))
}
