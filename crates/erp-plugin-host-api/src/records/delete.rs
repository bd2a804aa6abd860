//! Deleting a record, and what that means for those that refer to it.
//!
//! Each reference says in its plugin's manifest what becomes of its record when the one referred to is deleted: the
//! deletion is refused, the reference becomes absent, or the record is deleted too, and so on from there. It is the
//! rule of the plugin that refers, so it is followed whatever the caller may do with that plugin's records: no right of
//! the caller is asked.
//!
//! First everything is planned, with reads alone; then the hooks have their say; then it is written. So a refusal leaves
//! nothing half done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::limits::LimitKind;
use erp_plugin_model::page::{MAX_LIMIT, Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, ErrorCode, HostError, OnDelete, RecordId, Value, Version};
use erp_plugin_storage::{
    Change, DeleteOutcome, Entity, RecordSink, RecordUpdate, RowView, SinkFlow, Stamp, StorageResult,
    UpdateOutcome, Verb,
};

use super::no_record;
use crate::caller::Right;
use crate::error::CallResult;
use crate::fields::Seen;
use crate::history::{Note, Watch};
use crate::hooks::HookPoint;
use crate::invocation::Invocation;
use crate::references::{References, Referrer};

/// How far from the record that a call names one may be that is deleted with it.
const MAX_DEPTH: u32 = 8;
/// The records referred to that one statement looks for.
const AT_ONCE: usize = 100;
/// The records in the way that are counted.
const COUNTED: usize = 100;

/// What a deletion comes to.
struct Plan {
    /// In the order in which they were found, the one that was named first.
    deleted: Vec<(Arc<Entity>, RecordId)>,
    /// The same, to look one up.
    doomed: HashMap<EntityRef, HashSet<RecordId>>,
    cleared: Vec<Cleared>,
    /// Fields that must not refer to these records when all of this is done.
    restricted: Vec<(Referrer, Vec<RecordId>)>,
}

/// Records of an entity whose references become absent.
struct Cleared {
    entity: Arc<Entity>,
    records: BTreeMap<RecordId, (Version, Vec<(usize, Value)>)>,
}

impl Plan {
    fn of(entity: &Arc<Entity>, id: RecordId) -> Self {
        Self {
            deleted: vec![(Arc::clone(entity), id)],
            doomed: HashMap::from([(entity.schema().name.clone(), HashSet::from([id]))]),
            cleared: Vec::new(),
            restricted: Vec::new(),
        }
    }

    fn writes(&self) -> u64 {
        let cleared: usize = self.cleared.iter().map(|cleared| cleared.records.len()).sum();
        (self.deleted.len() + cleared) as u64
    }

    /// Dooms a record; `false` when it was already.
    fn doom(&mut self, entity: &Arc<Entity>, id: RecordId) -> bool {
        let name = &entity.schema().name;
        let new = match self.doomed.get_mut(name) {
            Some(ids) => ids.insert(id),
            None => self.doomed.insert(name.clone(), HashSet::from([id])).is_none(),
        };
        if new {
            self.deleted.push((Arc::clone(entity), id));
        }
        new
    }

    fn clear(&mut self, referrer: &Referrer, found: Vec<(RecordId, Version)>) {
        let name = &referrer.entity.schema().name;
        let at = match self.cleared.iter().position(|cleared| cleared.entity.schema().name == *name) {
            Some(at) => at,
            None => {
                let entity = Arc::clone(&referrer.entity);
                self.cleared.push(Cleared { entity, records: BTreeMap::new() });
                self.cleared.len() - 1
            }
        };
        if let Some(Cleared { records, .. }) = self.cleared.get_mut(at) {
            for (id, version) in found {
                let (_, fields) = records.entry(id).or_insert((version, Vec::new()));
                if fields.iter().all(|(position, _)| *position != referrer.position) {
                    fields.push((referrer.position, Value::Null));
                }
            }
        }
    }

    /// What is deleted anyway need not be cleared first.
    fn settle(&mut self) {
        for Cleared { entity, records } in &mut self.cleared {
            if let Some(doomed) = self.doomed.get(&entity.schema().name) {
                records.retain(|id, _| !doomed.contains(id));
            }
        }
    }
}

impl Invocation {
    /// Deletes a record softly, and does with those that refer to it what their references say: where one says
    /// `restrict`, the deletion is `rejected`. All that is written counts.
    pub async fn delete(&mut self, entity: &str, id: &str) -> CallResult<()> {
        self.enter(entity.len() + id.len())?;
        let entity = self.writable(entity, "delete")?.entity;
        let schema = entity.schema();
        let Some(record) = RecordId::parse(id) else { return Err(no_record(schema, id).into()) };
        let references = Arc::clone(&self.caller.references);
        let plan = if references.to(&schema.name).is_empty() {
            Plan::of(&entity, record)
        } else {
            self.plan(&references, &entity, record).await?
        };
        self.budget.rows_written(plan.writes())?;
        self.ask_hooks(&plan).await?;
        self.carry_out(plan).await
    }

