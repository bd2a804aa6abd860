//! Inserting records, one or several at once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use erp_plugin_model::{EntitySchema, ErrorCode, HostError, RecordId, Value, Version};
use erp_plugin_storage::{InsertOutcome, NewRecord, Stamp, SystemValues, Verb};

use super::numbers::placeholder;
use super::{RECORD, Writable, required, violated};
use crate::error::{CallError, CallResult};
use crate::fields::Seen;
use crate::history::Note;
use crate::hooks::HookPoint;
use crate::invocation::Invocation;
use crate::json::{batch, document, row, write};

impl Invocation {
    /// Inserts a record; returns all of it, with the fields that the host set.
    pub async fn insert(&mut self, entity: &str, data: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + data.len())?;
        let writable = self.writable(entity, "insert")?;
        let (Writable { entity, missing, .. }, seen) = (&writable, writable.seen());
        let (schema, missing) = (seen.schema, *missing);
        let mut values = self.new_values(seen, data)?;
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeInsert { entity: &schema.name, data }).await?;

        let id = RecordId(self.services.ids.new_id(self.now));
        let mut answer = self.inserted(seen, id, &values);
        self.budget.transfer(answer.len())?;
        if missing {
            self.make(entity).await?;
        }
        let outcome = if schema.is_numbered() {
            let outcome = self.insert_numbered(entity, id, &mut values).await?;
            answer = self.inserted(seen, id, &values);
            outcome
        } else {
            self.budget.statement();
            let (at, by) = (self.now, Arc::clone(&self.writer));
            let stamp = Stamp { at, by: &by };
            self.transaction().await?.insert(entity, NewRecord { id, values: &values }, stamp).await?
        };
        match outcome {
            InsertOutcome::Inserted => {
                self.wrote(Verb::Insert, entity, id, Note::inserted(schema, &values));
                Ok(answer)
            }
            InsertOutcome::Violates(violation) => {
                Err(violated(seen, &violation, not_default(schema, &values)).into())
            }
        }
    }

    /// Inserts the records of a JSON array, 1 to 1,000 of them, and says of each what
    /// [`insert`](Self::insert) would: `{"items":[{"ok":{…}},{"error":{"index":1,"code":"already-exists","message":"…"}}]}`,
    /// in the order of the array. One that is refused leaves the others. A reference may not be to another of these;
    /// of two with the same unique value the first is kept. Where the limits have no room for all of them, none is
    /// inserted and the call is refused.
    pub async fn insert_many(&mut self, entity: &str, data: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + data.len())?;
        let writable = self.writable(entity, "insert")?;
        let (Writable { entity, missing, .. }, seen) = (&writable, writable.seen());
        let (schema, missing) = (seen.schema, *missing);
        let given = batch::read(data)?;
        let mut items: Vec<batch::Item> = Vec::with_capacity(given.len());
        let mut records = Vec::with_capacity(given.len());
        for (index, json) in given.iter().enumerate() {
            match self.new_values(seen, json.as_bytes()) {
                Ok(values) => {
                    records.push((index, RecordId(self.services.ids.new_id(self.now)), values));
                    items.push(Ok(Vec::new()));
                }
                Err(error) => items.push(Err(error)),
            }
        }
        let answers: Vec<_> =
            records.iter().map(|(_, id, values)| self.inserted(seen, *id, values)).collect();
        self.budget.room_for(answers.iter().map(|answer| answer.len() + batch::AROUND).sum())?;
        self.budget.rows_written(records.len() as u64)?;
        let mut allowed = Vec::with_capacity(records.len());
        for ((index, id, values), answer) in records.into_iter().zip(answers) {
            let data = given.get(index).copied().unwrap_or_default().as_bytes();
            match self.hook(schema, HookPoint::BeforeInsert { entity: &schema.name, data }).await {
                Ok(()) => allowed.push((index, id, values, answer)),
                // What a limit refuses is not this one record, but the whole call.
                Err(CallError::Answer(error)) if error.code != ErrorCode::LimitExceeded => {
                    batch::put(&mut items, index, Err(error));
                }
                Err(other) => return Err(other),
            }
        }
        if !allowed.is_empty() {
            if missing {
                self.make(entity).await?;
            }
            let mut outcomes = Vec::with_capacity(allowed.len());
            if schema.is_numbered() {
                for (_, id, values, answer) in &mut allowed {
                    outcomes.push(self.insert_numbered(entity, *id, values).await?);
                    *answer = self.inserted(seen, *id, values);
                }
            } else {
                self.budget.statement();
                let (at, by) = (self.now, Arc::clone(&self.writer));
                let stamp = Stamp { at, by: &by };
                let rows: Vec<_> =
                    allowed.iter().map(|(_, id, values, _)| NewRecord { id: *id, values }).collect();
                outcomes = self.transaction().await?.insert_many(entity, &rows, stamp).await?;
            }
            for ((index, id, values, answer), outcome) in allowed.into_iter().zip(outcomes) {
                let item = match outcome {
                    InsertOutcome::Inserted => {
                        self.wrote(Verb::Insert, entity, id, Note::inserted(schema, &values));
                        Ok(answer)
                    }
                    InsertOutcome::Violates(violation) => {
                        Err(violated(seen, &violation, not_default(schema, &values)))
                    }
                };
                batch::put(&mut items, index, item);
            }
        }
        let out = batch::write(&items);
        self.budget.transfer_written(out.len())?;
        Ok(out)
    }

    /// A new record's values out of JSON.
    fn new_values(&self, seen: Seen<'_>, data: &[u8]) -> Result<Vec<Value>, HostError> {
        if seen.schema.is_dynamic() {
            let input = document::read(self.tenant(), data)?;
            refuse_system(seen.schema, &input.system)?;
            Ok(vec![Value::Json(input.document()?)])
        } else {
            let input = row::read(seen, self.tenant(), data)?;
            refuse_system(seen.schema, &input.system)?;
            complete(seen, input.values, self.now)
        }
    }

    fn inserted(&self, seen: Seen<'_>, id: RecordId, values: &[Value]) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD);
        let system = SystemValues {
            id,
            version: Version::FIRST,
            created_at: self.now,
            created_by: &self.writer,
            updated_at: self.now,
            updated_by: &self.writer,
        };
        write::system(self.tenant(), &system, &mut out);
        if seen.schema.is_dynamic() {
            if let Some(Value::Json(document)) = values.first() {
                write::splice(document, &mut out);
            }
        } else {
            for (position, (field, value)) in seen.schema.fields().iter().zip(values).enumerate() {
                if !seen.shows(position) {
                    continue;
                }
                write::key(field.name.as_str(), &mut out);
                write::value(&field.field_type, value.as_ref(), &mut out);
            }
        }
        out.push(b'}');
        out
    }
}

