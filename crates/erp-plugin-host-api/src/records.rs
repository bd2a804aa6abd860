//! Host calls on records.

use std::sync::Arc;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::page::{Page, Start};
use erp_plugin_model::parse::quote;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{
    EntityName, EntitySchema, ErrorCode, HostError, IdentityKind, RecordId, TenantId, Value, Version,
};
use erp_plugin_storage::{
    Change, CreateDynamic, DeleteOutcome, Entity, InsertOutcome, MAX_DYNAMIC_ENTITIES, NewRecord,
    QueryOutcome, RecordSink, RowView, SinkFlow, Stamp, StorageResult, SystemValues, UpdateOutcome,
    Violation,
};

use crate::caller::{EntityGrant, Right};
use crate::error::{CallResult, Fatal};
use crate::hooks::HookPoint;
use crate::invocation::{Invocation, Verb, Write};
use crate::json::cursor::Binding;
use crate::json::{cursor, document, filter, page, row, write};

/// What most records fit in as JSON, in bytes.
const RECORD: usize = 1 << 10;

impl Invocation {
    /// Inserts a record; returns all of it, with the fields that the host set.
    pub async fn insert(&mut self, entity: &str, data: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + data.len())?;
        let Writable { entity, missing } = self.writable(entity, "insert")?;
        let schema = entity.schema();
        let values = if schema.is_dynamic() {
            let input = document::read(self.tenant(), data)?;
            refuse_system(&input.system)?;
            vec![Value::Json(input.document()?)]
        } else {
            let input = row::read(schema, self.tenant(), data)?;
            refuse_system(&input.system)?;
            complete(schema, input.values)?
        };
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeInsert { entity: &schema.name, data }).await?;

        let id = RecordId(self.services.ids.new_id(self.now));
        let answer = self.inserted(schema, id, &values);
        self.budget.transfer(answer.len())?;
        if missing {
            self.make(&entity).await?;
        }
        self.budget.statement();
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        match self.transaction().await?.insert(&entity, NewRecord { id, values: &values }, stamp).await? {
            InsertOutcome::Inserted => {
                self.writes.push(Write { verb: Verb::Insert, entity: Arc::clone(&entity), id });
                Ok(answer)
            }
            InsertOutcome::Violates(violation) => Err(violated(schema, &violation).into()),
        }
    }

    /// Answers with a page of records that fulfil the filter: `{"items":[…],"next_cursor":"…"|null,"total":n?}`.
    pub async fn query(&mut self, entity: &str, filter: &[u8], page: &[u8]) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + filter.len() + page.len())?;
        let entity = self.readable(entity).await?;
        let schema = entity.schema();
        let filter = filter::read(schema, filter)?;
        let page = page::read(schema, &filter.source, page)?;
        let max_bytes = self.budget.limits().call_bytes;
        let tenant = self.tenant().clone();
        let mut sink = PageSink {
            schema,
            tenant: &tenant,
            binding: Binding { schema, filter: &filter.source, sort: &page.sort },
            limit: page.limit,
            rows_left: self.budget.rows_left(),
            max_bytes,
            rows: 0,
            cursor: None,
            overflow: None,
            out: Vec::with_capacity(RECORD),
        };
        sink.out.extend_from_slice(b"{\"items\":[");
        self.budget.statement();
        let outcome = match by_id(&filter.filter, &page) {
            Some(id) => {
                let found = self.transaction().await?.get(&entity, id, &mut sink).await?;
                QueryOutcome {
                    has_more: false,
                    total: page.total.then_some(u64::from(found)),
                    rows_scanned: 1,
                }
            }
            None => self.transaction().await?.query(&entity, &filter.filter, &page, &mut sink).await?,
        };
        let PageSink { rows, cursor, overflow, mut out, .. } = sink;
        self.budget.rows_read(u64::from(rows));
        self.budget.rows_scanned(outcome.rows_scanned);
        match overflow {
            Some(LimitKind::RowsRead) => {
                let wanted = self.budget.used().rows_read + 1;
                return Err(self.budget.exceeded(LimitKind::RowsRead, wanted));
            }
            Some(kind) => return Err(self.budget.exceeded(kind, out.len() as u64)),
            None => {}
        }
        out.extend_from_slice(b"],\"next_cursor\":");
        match cursor.filter(|_| outcome.has_more) {
            Some(cursor) => write::string(&cursor, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        if let Some(total) = outcome.total {
            write::key("total", &mut out);
            out.extend_from_slice(total.to_string().as_bytes());
        }
        out.push(b'}');
        self.budget.transfer(out.len())?;
        Ok(out)
    }

    /// Changes the given fields of the record that has this id and version; returns all of it.
    pub async fn update(&mut self, entity: &str, id: &str, data: &[u8], version: i64) -> CallResult<Vec<u8>> {
        self.enter(entity.len() + id.len() + data.len())?;
        let entity = self.writable(entity, "update")?.entity;
        let schema = entity.schema();
        let expected = Version::new(version).ok_or_else(|| {
            HostError::invalid(format!("version must be the one that was read, 1 or more, not {version}"))
        })?;
        let (change, system) = if schema.is_dynamic() {
            let input = document::read(self.tenant(), data)?;
            // What is given alone is too long already; what it comes to with the rest, the storage knows.
            input.document()?;
            (OwnedChange::Document(input.fields), input.system)
        } else {
            let input = row::read(schema, self.tenant(), data)?;
            (OwnedChange::Fields(given(schema, input.values)?), input.system)
        };
        let Some(record) = RecordId::parse(id) else { return Err(no_record(schema, id).into()) };
        self.check_echo(&entity, record, expected, &system).await?;
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeUpdate { entity: &schema.name, id: record, data }).await?;

        let tenant = self.tenant().clone();
        let mut sink = OneRecord { schema, tenant: &tenant, out: Vec::with_capacity(RECORD) };
        self.budget.statement();
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        let outcome = self
            .transaction()
            .await?
            .update(&entity, record, expected, change.as_change(), stamp, &mut sink)
            .await?;
        match outcome {
            UpdateOutcome::Written => {
                let out = sink.out;
                self.writes.push(Write { verb: Verb::Update, entity: Arc::clone(&entity), id: record });
                self.budget.transfer_written(out.len())?;
                Ok(out)
            }
            UpdateOutcome::NotFound => Err(no_record(schema, id).into()),
            UpdateOutcome::VersionMismatch { actual } => Err(HostError::new(
                ErrorCode::Conflict,
                format!("{} {id} has version {actual}, not {expected}; read it again", schema.name),
            )
            .into()),
            UpdateOutcome::Violates(violation) => Err(violated(schema, &violation).into()),
        }
    }

    /// Deletes a record softly.
    pub async fn delete(&mut self, entity: &str, id: &str) -> CallResult<()> {
        self.enter(entity.len() + id.len())?;
        let entity = self.writable(entity, "delete")?.entity;
        let schema = entity.schema();
        let Some(record) = RecordId::parse(id) else { return Err(no_record(schema, id).into()) };
        self.budget.row_written()?;
        self.hook(schema, HookPoint::BeforeDelete { entity: &schema.name, id: record }).await?;
        self.budget.statement();
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        match self.transaction().await?.delete(&entity, record, stamp).await? {
            DeleteOutcome::Deleted => {
                self.writes.push(Write { verb: Verb::Delete, entity: Arc::clone(&entity), id: record });
                Ok(())
            }
            DeleteOutcome::NotFound => Err(no_record(schema, id).into()),
        }
    }

    /// An entity that may be written.
    fn writable(&self, name: &str, verb: &str) -> CallResult<Writable> {
        if self.is_read_only() {
            return Err(HostError::denied(format!("{verb}: this call may only read")).into());
        }
        if let Some(grant) = self.caller.entities.get(name) {
            let EntityGrant { entity, write, .. } = grant.clone();
            self.check_right(write, &entity, verb)?;
            return Ok(Writable { entity, missing: false });
        }
        let Some(directory) = &self.caller.dynamic else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(Writable { entity, missing: false });
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        if verb != "insert" {
            // Nothing was ever inserted, so there is nothing to change.
            return Err(HostError::not_found(format!(
                "no entity {entity_name} yet; its first insert creates it"
            ))
            .into());
        }
        Ok(Writable { entity: directory.make(entity_name), missing: true })
    }

    /// Makes a dynamic entity's table.
    async fn make(&mut self, entity: &Arc<Entity>) -> CallResult<()> {
        match self.transaction().await?.create_dynamic(entity).await? {
            CreateDynamic::Ready => {
                self.dynamic_made.push(Arc::clone(entity));
                Ok(())
            }
            CreateDynamic::TooMany => Err(HostError::new(
                ErrorCode::LimitExceeded,
                format!("a plugin has at most {MAX_DYNAMIC_ENTITIES} dynamic entities; declare them in plugin.toml"),
            )
            .into()),
        }
    }

    /// An entity that may be read. A dynamic one that is not there yet has no records.
    async fn readable(&mut self, name: &str) -> CallResult<Arc<Entity>> {
        if let Some(grant) = self.caller.entities.get(name) {
            let EntityGrant { entity, read, .. } = grant.clone();
            self.check_right(read, &entity, "read")?;
            return Ok(entity);
        }
        let Some(directory) = self.caller.dynamic.clone() else {
            return Err(self.caller.unknown_entity(name).into());
        };
        let name = self.own(name);
        if let Some(entity) = directory.get(name).or_else(|| self.made_here(name)) {
            return Ok(entity);
        }
        let entity_name = EntityName::parse(name).map_err(|error| HostError::invalid(error.to_string()))?;
        let entity = directory.make(entity_name);
        // Another process may have made it since this host started.
        if self.transaction().await?.has_dynamic(&entity.schema().name).await? {
            self.dynamic_made.push(Arc::clone(&entity));
        }
        Ok(entity)
    }

    /// The name of an own entity without the plugin's before it.
    fn own<'n>(&self, name: &'n str) -> &'n str {
        let own = self.plugin().and_then(|plugin| name.strip_prefix(plugin.as_str())?.strip_prefix('.'));
        own.unwrap_or(name)
    }

    fn made_here(&self, name: &str) -> Option<Arc<Entity>> {
        self.dynamic_made.iter().find(|entity| entity.schema().name.entity.as_str() == name).cloned()
    }

    fn check_right(&self, right: Right, entity: &Entity, verb: &str) -> Result<(), HostError> {
        let name = &entity.schema().name;
        match right {
            Right::Own => Ok(()),
            Right::No => Err(HostError::denied(format!(
                "{verb} of {name} is not granted; ask for \"{name}:{}\" under [capabilities] entities in plugin.toml",
                if verb == "read" { "read" } else { "write" },
            ))),
            Right::WithPermission if self.identity.kind == IdentityKind::System => Ok(()),
            Right::WithPermission => {
                let permission = format!("{name}.{verb}");
                if self.permissions.allows(&permission) {
                    Ok(())
                } else {
                    Err(HostError::denied(format!(
                        "{} lacks the permission {permission}; a role can give it",
                        self.identity.id
                    )))
                }
            }
        }
    }

    async fn hook(&mut self, schema: &EntitySchema, point: HookPoint<'_>) -> CallResult<()> {
        if !self.services.hooks.listens(&schema.name) {
            return Ok(());
        }
        let transaction = self.take_transaction().await?;
        let (transaction, verdict) = self.services.hooks.clone().run(point, transaction).await;
        match transaction {
            Some(transaction) => self.put_transaction(transaction),
            None => return Err(Fatal::TransactionGone.into()),
        }
        Ok(verdict?)
    }

    fn inserted(&self, schema: &EntitySchema, id: RecordId, values: &[Value]) -> Vec<u8> {
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
        if schema.is_dynamic() {
            if let Some(Value::Json(document)) = values.first() {
                write::splice(document, &mut out);
            }
        } else {
            for (field, value) in schema.fields().iter().zip(values) {
                write::key(field.name.as_str(), &mut out);
                write::value(&field.field_type, value.as_ref(), &mut out);
            }
        }
        out.push(b'}');
        out
    }

    /// System fields in an update are accepted when they are what the record has: callers send back what they read.
    async fn check_echo(
        &mut self,
        entity: &Entity,
        id: RecordId,
        expected: Version,
        system: &[(&'static str, &str)],
    ) -> CallResult<()> {
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
        let schema = entity.schema();
        let tenant = self.tenant().clone();
        let mut sink = OneRecord { schema, tenant: &tenant, out: Vec::new() };
        self.budget.statement();
        if self.budget.rows_left() == 0 {
            let wanted = self.budget.used().rows_read + 1;
            return Err(self.budget.exceeded(LimitKind::RowsRead, wanted));
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

/// A query for exactly one id needs no search.
fn by_id(filter: &Filter, page: &Page) -> Option<RecordId> {
    match (filter, &page.start) {
        (
            Filter::Compare(Column::System(SystemField::Id), Comparison::Eq, Value::Uuid(id)),
            Start::Offset(0),
        ) => Some(RecordId(*id)),
        _ => None,
    }
}

fn refuse_system(system: &[(&'static str, &str)]) -> Result<(), HostError> {
    if system.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = system.iter().map(|(name, _)| *name).collect();
    Err(HostError::invalid(format!("the host sets {}; leave it out of the data", names.join(", "))))
}

/// An insert's values: defaults where nothing was given.
fn complete(schema: &EntitySchema, given: Vec<Option<Value>>) -> Result<Vec<Value>, HostError> {
    let mut values = Vec::with_capacity(given.len());
    for (field, value) in schema.fields().iter().zip(given) {
        values.push(match value {
            Some(Value::Null) | None if field.required && field.default.is_null() => {
                return Err(required(field.name.as_str()));
            }
            Some(Value::Null) | None => field.default.clone(),
            Some(value) => value,
        });
    }
    Ok(values)
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

fn required(name: &str) -> HostError {
    HostError::invalid(format!("field \"{name}\" is required"))
}

fn no_record(schema: &EntitySchema, id: &str) -> HostError {
    HostError::not_found(format!("no {} has the id {}", schema.name, quote(id)))
}

fn violated(schema: &EntitySchema, violation: &Violation) -> HostError {
    match violation {
        Violation::Unique(field) => HostError::new(
            ErrorCode::AlreadyExists,
            format!("another {} has the same \"{field}\"; it must be unique", schema.name),
        ),
        Violation::Reference(field) => {
            HostError::invalid(format!("field \"{field}\" of {} names no record", schema.name))
        }
        Violation::DocumentTooLong => {
            document::too_long("with these fields the record would have more JSON than it may")
        }
    }
}

/// An entity that may be written.
struct Writable {
    entity: Arc<Entity>,
    /// Whether it is a dynamic one that is not there yet: its first insert makes it, once nothing else can refuse it.
    missing: bool,
}

enum OwnedChange {
    Fields(Vec<(usize, Value)>),
    Document(Vec<(String, Value)>),
}

impl OwnedChange {
    fn as_change(&self) -> Change<'_> {
        match self {
            Self::Fields(fields) => Change::Fields(fields),
            Self::Document(fields) => Change::Document(fields),
        }
    }
}

/// Writes one record.
struct OneRecord<'a> {
    schema: &'a EntitySchema,
    tenant: &'a TenantId,
    out: Vec<u8>,
}

impl RecordSink for OneRecord<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        write::record(self.schema, self.tenant, row, &mut self.out)?;
        Ok(SinkFlow::Continue)
    }
}

/// Writes the records of a page as they are read, and stops when there are too many or too large.
struct PageSink<'a> {
    schema: &'a EntitySchema,
    tenant: &'a TenantId,
    binding: Binding<'a>,
    limit: u32,
    rows_left: u64,
    max_bytes: u64,
    rows: u32,
    cursor: Option<String>,
    /// The limit that there was more than.
    overflow: Option<LimitKind>,
    out: Vec<u8>,
}

impl RecordSink for PageSink<'_> {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        if u64::from(self.rows) >= self.rows_left {
            self.overflow = Some(LimitKind::RowsRead);
            return Ok(SinkFlow::Stop);
        }
        if self.rows > 0 {
            self.out.push(b',');
        }
        write::record(self.schema, self.tenant, row, &mut self.out)?;
        self.rows += 1;
        if self.out.len() as u64 > self.max_bytes {
            self.overflow = Some(LimitKind::CallBytes);
            return Ok(SinkFlow::Stop);
        }
        if self.rows == self.limit {
            self.cursor = Some(cursor::write(&self.binding, row)?);
        }
        Ok(SinkFlow::Continue)
    }
}

#[cfg(test)]
mod tests;
