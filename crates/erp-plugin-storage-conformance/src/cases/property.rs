//! Random operations of two tenants, and a plain model of what must come of them.
//!
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` change how many and which; by default they are the same each time. A
//! failure is shrunk to the fewest and simplest operations that still fail.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{FieldType, RecordId, Value, Version};
use erp_plugin_storage::{
    Change, DeleteOutcome, Entity, InsertOutcome, NewRecord, Storage, Transaction, UpdateOutcome, Violation,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner, contextualize_config};

use crate::fixture::{
    Collect, Found, begin, declare, get, indexed, new_id, optional, query, reference, required, stamp,
    try_update, unique,
};
use crate::model::{self, Record, matches};

const CODE: usize = 0;
const NUMBER: usize = 1;
const FLAG: usize = 2;
const PARENT: usize = 3;
const FIELDS: usize = 4;

/// One of the records that were ever inserted, of either tenant, live or not.
type Slot = proptest::sample::Index;

#[derive(Clone, Debug)]
enum Operation {
    Insert { code: Value, number: Value, flag: Value, parent: Option<Slot> },
    Get(Slot),
    Update { slot: Slot, stale: bool, change: Vec<(usize, Value)>, parent: Option<Option<Slot>> },
    Delete(Slot),
    Query { filter: Filter, sort: Vec<SortKey>, limit: u32 },
}

#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Rollback,
    Drop,
}

/// The operations of one transaction.
#[derive(Clone, Debug)]
struct Group {
    second_tenant: bool,
    operations: Vec<Operation>,
    end: End,
}

pub async fn random_operations_of_two_tenants_agree_with_the_model(storage: Arc<dyn Storage>) {
    let fields = vec![
        unique("code", FieldType::String),
        indexed("number", FieldType::Integer),
        required("flag", FieldType::Boolean),
        optional("parent", reference("suite.sample")),
    ];
    let entity = declare(&storage, "suite.sample", fields).await;
    let config =
        Config { cases: 64, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(contextualize_config(config));
    let outcome = runner.run(&vec(group(), 1..12), |groups| {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(run(&storage, &entity, &groups))
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn group() -> impl Strategy<Value = Group> {
    let end = prop_oneof![4 => Just(End::Commit), 1 => Just(End::Rollback), 1 => Just(End::Drop)];
    (any::<bool>(), vec(operation(), 0..8), end).prop_map(|(second_tenant, operations, end)| Group {
        second_tenant,
        operations,
        end,
    })
}

fn code() -> impl Strategy<Value = Value> {
    let texts = vec!["", "a", "ab", "b", "ä", "\u{FFFF}", "\u{1F600}", "'"];
    prop_oneof![1 => Just(Value::Null), 4 => select(texts).prop_map(|text| Value::Text(text.to_owned()))]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 3 => (-2_i64..3).prop_map(Value::Integer)]
}

fn flag() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::Boolean)
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = any::<Slot>();
    let change =
        (option::of(code()), option::of(number()), option::of(flag())).prop_map(|(code, number, flag)| {
            let fields = [(CODE, code), (NUMBER, number), (FLAG, flag)];
            fields.into_iter().filter_map(|(position, value)| Some((position, value?))).collect()
        });
    prop_oneof![
        4 => (code(), number(), flag(), option::weighted(0.2, slot.clone()))
            .prop_map(|(code, number, flag, parent)| Operation::Insert { code, number, flag, parent }),
        2 => slot.clone().prop_map(Operation::Get),
        4 => (slot.clone(), any::<bool>(), change, option::weighted(0.2, option::of(slot.clone())))
            .prop_map(|(slot, stale, change, parent)| Operation::Update { slot, stale, change, parent }),
        1 => slot.prop_map(Operation::Delete),
        2 => (filter(), sort(), 1_u32..6).prop_map(|(filter, sort, limit)| Operation::Query { filter, sort, limit }),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let comparison = || {
        select(vec![
            Comparison::Eq,
            Comparison::Ne,
            Comparison::Lt,
            Comparison::Lte,
            Comparison::Gt,
            Comparison::Gte,
        ])
    };
    let compare = |position, value: proptest::strategy::BoxedStrategy<Value>| {
        let value = value.prop_filter("a comparison has a value", |value| !value.is_null());
        (comparison(), value)
            .prop_map(move |(comparison, value)| Filter::Compare(Column::Field(position), comparison, value))
    };
    let prefix = select(vec!["", "a", "ä", "\u{FFFF}"]);
    let leaf = prop_oneof![
        compare(CODE, code().boxed()),
        compare(NUMBER, number().boxed()),
        compare(FLAG, flag().boxed()),
        vec(-2_i64..3, 0..4).prop_map(|numbers| {
            Filter::In(Column::Field(NUMBER), numbers.into_iter().map(Value::Integer).collect())
        }),
        prefix.prop_map(|prefix| Filter::Prefix(Column::Field(CODE), prefix.to_owned())),
        (0..FIELDS).prop_map(|position| Filter::Absent(Column::Field(position))),
        (1_i64..4).prop_map(|version| {
            let version = Value::Integer(version);
            Filter::Compare(Column::System(SystemField::Version), Comparison::Eq, version)
        }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::All),
            vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn sort() -> impl Strategy<Value = Vec<SortKey>> {
    let columns = vec![
        Column::Field(CODE),
        Column::Field(NUMBER),
        Column::Field(FLAG),
        Column::Field(PARENT),
        Column::System(SystemField::Version),
    ];
    (vec((select(columns), any::<bool>()), 0..3), any::<bool>()).prop_map(|(keys, id_descending)| {
        let id = (Column::System(SystemField::Id), id_descending);
        let keys = keys.into_iter().chain([id]);
        keys.map(|(column, descending)| SortKey { column, descending }).collect()
    })
}

/// A tenant's live records.
type Live = BTreeMap<RecordId, Record>;

struct World<'a> {
    entity: &'a Entity,
    /// Of all that were inserted, also in transactions that were rolled back.
    ids: Vec<RecordId>,
}

type Checked = Result<(), TestCaseError>;

#[expect(clippy::needless_pass_by_value, reason = "most callers compare values that they make for it")]
fn same<T: PartialEq + Debug>(what: &str, ours: T, model: T) -> Checked {
    if ours == model {
        Ok(())
    } else {
        Err(TestCaseError::fail(format!("{what}: {ours:?}, the model: {model:?}")))
    }
}

async fn run(storage: &Arc<dyn Storage>, entity: &Entity, groups: &[Group]) -> Checked {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let tenants = [format!("one-{number}"), format!("two-{number}")];
    let mut committed = [Live::new(), Live::new()];
    let mut world = World { entity, ids: Vec::new() };
    for group in groups {
        let tenant = usize::from(group.second_tenant);
        let mut live = committed[tenant].clone();
        let mut transaction = begin(storage, &tenants[tenant]).await.map_err(fault)?;
        for operation in &group.operations {
            world.check(&mut *transaction, &mut live, operation).await?;
        }
        match group.end {
            End::Commit => {
                transaction.commit(None).await.map_err(fault)?;
                committed[tenant] = live;
            }
            End::Rollback => transaction.rollback(None).await.map_err(fault)?,
            End::Drop => drop(transaction),
        }
    }
    for (tenant, live) in tenants.iter().zip(&committed) {
        let mut transaction = begin(storage, tenant).await.map_err(fault)?;
        for id in world.ids.clone() {
            world.check_get(&mut *transaction, live, id).await?;
        }
        let all = Operation::Query {
            filter: Filter::everything(),
            sort: vec![SortKey { column: Column::System(SystemField::Id), descending: false }],
            limit: 3,
        };
        world.check(&mut *transaction, &mut live.clone(), &all).await?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: erp_plugin_storage::StorageError) -> TestCaseError {
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

    async fn check(
        &mut self,
        transaction: &mut dyn Transaction,
        live: &mut Live,
        operation: &Operation,
    ) -> Checked {
        match operation {
            Operation::Insert { code, number, flag, parent } => {
                let values = vec![code.clone(), number.clone(), flag.clone(), self.parent(*parent)];
                self.check_insert(transaction, live, values).await
            }
            Operation::Get(slot) => self.check_get(transaction, live, self.at(*slot)).await,
            Operation::Update { slot, stale, change, parent } => {
                let mut change = change.clone();
                if let Some(parent) = parent {
                    change.push((PARENT, self.parent(*parent)));
                }
                self.check_update(transaction, live, self.at(*slot), *stale, &change).await
            }
            Operation::Delete(slot) => {
                let id = self.at(*slot);
                let outcome = transaction.delete(self.entity, id, stamp()).await.map_err(fault)?;
                let expected = match live.remove(&id) {
                    Some(_) => DeleteOutcome::Deleted,
                    None => DeleteOutcome::NotFound,
                };
                same("delete", outcome, expected)
            }
            Operation::Query { filter, sort, limit } => {
                self.check_query(transaction, live, filter, sort, *limit).await
            }
        }
    }

    /// Why the model would refuse a record: each reason there is, of which a backend may name any.
    fn violations(&self, live: &Live, candidate: &Record, changed: &[usize]) -> Vec<Violation> {
        let name = |position: usize| self.entity.schema().fields()[position].name.clone();
        let mut violations = Vec::new();
        let code = &candidate.values[CODE];
        let taken = |other: &Record| other.id != candidate.id && other.values[CODE] == *code;
        if !code.is_null() && live.values().any(taken) {
            violations.push(Violation::Unique(name(CODE)));
        }
        if let Value::Uuid(parent) = candidate.values[PARENT]
            && changed.contains(&PARENT)
            && !live.contains_key(&RecordId(parent))
        {
            violations.push(Violation::Reference(name(PARENT)));
        }
        violations
    }

    async fn check_insert(
        &mut self,
        transaction: &mut dyn Transaction,
        live: &mut Live,
        values: Vec<Value>,
    ) -> Checked {
        let new = Record { id: new_id(), version: 1, values };
        self.ids.push(new.id);
        let record = NewRecord { id: new.id, values: &new.values };
        let outcome = transaction.insert(self.entity, record, stamp()).await.map_err(fault)?;
        let violations = self.violations(live, &new, &[PARENT]);
        match outcome {
            InsertOutcome::Violates(violation) if violations.contains(&violation) => Ok(()),
            outcome => {
                same("insert", (outcome, violations), (InsertOutcome::Inserted, Vec::new()))?;
                live.insert(new.id, new);
                Ok(())
            }
        }
    }

    async fn check_get(&self, transaction: &mut dyn Transaction, live: &Live, id: RecordId) -> Checked {
        let found = get(transaction, self.entity, id).await;
        same("get", found.map(record), live.get(&id).cloned())
    }

    async fn check_update(
        &self,
        transaction: &mut dyn Transaction,
        live: &mut Live,
        id: RecordId,
        stale: bool,
        change: &[(usize, Value)],
    ) -> Checked {
        let actual = live.get(&id).map_or(1, |record| record.version);
        let expected = if stale { actual + 1 } else { actual };
        let (outcome, found) = try_update(transaction, self.entity, id, expected, Change::Fields(change))
            .await
            .map_err(fault)?;
        let Some(present) = live.get(&id) else { return same("update", outcome, UpdateOutcome::NotFound) };
        if stale {
            let actual = Version::new(present.version).unwrap();
            return same("update", outcome, UpdateOutcome::VersionMismatch { actual });
        }
        let mut next = Record { version: present.version + 1, ..present.clone() };
        for (position, value) in change {
            next.values[*position] = value.clone();
        }
        let changed: Vec<_> = change.iter().map(|(position, _)| *position).collect();
        let violations = self.violations(live, &next, &changed);
        match outcome {
            UpdateOutcome::Violates(violation) if violations.contains(&violation) => Ok(()),
            outcome => {
                same("update", (outcome, violations), (UpdateOutcome::Written, Vec::new()))?;
                same("updated", found.map(record), Some(next.clone()))?;
                live.insert(id, next);
                Ok(())
            }
        }
    }

    /// By cursor to the end, and the total.
    async fn check_query(
        &self,
        transaction: &mut dyn Transaction,
        live: &Live,
        filter: &Filter,
        sort: &[SortKey],
        limit: u32,
    ) -> Checked {
        let mut expected: Vec<_> = live.values().filter(|record| matches(filter, record)).cloned().collect();
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