    /// Finds what the deletion of a record comes to.
    async fn plan(
        &mut self,
        references: &References,
        entity: &Arc<Entity>,
        id: RecordId,
    ) -> CallResult<Plan> {
        self.check_is_there(entity, id).await?;
        let mut plan = Plan::of(entity, id);
        let mut level = vec![(Arc::clone(entity), vec![id])];
        for depth in 0.. {
            let mut next = Vec::new();
            for (entity, ids) in level {
                for referrer in references.to(&entity.schema().name) {
                    if referrer.on_delete == OnDelete::Restrict {
                        plan.restricted.push((referrer.clone(), ids.clone()));
                        continue;
                    }
                    let most = usize::try_from(self.budget.writes_left()).unwrap_or(usize::MAX);
                    let found =
                        self.referring(referrer, &ids, &HashSet::new(), most.saturating_add(1)).await?;
                    if referrer.on_delete == OnDelete::SetNull {
                        plan.clear(referrer, found);
                    } else {
                        let new = found.into_iter().map(|(id, _)| id);
                        let new: Vec<_> = new.filter(|id| plan.doom(&referrer.entity, *id)).collect();
                        if !new.is_empty() {
                            next.push((Arc::clone(&referrer.entity), new));
                        }
                    }
                    self.check_size(&plan)?;
                }
            }
            if next.is_empty() {
                break;
            }
            if depth == MAX_DEPTH {
                return Err(HostError::new(
                    ErrorCode::LimitExceeded,
                    format!(
                        "the deletion of {} {id} goes on for more than {MAX_DEPTH} levels of records that refer to one \
                         another; delete the lower ones first",
                        entity.schema().name
                    ),
                )
                .into());
            }
            level = next;
        }
        plan.settle();
        for (referrer, ids) in &plan.restricted {
            self.check_nothing_stays(&plan, referrer, ids, (entity, id)).await?;
        }
        Ok(plan)
    }

    /// Records whose reference becomes absent may be doomed later, so this is exact for those that are doomed only.
    fn check_size(&mut self, plan: &Plan) -> CallResult<()> {
        let doomed = plan.deleted.len() as u64;
        if doomed > self.budget.writes_left() {
            let wanted = self.budget.used().rows_written.saturating_add(doomed);
            return Err(self.budget.exceeded(LimitKind::RowsWritten, wanted));
        }
        Ok(())
    }

    async fn check_is_there(&mut self, entity: &Entity, id: RecordId) -> CallResult<()> {
        if self.budget.rows_left() == 0 {
            return Err(self.budget.too_many_rows());
        }
        self.budget.statement();
        let mut sink = Found::default();
        let found = self.transaction().await?.get(entity, id, &mut sink).await?;
        self.budget.rows_read(u64::from(found));
        if found { Ok(()) } else { Err(no_record(entity.schema(), &id.to_string()).into()) }
    }

    /// Refuses when a record that is not deleted itself refers to one of these.
    async fn check_nothing_stays(
        &mut self,
        plan: &Plan,
        referrer: &Referrer,
        ids: &[RecordId],
        (named, id): (&Arc<Entity>, RecordId),
    ) -> CallResult<()> {
        let none = HashSet::new();
        let name = &referrer.entity.schema().name;
        let doomed = plan.doomed.get(name).unwrap_or(&none);
        let staying = self.referring(referrer, ids, doomed, COUNTED).await?.len();
        let field = self.called(referrer);
        let (count, refer) = match staying {
            0 => return Ok(()),
            1 => (format!("1 record of {name}"), "refers"),
            COUNTED.. => (format!("at least {COUNTED} records of {name}"), "refer"),
            _ => (format!("{staying} records of {name}"), "refer"),
        };
        let to = if *ids == [id] { "it" } else { "what would be deleted with it" };
        let named = &named.schema().name;
        Err(HostError::new(
            ErrorCode::Rejected,
            format!(
                "{named} {id} cannot be deleted: {count} {refer} to {to} in {field}; delete or change them first"
            ),
        )
        .into())
    }

    /// How an error calls the field of a reference: its entity may be one that the caller has no right to.
    fn called(&self, referrer: &Referrer) -> String {
        let schema = referrer.entity.schema();
        let right = self.caller.entities.get(&schema.name.to_string()).map_or(Right::No, |grant| grant.read);
        let withheld = self.withheld(right, schema);
        let seen = Seen { schema, withheld: withheld.as_ref() };
        match (seen.hidden_from(referrer.position), referrer.field()) {
            (Some(who), _) => format!("a field that {who} may not see"),
            (None, field) => format!("\"{}\"", field.map_or("", |field| field.name.as_str())),
        }
    }

