//! What must come of an operation: the records of two tenants, kept in plain maps beside the backend.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::{
    Aggregate, Change, DeleteOutcome, Entity, Figure, FigureValue, Group, InsertOutcome, NewRecord,
    RecordUpdate, RestoreOutcome, Transaction, UpdateOutcome, Violation,
};
use proptest::test_runner::TestCaseError;

use crate::fixture::{Collect, Found, get, new_id, query, stamp, time, try_update};
use crate::model::{self, Record, matches};
use crate::operations::{CODE, Edit, FLAG, NUMBER, NewRow, Operation, PARENT, Slot};

/// A tenant's records.
#[derive(Clone, Default)]
pub(crate) struct Records {
    pub(crate) live: BTreeMap<RecordId, Record>,
    /// Those that were deleted, and not purged.
    pub(crate) deleted: BTreeMap<RecordId, Record>,
}

pub(crate) struct World<'a> {
    pub(crate) entity: &'a Entity,
    /// Of all that were inserted, also in transactions that were rolled back.
    pub(crate) ids: Vec<RecordId>,
}

type Live = BTreeMap<RecordId, Record>;
pub(crate) type Checked = Result<(), TestCaseError>;

fn matching(records: &Records, filter: &Filter) -> Vec<Record> {
    records.live.values().filter(|record| matches(filter, record)).cloned().collect()
}

fn expected_version(records: &Records, id: RecordId, stale: bool) -> i64 {
    let actual = records.live.get(&id).map_or(1, |record| record.version);
    if stale { actual + 1 } else { actual }
}

fn check_inserted(
    records: &mut Records,
    new: Record,
    outcome: InsertOutcome,
    violations: &[Violation],
) -> Checked {
    match outcome {
        InsertOutcome::Violates(violation) if violations.contains(&violation) => Ok(()),
        outcome => {
            same("insert", (outcome, violations), (InsertOutcome::Inserted, &[]))?;
            records.live.insert(new.id, new);
            Ok(())
        }
    }
}

/// What an aggregate must say of these records.
fn group(flag: Option<bool>, records: &[Record]) -> Group {
    let numbers: Vec<i64> = records
        .iter()
        .filter_map(|record| match record.values[NUMBER] {
            Value::Integer(number) => Some(number),
            _ => None,
        })
        .collect();
    let value = |number: Option<&i64>| {
        FigureValue::Value(number.map_or(Value::Null, |number| Value::Integer(*number)))
    };
    Group {
        key: flag.map(Value::Boolean).into_iter().collect(),
        figures: vec![
            FigureValue::Count(records.len() as u64),
            FigureValue::Sum {
                sum: numbers.iter().map(|number| i128::from(*number)).sum(),
                of: numbers.len() as u64,
            },
            value(numbers.iter().min()),
            value(numbers.iter().max()),
        ],
    }
}

