//! Changing records, one or several at once.

use std::collections::HashSet;
use std::sync::Arc;

use erp_plugin_model::parse::quote;
use erp_plugin_model::{EntitySchema, ErrorCode, HostError, RecordId, TenantId, Value, Version};
use erp_plugin_storage::{
    Change, Entity, RecordSink, RecordUpdate, RowView, SinkFlow, Stamp, StorageResult, UpdateOutcome, Verb,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{OneRecord, RECORD, no_record, required, violated};
use crate::error::{CallError, CallResult};
use crate::fields::Seen;
use crate::history::Watch;
use crate::hooks::HookPoint;
use crate::invocation::Invocation;
use crate::json::{batch, document, row, syntax_error, write};

/// An update that has been checked, and may be made.
struct Prepared<'a> {
    id: RecordId,
    expected: Version,
    change: OwnedChange,
    system: Vec<(&'a str, &'a str)>,
}

impl Invocation {
    /// Changes the given fields of the record that has this id and version; returns all of it.
    pub async fn update(&mut self, entity: &str, id: &str, data: &[u8], version: i64) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + id.len() + data.len())?;
        let writable = self.writable(entity, "update")?;
        let (entity, seen) = (&writable.entity, writable.seen());
        let schema = seen.schema;
        let update = self.prepare_update(seen, id, version, data)?;
        self.check_echo(seen, entity, &update).await?;
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeUpdate { entity: &schema.name, id: update.id, data }).await?;

        let tenant = self.tenant().clone();
        let mut sink = OneRecord { seen, tenant: &tenant, out: Vec::with_capacity(RECORD) };
        self.budget.statement();
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        let Prepared { id, expected, change, .. } = update;
        let updates = [RecordUpdate { id, expected, change: change.as_change() }];
        let mut watch = Watch::over(schema, &updates, &mut sink);
        let outcome = self
            .transaction()
            .await?
            .update(entity, id, expected, change.as_change(), stamp, &mut watch)
            .await?;
        not_written(seen, id, expected, (&change, &outcome))?;
        let note = watch.note(id)?;
        let out = sink.out;
        self.wrote(Verb::Update, entity, id, note);
        self.budget.transfer_written(out.len())?;
        Ok(out)
    }

    /// Changes several records: `[{"id":"…","version":1,"data":{…}}]`, 1 to 1,000 of them,
    /// each id once. Says of each what [`update`](Self::update) would, as [`insert_many`](Self::insert_many) does:
    /// `{"items":[{"ok":{…}},{"error":{"index":1,"code":"conflict","message":"…"}}]}`.
    pub async fn update_many(&mut self, entity: &str, updates: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + updates.len())?;
        let writable = self.writable(entity, "update")?;
        let (entity, seen) = (&writable.entity, writable.seen());
        let schema = seen.schema;
        let given = batch::read(updates)?;
        let mut items: Vec<batch::Item> = Vec::with_capacity(given.len());
        let mut prepared = Vec::with_capacity(given.len());
        let mut ids = HashSet::new();
        for (index, json) in given.into_iter().enumerate() {
            match self.prepare_item(seen, json, &mut ids) {
                Ok((update, data)) => {
                    prepared.push((index, update, data));
                    items.push(Ok(Vec::new()));
                }
                Err(error) => items.push(Err(error)),
            }
        }
        self.budget.rows_written(prepared.len() as u64)?;
        let mut allowed = Vec::with_capacity(prepared.len());
        for (index, update, data) in prepared {
            let point = HookPoint::BeforeUpdate { entity: &schema.name, id: update.id, data };
            let checked = match self.check_echo(seen, entity, &update).await {
                Ok(()) => self.hook(schema, point).await,
                refused => refused,
            };
            match checked {
                Ok(()) => allowed.push((index, update)),
                // What a limit refuses is not this one record, but the whole call.
                Err(CallError::Answer(error)) if error.code != ErrorCode::LimitExceeded => {
                    batch::put(&mut items, index, Err(error));
                }
                Err(other) => return Err(other),
            }
        }
        if !allowed.is_empty() {
            self.budget.statement();
            let (at, by) = (self.now, Arc::clone(&self.writer));
            let stamp = Stamp { at, by: &by };
            let tenant = self.tenant().clone();
            let mut sink = EachRecord { seen, tenant: &tenant, out: Vec::with_capacity(allowed.len()) };
            let rows: Vec<_> = allowed
                .iter()
                .map(|(_, update)| RecordUpdate {
                    id: update.id,
                    expected: update.expected,
                    change: update.change.as_change(),
                })
                .collect();
            let mut watch = Watch::over(schema, &rows, &mut sink);
            let outcomes = self.transaction().await?.update_many(entity, &rows, stamp, &mut watch).await?;
            let mut notes = Vec::with_capacity(outcomes.len());
            for (row, outcome) in rows.iter().zip(outcomes) {
                let note = if outcome == UpdateOutcome::Written { watch.note(row.id)? } else { None };
                notes.push((outcome, note));
            }
            let mut written = sink.out.into_iter();
            for ((index, update), (outcome, note)) in allowed.iter().zip(notes) {
                let outcome = (&update.change, &outcome);
                let item = not_written(seen, update.id, update.expected, outcome).map(|()| {
                    self.wrote(Verb::Update, entity, update.id, note);
                    written.next().unwrap_or_default()
                });
                batch::put(&mut items, *index, item);
            }
        }
        let out = batch::write(&items);
        self.budget.transfer_written(out.len())?;
        Ok(out)
    }

    fn prepare_update<'a>(
        &self,
        seen: Seen<'a>,
        id: &str,
        version: i64,
        data: &'a [u8],
    ) -> Result<Prepared<'a>, HostError> {
        let expected = Version::new(version).ok_or_else(|| {
            HostError::invalid(format!("version must be the one that was read, 1 or more, not {version}"))
        })?;
        let schema = seen.schema;
        let (change, system) = if schema.is_dynamic() {
            let input = document::read(self.tenant(), data)?;
            // What is given alone is too long already; what it comes to with the rest, the storage knows.
            input.document()?;
            (OwnedChange::Document(input.fields), input.system)
        } else {
            let input = row::read(seen, self.tenant(), data)?;
            (OwnedChange::Fields(given(schema, input.values)?), input.system)
        };
        let id = RecordId::parse(id).ok_or_else(|| no_record(schema, id))?;
        Ok(Prepared { id, expected, change, system })
    }

    /// One of several updates, and its data as it was given.
    fn prepare_item<'a>(
        &self,
        seen: Seen<'a>,
        json: &'a str,
        ids: &mut HashSet<RecordId>,
    ) -> Result<(Prepared<'a>, &'a [u8]), HostError> {
        let item: Item<'a> = serde_json::from_str(json).map_err(|error| syntax_error("update", &error))?;
        let data = item.data.get().as_bytes();
        let update = self.prepare_update(seen, &item.id, item.version, data)?;
        if !ids.insert(update.id) {
            return Err(HostError::invalid(format!(
                "the id {} stands twice; put all changes of a record into one",
                quote(&item.id)
            )));
        }
        Ok((update, data))
    }

    /// What the host sets is accepted in an update when it is what the record has: callers send back what they read.
    async fn check_echo(&mut self, seen: Seen<'_>, entity: &Entity, update: &Prepared<'_>) -> CallResult<()> {
        let Prepared { id, expected, system, .. } = update;
        let (id, expected) = (*id, *expected);
        let changed = |name: &str| {
            HostError::invalid(format!("field \"{name}\" is set by the host; leave it out, or as it was"))
        };
        let mut stored_needed = Vec::new();
        for (name, json) in system {
            match *name {
                "id" if *json == write::id_json(id) => {}
                "version" if json.parse() == Ok(expected.get()) => {}
                "deleted_at" if *json == "null" => {}
                "id" | "version" | "deleted_at" => return Err(changed(name).into()),
                _ => stored_needed.push((*name, *json)),
            }
        }
        if stored_needed.is_empty() {
            return Ok(());
        }
        let schema = seen.schema;
        let tenant = self.tenant().clone();
        let mut sink = OneRecord { seen, tenant: &tenant, out: Vec::new() };
        self.budget.statement();
        if self.budget.rows_left() == 0 {
            return Err(self.budget.too_many_rows());
        }
        if !self.transaction().await?.get(entity, id, &mut sink).await? {
            return Err(no_record(schema, &id.to_string()).into());
        }
        self.budget.rows_read(1);
        let stored: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&sink.out)
            .map_err(|_| HostError::new(ErrorCode::Internal, "internal error"))?;
        if stored.get("version").and_then(serde_json::Value::as_i64) != Some(expected.get()) {
            // The update itself will say which version the record has.
            return Ok(());
        }
        for (name, json) in stored_needed {
            if serde_json::from_str::<serde_json::Value>(json).ok().as_ref() != stored.get(name) {
                return Err(changed(name).into());
            }
        }
        Ok(())
    }
}