    /// The records that refer to one of these, without some, until there are enough.
    async fn referring(
        &mut self,
        referrer: &Referrer,
        ids: &[RecordId],
        without: &HashSet<RecordId>,
        enough: usize,
    ) -> CallResult<Vec<(RecordId, Version)>> {
        let mut found = Vec::new();
        let by_id = SortKey { column: Column::System(SystemField::Id), descending: false };
        for ids in ids.chunks(AT_ONCE) {
            let values = ids.iter().map(|id| Value::Uuid(id.0)).collect();
            let filter = Filter::In(Column::Field(referrer.position), values);
            let mut start = Start::Offset(0);
            while found.len() < enough {
                let limit = u32::try_from(self.budget.rows_left()).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
                if limit == 0 {
                    return Err(self.budget.too_many_rows());
                }
                let page = Page { limit, sort: vec![by_id.clone()], start, total: false };
                let mut sink = Found::default();
                self.budget.statement();
                let outcome =
                    self.transaction().await?.query(&referrer.entity, &filter, &page, &mut sink).await?;
                self.budget.rows_read(sink.0.len() as u64);
                self.budget.rows_scanned(outcome.rows_scanned);
                let last = sink.0.last().map(|(id, _)| Value::Uuid(id.0));
                found.extend(sink.0.into_iter().filter(|(id, _)| !without.contains(id)));
                match last {
                    Some(last) if outcome.has_more => start = Start::After(vec![last]),
                    _ => break,
                }
            }
        }
        found.truncate(enough);
        Ok(found)
    }

    /// Asks about each write as if the caller had made it by itself.
    async fn ask_hooks(&mut self, plan: &Plan) -> CallResult<()> {
        for (entity, id) in &plan.deleted {
            let schema = entity.schema();
            self.hook(schema, HookPoint::BeforeDelete { entity: &schema.name, id: *id }).await?;
        }
        for Cleared { entity, records } in &plan.cleared {
            let schema = entity.schema();
            for (id, (_, fields)) in records {
                let names = fields.iter().filter_map(|(position, _)| schema.fields().get(*position));
                let nulls: Vec<_> = names.map(|field| format!("\"{}\":null", field.name)).collect();
                let data = format!("{{{}}}", nulls.join(","));
                let point = HookPoint::BeforeUpdate { entity: &schema.name, id: *id, data: data.as_bytes() };
                self.hook(schema, point).await?;
            }
        }
        Ok(())
    }

    /// Writes it. A hook may have deleted or changed some of it meanwhile.
    async fn carry_out(&mut self, plan: Plan) -> CallResult<()> {
        let (at, by) = (self.now, Arc::clone(&self.writer));
        let stamp = Stamp { at, by: &by };
        for (index, (entity, id)) in plan.deleted.iter().enumerate() {
            self.budget.statement();
            match self.transaction().await?.delete(entity, *id, stamp).await? {
                DeleteOutcome::Deleted(version) => {
                    self.wrote(Verb::Delete, entity, *id, Note::of_no_field(entity.schema(), version));
                }
                // The one that was named.
                DeleteOutcome::NotFound if index == 0 => {
                    return Err(no_record(entity.schema(), &id.to_string()).into());
                }
                DeleteOutcome::NotFound => {}
            }
        }
        for Cleared { entity, records } in plan.cleared {
            let updates: Vec<_> = records
                .iter()
                .map(|(id, (version, fields))| RecordUpdate {
                    id: *id,
                    expected: *version,
                    change: Change::Fields(fields),
                })
                .collect();
            if updates.is_empty() {
                continue;
            }
            self.budget.statement();
            let mut sink = Found::default();
            let mut watch = Watch::over(entity.schema(), &updates, &mut sink);
            let transaction = self.transaction().await?;
            let outcomes = transaction.update_many(&entity, &updates, stamp, &mut watch).await?;
            for (update, outcome) in updates.iter().zip(outcomes) {
                let outcome = match outcome {
                    UpdateOutcome::VersionMismatch { actual } => {
                        let RecordUpdate { id, change, .. } = *update;
                        let transaction = self.transaction().await?;
                        transaction.update(&entity, id, actual, change, stamp, &mut watch).await?
                    }
                    outcome => outcome,
                };
                if outcome == UpdateOutcome::Written {
                    let note = watch.note(update.id)?;
                    self.wrote(Verb::Update, &entity, update.id, note);
                }
            }
        }
        Ok(())
    }
}

/// Ids and versions.
#[derive(Default)]
struct Found(Vec<(RecordId, Version)>);

impl RecordSink for Found {
    fn record(&mut self, row: &dyn RowView) -> StorageResult<SinkFlow> {
        let system = row.system()?;
        self.0.push((system.id, system.version));
        Ok(SinkFlow::Continue)
    }
}
