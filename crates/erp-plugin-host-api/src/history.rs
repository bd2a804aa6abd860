//! What an invocation notes of its writes: one change for each record that it wrote, in its own transaction.
//!
//! Changes are collected as records are written, and written with the events at the end: one statement for all of them,
//! and in the same place whatever wrote them. An entity without history costs nothing: its updates do not ask for what
//! they replace.

use std::collections::HashMap;
use std::sync::Arc;

use erp_plugin_model::{EntitySchema, RecordId, Value, Version};
use erp_plugin_storage::{
    Entity, ErrorKind, NewChange, Origin, RecordSink, RecordUpdate, ReplacedView, RowView, SinkFlow,
    StorageError, StorageResult, Verb,
};

use crate::error::CallResult;
use crate::invocation::{Invocation, Write};
use crate::json::changes;

/// What is to be noted of a write.
#[derive(Debug)]
pub(crate) struct Note {
    version: Version,
    /// The fields that changed, as a JSON object.
    changes: Option<String>,
}

impl Note {
    /// Of an insert: the fields that it set. `None` where no history is kept.
    pub(crate) fn inserted(schema: &EntitySchema, values: &[Value]) -> Option<Self> {
        schema
            .history
            .is_kept()
            .then(|| Self { version: Version::FIRST, changes: Some(changes::inserted(schema, values)) })
    }

    /// Of a deletion, which changes no field.
    pub(crate) fn of_no_field(schema: &EntitySchema, version: Version) -> Option<Self> {
        schema.history.is_kept().then_some(Self { version, changes: None })
    }
}

/// A change on its way to the history.
#[derive(Debug)]
pub(crate) struct Noted {
    entity: Arc<Entity>,
    record: RecordId,
    verb: Verb,
    note: Note,
}

impl Invocation {
    /// A record was written.
    pub(crate) fn wrote(&mut self, verb: Verb, entity: &Arc<Entity>, id: RecordId, note: Option<Note>) {
        self.writes.push(Write { verb, entity: Arc::clone(entity), id });
        if let Some(note) = note {
            self.budget.change_noted(note.changes.as_ref().map_or(0, String::len));
            self.noted.push(Noted { entity: Arc::clone(entity), record: id, verb, note });
        }
    }

    /// Writes the history of everything that was written.
    pub(crate) async fn note_changes(&mut self) -> CallResult<()> {
        let noted = std::mem::take(&mut self.noted);
        let changes: Vec<_> = noted
            .iter()
            .map(|Noted { entity, record, verb, note }| NewChange {
                entity: &entity.schema().name,
                record: *record,
                version: note.version,
                verb: *verb,
                changes: note.changes.as_deref(),
            })
            .collect();
        let (by, caller, caused_by) = (Arc::clone(&self.writer), Arc::clone(&self.caller), self.caused_by());
        let origin = Origin {
            at: self.now,
            by: &by,
            caused_by: caused_by.as_ref(),
            plugin: caller.plugin().map(|name| (name, caller.version.as_str())),
            invocation: self.id,
        };
        Ok(self.transaction().await?.note_changes(origin, &changes).await?)
    }
}

/// Looks on as records are updated or restored, on their way to the sink behind it.
pub(crate) struct Watch<'a> {
    schema: &'a EntitySchema,
    updates: &'a [RecordUpdate<'a>],
    sink: &'a mut dyn RecordSink,
    /// Where among the updates the next one is looked for: they come in their order.
    next: usize,
    /// What the update that is under way changes.
    pending: Option<(RecordId, String)>,
    notes: HashMap<RecordId, Note>,
}

impl<'a> Watch<'a> {
    /// Over these updates; over a restoration when there are none.
    pub(crate) fn over(
        schema: &'a EntitySchema,
        updates: &'a [RecordUpdate<'a>],
        sink: &'a mut dyn RecordSink,
    ) -> Self {
        Self { schema, updates, sink, next: 0, pending: None, notes: HashMap::new() }
    }

    /// What is to be noted of a record that was written; `None` where no history is kept.
    pub(crate) fn note(&mut self, id: RecordId) -> StorageResult<Option<Note>> {
        if !self.schema.history.is_kept() {
            return Ok(None);
        }
        // A change that nobody saw must not be a hole in the history.
        self.notes.remove(&id).map(Some).ok_or_else(|| StorageError::new(ErrorKind::Bug, "note changes"))
    }

    fn update(&mut self, id: RecordId) -> Option<RecordUpdate<'a>> {
        let is_it = |update: &RecordUpdate<'_>| update.id == id;
        let ahead = self.updates.iter().skip(self.next).position(is_it).map(|place| self.next + place);
        let place = ahead.or_else(|| self.updates.iter().position(is_it))?;
        self.next = place + 1;
        self.updates.get(place).copied()
    }
}

impl RecordSink for Watch<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        if self.schema.history.is_kept() {
            let system = row.system()?;
            let changes = match self.pending.take() {
                Some((id, changes)) if id == system.id => Some(changes),
                _ if self.updates.is_empty() => None,
                _ => return Err(StorageError::new(ErrorKind::Bug, "note changes")),
            };
            self.notes.insert(system.id, Note { version: system.version, changes });
        }
        self.sink.record(row)
    }

    fn wants_replaced(&self) -> bool {
        self.schema.history.is_kept() && !self.updates.is_empty()
    }

    fn replaced(&mut self, id: RecordId, before: &dyn ReplacedView) -> StorageResult<()> {
        self.pending = match self.update(id) {
            Some(update) => Some((id, changes::updated(self.schema, update.change, before)?)),
            None => None,
        };
        Ok(())
    }
}