fn refuse_system(schema: &EntitySchema, system: &[(&str, &str)]) -> Result<(), HostError> {
    // An absent number is none that was given.
    let given = system.iter().filter(|(name, json)| schema.position(name).is_none() || *json != "null");
    let names: Vec<&str> = given.map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(());
    }
    if let Some(name) = names.iter().find(|name| schema.position(name).is_some()) {
        return Err(HostError::invalid(format!(
            "the host numbers \"{name}\" of {}; leave it out of the data",
            schema.name
        )));
    }
    Err(HostError::invalid(format!("the host sets {}; leave it out of the data", names.join(", "))))
}

/// The positions of what was given a value, as far as it still shows: the default that somebody gives is no news.
fn not_default(schema: &EntitySchema, values: &[Value]) -> impl Fn(usize) -> bool {
    |position| match (schema.fields().get(position), values.get(position)) {
        (Some(field), Some(value)) => *value != field.default,
        _ => false,
    }
}

/// An insert's values: defaults where nothing was given, and placeholders of numbers.
fn complete(seen: Seen<'_>, given: Vec<Option<Value>>, now: DateTime<Utc>) -> Result<Vec<Value>, HostError> {
    let mut values = Vec::with_capacity(given.len());
    for (position, (field, value)) in seen.schema.fields().iter().zip(given).enumerate() {
        if let Some(pattern) = field.series() {
            values.push(placeholder(pattern, now));
            continue;
        }
        values.push(match value {
            Some(Value::Null) | None if field.required && field.default.is_null() => {
                seen.check_writable(position, field)?;
                return Err(required(field.name.as_str()));
            }
            Some(Value::Null) | None => field.default.clone(),
            Some(value) => value,
        });
    }
    Ok(values)
}
