//! Several records in one statement, their values as one array a column.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use erp_plugin_model::fold::fold;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::layout::FieldSet;
use erp_plugin_storage::{
    Change, InsertOutcome, NewRecord, RecordSink, RecordUpdate, Stamp, UpdateOutcome, Violation,
};
use tokio_postgres::Row;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::names::{read_integer, read_uuid};
use crate::sql::Parameter;
use crate::statements::Update;
use crate::update::{Replaced, Updated, changed_values};

/// Inserts records; says of each how it ended.
pub(crate) async fn insert(
    context: &Context<'_>,
    records: &[NewRecord<'_>],
    stamp: Stamp<'_>,
) -> Result<Vec<InsertOutcome>> {
    let mut outcomes: Vec<Option<InsertOutcome>> = Vec::with_capacity(records.len());
    let (text, is_checked) = context.choose(&context.statements.insert_many).await?;
    for record in records {
        context.check_values(*record)?;
        let violation = if context.is_too_long(record.values) {
            Some(Violation::DocumentTooLong)
        } else if is_checked {
            None
        } else {
            context.broken_reference(record.values, &HashSet::new()).await?
        };
        outcomes.push(violation.map(InsertOutcome::Violates));
    }
    let wanted: Vec<_> = records
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.is_none())
        .map(|(record, _)| record)
        .collect();
    if !wanted.is_empty() {
        let mut parameters = vec![
            context.tenant(),
            Parameter::Time(stamp.at),
            Parameter::Text(stamp.by),
            Parameter::many(wanted.iter().map(|record| Parameter::Uuid(record.id.0))),
        ];
        for position in 0..context.statements.types.len() {
            let column = wanted.iter().map(|record| record.values.get(position));
            parameters
                .push(Parameter::many(column.map(|value| value.map_or(Parameter::Null, Parameter::Value))));
        }
        for position in &context.statements.searchable {
            let column = wanted.iter().map(|record| match record.values.get(*position) {
                Some(Value::Text(text)) => Parameter::Owned(fold(text)),
                _ => Parameter::Null,
            });
            parameters.push(Parameter::many(column));
        }
        let mut inserted = HashSet::new();
        for row in context.client.rows_text(text, &parameters).await? {
            inserted.insert(RecordId(read_uuid(&row, 0)?));
        }
        let new = inserted.clone();
        for (record, outcome) in records.iter().zip(&mut outcomes) {
            if outcome.is_none() {
                // Of two with one id the second finds the first.
                *outcome = Some(if inserted.remove(&record.id) {
                    InsertOutcome::Inserted
                } else {
                    InsertOutcome::Violates(context.why_not_inserted(*record, &new).await?)
                });
            }
        }
    }
    Ok(outcomes.into_iter().flatten().collect())
}

/// Updates records; says of each how it ended.
pub(crate) async fn update(
    context: &Context<'_>,
    updates: &[RecordUpdate<'_>],
    stamp: Stamp<'_>,
    sink: &mut dyn RecordSink,
) -> Result<Vec<UpdateOutcome>> {
    let mut ids = HashSet::new();
    if !updates.iter().all(|update| ids.insert(update.id)) {
        return Err(Error::Misuse("an id twice among several updates"));
    }
    if context.entity.schema().is_dynamic() {
        // Each has a document of its own to be read and changed.
        let mut outcomes = Vec::with_capacity(updates.len());
        for update in updates {
            outcomes.push(context.update(*update, stamp, sink).await?);
        }
        return Ok(outcomes);
    }
    let mut shapes: Vec<(FieldSet, Vec<usize>)> = Vec::new();
    for (index, update) in updates.iter().enumerate() {
        let set = fields(*update)?.1;
        match shapes.iter_mut().find(|(own, _)| *own == set) {
            Some((_, members)) => members.push(index),
            None => shapes.push((set, vec![index])),
        }
    }
    let mut ended: Vec<Option<Ended>> = updates.iter().map(|_| None).collect();
    for (_, members) in shapes {
        let group: Vec<_> = members.iter().filter_map(|index| updates.get(*index).copied()).collect();
        for (index, outcome) in
            members.into_iter().zip(update_alike(context, &group, stamp, sink.wants_replaced()).await?)
        {
            if let Some(slot) = ended.get_mut(index) {
                *slot = Some(outcome);
            }
        }
    }
    let mut outcomes = Vec::with_capacity(updates.len());
    for outcome in ended.into_iter().flatten() {
        outcomes.push(match outcome {
            Ended::Written(updated) => {
                context.give_updated(&updated, sink)?;
                UpdateOutcome::Written
            }
            Ended::Not(outcome) => outcome,
        });
    }
    Ok(outcomes)
}

/// How one of several updates ended, and the new record.
enum Ended {
    Written(Updated),
    Not(UpdateOutcome),
}

fn fields<'u>(update: RecordUpdate<'u>) -> Result<(&'u [(usize, Value)], FieldSet)> {
    let Change::Fields(fields) = update.change else {
        return Err(Error::Misuse("a change that is not of the entity's kind"));
    };
    let mut set = FieldSet::default();
    for (position, _) in fields {
        if !set.insert(*position) {
            return Err(Error::Misuse("a field twice in one update, or that the schema does not have"));
        }
    }
    Ok((fields, set))
}