#[expect(clippy::needless_pass_by_value, reason = "most callers compare values that they make for it")]
fn same<T: PartialEq + Debug>(what: &str, ours: T, model: T) -> Checked {
    if ours == model {
        Ok(())
    } else {
        Err(TestCaseError::fail(format!("{what}: {ours:?}, the model: {model:?}")))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn fault(error: erp_plugin_storage::StorageError) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

fn record(found: Found) -> Record {
    Record { id: found.id, version: found.version, values: found.values }
}

impl World<'_> {
    fn at(&self, slot: Slot) -> RecordId {
        if self.ids.is_empty() { new_id() } else { *slot.get(&self.ids) }
    }

    fn parent(&self, slot: Option<Slot>) -> Value {
        slot.map_or(Value::Null, |slot| Value::Uuid(self.at(slot).0))
    }

    pub(crate) async fn check(
        &mut self,
        transaction: &mut dyn Transaction,
        records: &mut Records,
        operation: &Operation,
    ) -> Checked {
        match operation {
            Operation::Insert(row) => {
                let new = self.new_record(row);
                let record = NewRecord { id: new.id, values: &new.values };
                let outcome = transaction.insert(self.entity, record, stamp()).await.map_err(fault)?;
                let violations = self.violations(&records.live, &records.live, &new, &[PARENT]);
                check_inserted(records, new, outcome, &violations)
            }
            Operation::Get(slot) => self.check_get(transaction, records, self.at(*slot)).await,
            Operation::Update { slot, stale, change, parent } => {
                let mut change = change.clone();
                if let Some(parent) = parent {
                    change.push((PARENT, self.parent(*parent)));
                }
                let id = self.at(*slot);
                let expected = expected_version(records, id, *stale);
                let (outcome, found) =
                    try_update(transaction, self.entity, id, expected, Change::Fields(&change))
                        .await
                        .map_err(fault)?;
                self.check_updated(records, (id, expected), &change, outcome, found)
            }
            Operation::Delete(slot) => {
                let id = self.at(*slot);
                let outcome = transaction.delete(self.entity, id, stamp()).await.map_err(fault)?;
                let expected = match records.live.remove(&id) {
                    Some(record) => {
                        let version = Version::new(record.version).unwrap();
                        records.deleted.insert(id, record);
                        DeleteOutcome::Deleted(version)
                    }
                    None => DeleteOutcome::NotFound,
                };
                same("delete", outcome, expected)
            }
            Operation::Restore(slot) => self.check_restore(transaction, records, self.at(*slot)).await,
            Operation::Purge => {
                let purged = transaction.purge(self.entity, time(1), 1000).await.map_err(fault)?;
                same("purge", purged, std::mem::take(&mut records.deleted).len() as u64)
            }
            Operation::InsertMany(rows) => self.check_insert_many(transaction, records, rows).await,
            Operation::UpdateMany(updates) => self.check_update_many(transaction, records, updates).await,
            Operation::Count(filter) => {
                let counted = transaction.count(self.entity, filter).await.map_err(fault)?;
                same("count", counted.count, matching(records, filter).len() as u64)
            }
            Operation::Aggregate { filter, by_flag } => {
                self.check_aggregate(transaction, records, filter, *by_flag).await
            }
            Operation::Query { filter, sort, limit } => {
                self.check_query(transaction, records, filter, sort, *limit).await
            }
        }
    }

    fn new_record(&mut self, row: &NewRow) -> Record {
        let NewRow { code, number, flag, parent } = row;
        let values = vec![code.clone(), number.clone(), flag.clone(), self.parent(*parent)];
        let new = Record { id: new_id(), version: 1, values };
        self.ids.push(new.id);
        new
    }

    /// Why the model would refuse a record: each reason there is, of which a backend may name any. Unique values are
    /// held against `live`, references against `targets`.
    fn violations(
        &self,
        live: &Live,
        targets: &Live,
        candidate: &Record,
        changed: &[usize],
    ) -> Vec<Violation> {
        let name = |position: usize| self.entity.schema().fields()[position].name.clone();
        let mut violations = Vec::new();
        let code = &candidate.values[CODE];
        let taken = |other: &Record| other.id != candidate.id && other.values[CODE] == *code;
        if !code.is_null() && live.values().any(taken) {
            violations.push(Violation::Unique(name(CODE)));
        }
        if let Value::Uuid(parent) = candidate.values[PARENT]
            && changed.contains(&PARENT)
            && !targets.contains_key(&RecordId(parent))
        {
            violations.push(Violation::Reference(name(PARENT)));
        }
        violations
    }

    pub(crate) async fn check_get(
        &self,
        transaction: &mut dyn Transaction,
        records: &Records,
        id: RecordId,
    ) -> Checked {
        let found = get(transaction, self.entity, id).await;
        same("get", found.map(record), records.live.get(&id).cloned())
    }

    fn check_updated(
        &self,
        records: &mut Records,
        (id, expected): (RecordId, i64),
        change: &[(usize, Value)],
        outcome: UpdateOutcome,
        found: Option<Found>,
    ) -> Checked {
        let Some(present) = records.live.get(&id) else {
            return same("update", outcome, UpdateOutcome::NotFound);
        };
        if expected != present.version {
            let actual = Version::new(present.version).unwrap();
            return same("update", outcome, UpdateOutcome::VersionMismatch { actual });
        }
        let mut next = Record { version: present.version + 1, ..present.clone() };
        for (position, value) in change {
            next.values[*position] = value.clone();
        }
        let changed: Vec<_> = change.iter().map(|(position, _)| *position).collect();
        let violations = self.violations(&records.live, &records.live, &next, &changed);
        match outcome {
            UpdateOutcome::Violates(violation) if violations.contains(&violation) => Ok(()),
            outcome => {
                same("update", (outcome, violations), (UpdateOutcome::Written, Vec::new()))?;
                same("updated", found.map(record), Some(next.clone()))?;
                records.live.insert(id, next);
                Ok(())
            }
        }
    }

    async fn check_restore(
        &self,
        transaction: &mut dyn Transaction,
        records: &mut Records,
        id: RecordId,
    ) -> Checked {
        let mut sink = Collect::of(self.entity, &[]);
        let outcome = transaction.restore(self.entity, id, stamp(), &mut sink).await.map_err(fault)?;
        let Some(deleted) = records.deleted.get(&id) else {
            return same("restore", outcome, RestoreOutcome::NotFound);
        };
        let next = Record { version: deleted.version + 1, ..deleted.clone() };
        let mut violations = self.violations(&records.live, &records.live, &next, &[PARENT]);
        if next.values[PARENT] == Value::Uuid(id.0) {
            // It refers to itself, and would live again with what it refers to.
            violations.retain(|violation| matches!(violation, Violation::Unique(_)));
        }
        match outcome {
            RestoreOutcome::Violates(violation) if violations.contains(&violation) => Ok(()),
            outcome => {
                same("restore", (outcome, violations), (RestoreOutcome::Restored, Vec::new()))?;
                same("restored", sink.found.pop().map(record), Some(next.clone()))?;
                records.deleted.remove(&id);
                records.live.insert(id, next);
                Ok(())
            }
        }
    }

    async fn check_insert_many(
        &mut self,
        transaction: &mut dyn Transaction,
        records: &mut Records,
        rows: &[NewRow],
    ) -> Checked {
        let new: Vec<_> = rows.iter().map(|row| self.new_record(row)).collect();
        let batch: Vec<_> =
            new.iter().map(|record| NewRecord { id: record.id, values: &record.values }).collect();
        let outcomes = transaction.insert_many(self.entity, &batch, stamp()).await.map_err(fault)?;
        same("outcomes", outcomes.len(), new.len())?;
        let before = records.live.clone();
        for (record, outcome) in new.into_iter().zip(outcomes) {
            let violations = self.violations(&records.live, &before, &record, &[PARENT]);
            check_inserted(records, record, outcome, &violations)?;
        }
        Ok(())
    }

    async fn check_update_many(
        &self,
        transaction: &mut dyn Transaction,
        records: &mut Records,
        updates: &[Edit],
    ) -> Checked {
        let mut seen = BTreeSet::new();
        let mut codes = BTreeSet::new();
        let mut chosen = Vec::new();
        for (slot, stale, change) in updates {
            let id = self.at(*slot);
            // In which order one statement changes its records is not promised, so no two of them may be about one code:
            // what one frees, or takes, another must not need.
            let of_codes = |record: Option<&Record>| {
                let old = record.map(|record| &record.values[CODE]);
                let new = change.iter().find(|(position, _)| *position == CODE).map(|(_, value)| value);
                let both = new.into_iter().chain(old);
                both.filter_map(|value| match value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect::<BTreeSet<_>>()
            };
            let these = of_codes(records.live.get(&id));
            if seen.insert(id) && codes.is_disjoint(&these) {
                codes.extend(these);
                chosen.push((id, expected_version(records, id, *stale), change));
            }
        }
        let batch: Vec<_> = chosen
            .iter()
            .map(|(id, expected, change)| RecordUpdate {
                id: *id,
                expected: Version::new(*expected).unwrap(),
                change: Change::Fields(change),
            })
            .collect();
        let mut sink = Collect::of(self.entity, &[]);
        let outcomes =
            transaction.update_many(self.entity, &batch, stamp(), &mut sink).await.map_err(fault)?;
        same("outcomes", outcomes.len(), batch.len())?;
        let mut found = sink.found.into_iter();
        for ((id, expected, change), outcome) in chosen.into_iter().zip(outcomes) {
            let shown = if outcome == UpdateOutcome::Written { found.next() } else { None };
            self.check_updated(records, (id, expected), change, outcome, shown)?;
        }
        same("shown beside the written", found.count(), 0)
    }

    async fn check_aggregate(
        &self,
        transaction: &mut dyn Transaction,
        records: &Records,
        filter: &Filter,
        by_flag: bool,
    ) -> Checked {
        let (flag, number) = (Column::Field(FLAG), Column::Field(NUMBER));
        let figures = vec![
            Figure::Count,
            Figure::Sum(number.clone()),
            Figure::Min(number.clone()),
            Figure::Max(number),
        ];
        let group_by = if by_flag { vec![flag] } else { Vec::new() };
        let aggregate = Aggregate { group_by, figures, limit: 10 };
        let outcome = transaction.aggregate(self.entity, filter, &aggregate).await.map_err(fault)?;
        let mut keys: BTreeMap<Option<bool>, Vec<Record>> = BTreeMap::new();
        if !by_flag {
            keys.insert(None, Vec::new());
        }
        for record in matching(records, filter) {
            let flag = match record.values[FLAG] {
                Value::Boolean(flag) if by_flag => Some(flag),
                _ => None,
            };
            keys.entry(flag).or_default().push(record);
        }
        let groups: Vec<_> = keys.into_iter().map(|(flag, records)| group(flag, &records)).collect();
        same("aggregate", (outcome.groups, outcome.has_more), (groups, false))
    }

    /// By cursor to the end, and the total.
    async fn check_query(
        &self,
        transaction: &mut dyn Transaction,
        records: &Records,
        filter: &Filter,
        sort: &[SortKey],
        limit: u32,
    ) -> Checked {
        let mut expected = matching(records, filter);
        model::sort(&mut expected, sort);
        let mut ours = Vec::new();
        let mut start = Start::Offset(0);
        loop {
            let page = Page { limit, sort: sort.to_vec(), start, total: true };
            let mut sink = Collect::of(self.entity, sort);
            let outcome = transaction.query(self.entity, filter, &page, &mut sink).await.map_err(fault)?;
            same("total", outcome.total, Some(expected.len() as u64))?;
            ours.extend(sink.found.into_iter().map(record));
            if !outcome.has_more {
                break;
            }
            start = Start::After(sink.cursors.pop().ok_or_else(|| TestCaseError::fail("more after none"))?);
        }
        same("query", ours, expected.clone())?;
        let offset = Page { limit: 1000, sort: sort.to_vec(), start: Start::Offset(1), total: false };
        let (_, rest) = query(transaction, self.entity, filter, &offset).await;
        same(
            "offset",
            rest.into_iter().map(record).collect(),
            expected.into_iter().skip(1).collect::<Vec<_>>(),
        )
    }
}
