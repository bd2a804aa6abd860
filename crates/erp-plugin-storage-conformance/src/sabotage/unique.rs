//! A backend whose unique fields compare otherwise.

use async_trait::async_trait;
use erp_plugin_model::Value;
use erp_plugin_model::filter::Filter;
use erp_plugin_storage::{Entity, InsertOutcome, NewRecord, Stamp, StorageResult, Violation};

use super::rows;
use crate::intercept::{Interceptor, Opened};

/// Values are the same when this says so, too.
pub(super) struct Same(pub(super) fn(&Value, &Value) -> bool);

/// As under a collation that ignores case, or with `LIKE`.
pub(super) fn ignoring_case(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Text(a), Value::Text(b)) if a.to_lowercase() == b.to_lowercase())
}

/// As in a column of fixed length.
pub(super) fn ignoring_trailing_space(a: &Value, b: &Value) -> bool {
    matches!((a, b), (Value::Text(a), Value::Text(b)) if a.trim_end() == b.trim_end())
}

/// As in an index of SQL Server.
pub(super) fn absent_is_a_value(a: &Value, b: &Value) -> bool {
    a == b
}

#[async_trait]
impl Interceptor for Same {
    async fn insert(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let there = rows::all(opened.inner(), entity, &Filter::everything()).await?;
        let taken = entity.schema().fields().iter().enumerate().find(|(position, field)| {
            let is_same = |row: &rows::Row| (self.0)(&row.values[*position], &record.values[*position]);
            field.unique && there.iter().any(is_same)
        });
        match taken {
            Some((_, field)) => Ok(InsertOutcome::Violates(Violation::Unique(field.name.clone()))),
            None => opened.inner().insert(entity, record, stamp).await,
        }
    }
}

/// Of several unique fields the first one is named.
pub(super) struct NamesTheFirst;

#[async_trait]
impl Interceptor for NamesTheFirst {
    async fn insert(
        &self,
        opened: &mut Opened,
        entity: &Entity,
        record: NewRecord<'_>,
        stamp: Stamp<'_>,
    ) -> StorageResult<InsertOutcome> {
        let mut outcome = opened.inner().insert(entity, record, stamp).await?;
        if let InsertOutcome::Violates(Violation::Unique(field)) = &mut outcome
            && let Some(first) = entity.schema().fields().iter().find(|field| field.unique)
        {
            *field = first.name.clone();
        }
        Ok(outcome)
    }
}