/// Updates that change the same fields.
async fn update_alike(
    context: &Context<'_>,
    updates: &[RecordUpdate<'_>],
    stamp: Stamp<'_>,
    replaced: bool,
) -> Result<Vec<Ended>> {
    let Some(first) = updates.first() else { return Ok(Vec::new()) };
    let shape = context.shape(fields(*first)?.0, replaced)?;
    let (text, is_checked) = context.choose(&shape.many).await?;
    if !is_checked {
        return one_by_one(context, updates, stamp, replaced).await;
    }
    let parameters = parameters(context, updates, &shape, stamp)?;
    let rows = if shape.may_clash {
        match context.behind_savepoint(text, &parameters).await {
            Ok(rows) => rows,
            // Which of them it was, and whether it would still be after those before it, only each by itself tells.
            Err(error) if error.unique_violation().is_some() => {
                return one_by_one(context, updates, stamp, replaced).await;
            }
            Err(error) => return Err(error),
        }
    } else {
        context.client.rows_text(text, &parameters).await?
    };
    let mut written = HashMap::new();
    for row in rows {
        written.insert(RecordId(read_uuid(&row, 0)?), row);
    }
    let versions = versions(context, updates, &written).await?;
    let mut ended = Vec::with_capacity(updates.len());
    for update in updates {
        ended.push(match (written.remove(&update.id), versions.get(&update.id)) {
            (Some(row), _) => Ended::Written(Updated { row, replaced: Replaced::Fields(Arc::clone(&shape)) }),
            (None, None) => Ended::Not(UpdateOutcome::NotFound),
            (None, Some(actual)) if *actual != update.expected => {
                Ended::Not(UpdateOutcome::VersionMismatch { actual: *actual })
            }
            (None, Some(_)) => Ended::Not(context.why_not_updated(*update, fields(*update)?.0).await?),
        });
    }
    Ok(ended)
}

fn parameters<'u>(
    context: &Context<'u>,
    updates: &[RecordUpdate<'u>],
    shape: &Update,
    stamp: Stamp<'u>,
) -> Result<Vec<Parameter<'u>>> {
    let mut parameters = vec![
        context.tenant(),
        Parameter::Time(stamp.at),
        Parameter::Text(stamp.by),
        Parameter::many(updates.iter().map(|update| Parameter::Uuid(update.id.0))),
        Parameter::many(updates.iter().map(|update| Parameter::Integer(update.expected.get()))),
    ];
    let mut columns: Vec<Vec<Parameter<'u>>> =
        (0..shape.positions.len() + shape.folded.len()).map(|_| Vec::with_capacity(updates.len())).collect();
    for update in updates {
        for (column, value) in columns.iter_mut().zip(changed_values(shape, fields(*update)?.0)) {
            column.push(value);
        }
    }
    parameters.extend(columns.into_iter().map(Parameter::Many));
    Ok(parameters)
}

/// The versions of those records that were not written, as far as they live.
async fn versions(
    context: &Context<'_>,
    updates: &[RecordUpdate<'_>],
    written: &HashMap<RecordId, Row>,
) -> Result<HashMap<RecordId, Version>> {
    let missed: Vec<_> = updates
        .iter()
        .filter(|update| !written.contains_key(&update.id))
        .map(|update| Parameter::Uuid(update.id.0))
        .collect();
    let mut versions = HashMap::new();
    if !missed.is_empty() {
        let parameters = [context.tenant(), Parameter::Many(missed)];
        for row in context.client.rows(&context.statements.versions, &parameters).await? {
            let version = Version::new(read_integer(&row, 1)?).ok_or_else(|| Error::Unreadable("version"))?;
            versions.insert(RecordId(read_uuid(&row, 0)?), version);
        }
    }
    Ok(versions)
}

async fn one_by_one(
    context: &Context<'_>,
    updates: &[RecordUpdate<'_>],
    stamp: Stamp<'_>,
    replaced: bool,
) -> Result<Vec<Ended>> {
    let mut ended = Vec::with_capacity(updates.len());
    for update in updates {
        ended.push(match context.update_row(*update, stamp, replaced).await? {
            Ok(updated) => Ended::Written(updated),
            Err(outcome) => Ended::Not(outcome),
        });
    }
    Ok(ended)
}
