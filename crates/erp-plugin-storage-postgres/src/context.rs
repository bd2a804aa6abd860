//! What every operation on records knows, and what several of them ask.

use std::collections::HashSet;
use std::sync::LazyLock;

use erp_plugin_model::fold::fold;
use erp_plugin_model::schema::MAX_DOCUMENT_BYTES;
use erp_plugin_model::{RecordId, TenantId, Value};
use erp_plugin_storage::{Entity, ErrorKind, NewRecord, RecordSink, SinkFlow, Violation};
use futures_util::future::join3;
use tokio_postgres::Row;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::row::StoredRow;
use crate::scanned;
use crate::schema::Tables;
use crate::sql::Parameter;
use crate::statements::{self, Reference, Statements, Written};

/// For what is not sent together with others.
pub(crate) static NONE_NEW: LazyLock<HashSet<RecordId>> = LazyLock::new(HashSet::new);

/// What every operation on records knows.
pub(crate) struct Context<'a> {
    pub(crate) client: &'a Client,
    pub(crate) tables: &'a Tables,
    pub(crate) tenant: &'a TenantId,
    pub(crate) entity: &'a Entity,
    pub(crate) statements: &'a Statements,
}

impl<'a> Context<'a> {
    pub(crate) fn tenant(&self) -> Parameter<'a> {
        Parameter::Text(self.tenant.as_str())
    }

    /// Whether the entity's table is there. A declared one's is; a dynamic one's may not be yet, and then it has no
    /// records.
    pub(crate) async fn has_table(&self) -> Result<bool> {
        let schema = self.entity.schema();
        Ok(!schema.is_dynamic() || self.tables.is_there(self.client, &schema.name.table()).await?)
    }

    /// Whether all tables that the entity refers to are there, so that a statement can check its references itself.
    async fn has_targets(&self) -> Result<bool> {
        for reference in &self.statements.references {
            if !self.tables.is_there(self.client, &reference.name).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The text of a statement that fits the tables that are there.
    pub(crate) async fn choose<'t>(&self, written: &'t Written) -> Result<(&'t statements::Text, bool)> {
        Ok(if self.has_targets().await? { (&written.checked, true) } else { (&written.unchecked, false) })
    }

    /// Shows a sink a row.
    pub(crate) fn give(&self, row: &Row, sink: &mut dyn RecordSink) -> Result<SinkFlow> {
        sink.record(&StoredRow { row, types: &self.statements.types }).map_err(Error::Sink)
    }

    /// Sends a statement that is ready, and tells with its answer how many records it looked at.
    pub(crate) async fn measured<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, u64)> {
        let relations = self.tables.relations(self.client, &self.statements.table).await?;
        scanned::around(self.client, &relations, work).await
    }

    pub(crate) fn check_values(&self, record: NewRecord<'_>) -> Result<()> {
        if record.values.len() == self.statements.types.len() {
            Ok(())
        } else {
            Err(Error::Misuse("a record with another number of values than its schema has fields"))
        }
    }

    /// Whether a dynamic entity's document is longer than it may be.
    pub(crate) fn is_too_long(&self, values: &[Value]) -> bool {
        self.entity.schema().is_dynamic()
            && matches!(values, [Value::Json(document)] if document.len() > MAX_DOCUMENT_BYTES)
    }

    /// The folds of the searchable fields, given the values of all fields.
    pub(crate) fn folds<'v>(&self, values: &'v [Value]) -> impl Iterator<Item = Parameter<'v>> {
        self.statements.searchable.iter().map(|position| folded(values.get(*position)))
    }

    /// The first unique field whose value another record has, as this transaction sees it.
    pub(crate) async fn taken<'v>(
        &self,
        values: impl Fn(usize) -> Option<&'v Value>,
    ) -> Result<Option<Violation>> {
        for unique in &self.statements.uniques {
            let Some(value) = values(unique.position).filter(|value| !value.is_null()) else { continue };
            let parameters = [self.tenant(), Parameter::Value(value)];
            if !self.client.rows_text(&unique.taken, &parameters).await?.is_empty() {
                return Ok(Some(Violation::Unique(unique.field.clone())));
            }
        }
        Ok(None)
    }

    /// The first of these values that refers to no live record, or to one of this entity that is new.
    pub(crate) async fn broken_reference(
        &self,
        values: &[Value],
        new: &HashSet<RecordId>,
    ) -> Result<Option<Violation>> {
        for reference in &self.statements.references {
            let Some(Value::Uuid(id)) = values.get(reference.position) else { continue };
            let id = RecordId(*id);
            let is_new = reference.is_own(self.statements) && new.contains(&id);
            if is_new || !self.refers(reference, id).await? {
                return Ok(Some(Violation::Reference(reference.field.clone())));
            }
        }
        Ok(None)
    }

    /// Whether a reference names a live record of the tenant. An entity that is not installed has none.
    pub(crate) async fn refers(&self, reference: &Reference, id: RecordId) -> Result<bool> {
        let parameters = [self.tenant(), Parameter::Uuid(id.0)];
        Ok(self.tables.is_there(self.client, &reference.name).await?
            && self.client.row(&reference.exists, &parameters).await?.is_some())
    }

    /// Sends a statement that may break a unique index, with a savepoint before and after it, in one go.
    pub(crate) async fn behind_savepoint(
        &self,
        text: &statements::Text,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>> {
        let client = self.client;
        client.ready_text(text).await?;
        let (begun, done, released) = join3(
            client.batch("SAVEPOINT change"),
            client.rows_text(text, parameters),
            client.batch("RELEASE change"),
        )
        .await;
        begun?;
        if let Err(error) = &done
            && (error.unique_violation().is_some() || error.check_violation().is_some())
        {
            client.batch("ROLLBACK TO change; RELEASE change").await?;
            return done;
        }
        let rows = done?;
        released?;
        Ok(rows)
    }

    /// Which unique field an update would have broken.
    pub(crate) async fn clash(&self, error: &Error, fields: &[(usize, Value)]) -> Result<Violation> {
        let values =
            |position: usize| fields.iter().find(|(own, _)| *own == position).map(|(_, value)| value);
        match self.taken(values).await? {
            Some(violation) => Ok(violation),
            // By a record that this transaction does not see: it came too late for that.
            None if self
                .statements
                .uniques
                .iter()
                .any(|own| error.unique_violation() == Some(&own.index)) =>
            {
                Err(Error::Kind(ErrorKind::TransactionLost))
            }
            None => Err(Error::Misuse("an update that breaks an index of no field")),
        }
    }
}

/// The fold of a searchable field's value.
pub(crate) fn folded(value: Option<&Value>) -> Parameter<'_> {
    match value {
        Some(Value::Text(text)) => Parameter::Owned(fold(text)),
        _ => Parameter::Null,
    }
}