/// One of several updates, as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    id: String,
    version: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The error of an update that was not made.
fn not_written(
    seen: Seen<'_>,
    id: RecordId,
    expected: Version,
    (change, outcome): (&OwnedChange, &UpdateOutcome),
) -> Result<(), HostError> {
    let schema = seen.schema;
    match outcome {
        UpdateOutcome::Written => Ok(()),
        UpdateOutcome::NotFound => Err(no_record(schema, &id.to_string())),
        UpdateOutcome::VersionMismatch { actual } => Err(HostError::new(
            ErrorCode::Conflict,
            format!("{} {id} has version {actual}, not {expected}; read it again", schema.name),
        )),
        UpdateOutcome::Violates(violation) => {
            Err(violated(seen, violation, |position| change.gives(position)))
        }
    }
}

/// An update's values: those that were given.
fn given(schema: &EntitySchema, values: Vec<Option<Value>>) -> Result<Vec<(usize, Value)>, HostError> {
    let mut given = Vec::new();
    for (position, (field, value)) in schema.fields().iter().zip(values).enumerate() {
        match value {
            Some(Value::Null) if field.required => return Err(required(field.name.as_str())),
            Some(value) => given.push((position, value)),
            None => {}
        }
    }
    Ok(given)
}

enum OwnedChange {
    Fields(Vec<(usize, Value)>),
    Document(Vec<(String, Value)>),
}

impl OwnedChange {
    fn gives(&self, position: usize) -> bool {
        matches!(self, Self::Fields(fields) if fields.iter().any(|(own, _)| *own == position))
    }

    fn as_change(&self) -> Change<'_> {
        match self {
            Self::Fields(fields) => Change::Fields(fields),
            Self::Document(fields) => Change::Document(fields),
        }
    }
}

/// Writes each record apart.
struct EachRecord<'a> {
    seen: Seen<'a>,
    tenant: &'a TenantId,
    out: Vec<Vec<u8>>,
}

impl RecordSink for EachRecord<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let mut out = Vec::with_capacity(RECORD);
        write::record(self.seen, self.tenant, row, &mut out)?;
        self.out.push(out);
        Ok(SinkFlow::Continue)
    }
}
