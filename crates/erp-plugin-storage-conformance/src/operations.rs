//! Random operations, for the property test: what they are and how often each comes.

use erp_plugin_model::Value;
use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::fold::fold;
use erp_plugin_model::page::SortKey;
use erp_plugin_model::schema::SystemField;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;

pub(crate) const CODE: usize = 0;
pub(crate) const NUMBER: usize = 1;
pub(crate) const FLAG: usize = 2;
pub(crate) const PARENT: usize = 3;
const FIELDS: usize = 4;

/// One of the records that were ever inserted, of either tenant, live or not.
pub(crate) type Slot = proptest::sample::Index;

/// A record to insert.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    pub(crate) code: Value,
    pub(crate) number: Value,
    pub(crate) flag: Value,
    pub(crate) parent: Option<Slot>,
}

/// A record, whether the version given is stale, and what changes.
pub(crate) type Edit = (Slot, bool, Vec<(usize, Value)>);

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Insert(NewRow),
    Get(Slot),
    Update {
        slot: Slot,
        stale: bool,
        change: Vec<(usize, Value)>,
        parent: Option<Option<Slot>>,
    },
    Delete(Slot),
    Restore(Slot),
    /// Everything that was deleted.
    Purge,
    InsertMany(Vec<NewRow>),
    UpdateMany(Vec<Edit>),
    Count(Filter),
    Aggregate {
        filter: Filter,
        by_flag: bool,
    },
    Query {
        filter: Filter,
        sort: Vec<SortKey>,
        limit: u32,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Commit,
    Rollback,
    Drop,
}

/// The operations of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) second_tenant: bool,
    pub(crate) operations: Vec<Operation>,
    pub(crate) end: End,
}

pub(crate) fn turn() -> impl Strategy<Value = Turn> {
    let end = prop_oneof![4 => Just(End::Commit), 1 => Just(End::Rollback), 1 => Just(End::Drop)];
    (any::<bool>(), vec(operation(), 0..8), end).prop_map(|(second_tenant, operations, end)| Turn {
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

fn new_row() -> impl Strategy<Value = NewRow> {
    (code(), number(), flag(), option::weighted(0.2, any::<Slot>()))
        .prop_map(|(code, number, flag, parent)| NewRow { code, number, flag, parent })
}

fn change() -> impl Strategy<Value = Vec<(usize, Value)>> {
    (option::of(code()), option::of(number()), option::of(flag())).prop_map(|(code, number, flag)| {
        let fields = [(CODE, code), (NUMBER, number), (FLAG, flag)];
        fields.into_iter().filter_map(|(position, value)| Some((position, value?))).collect()
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = any::<Slot>();
    prop_oneof![
        4 => new_row().prop_map(Operation::Insert),
        2 => slot.clone().prop_map(Operation::Get),
        4 => (slot.clone(), any::<bool>(), change(), option::weighted(0.2, option::of(slot.clone())))
            .prop_map(|(slot, stale, change, parent)| Operation::Update { slot, stale, change, parent }),
        2 => slot.clone().prop_map(Operation::Delete),
        2 => slot.clone().prop_map(Operation::Restore),
        1 => Just(Operation::Purge),
        2 => vec(new_row(), 0..6).prop_map(Operation::InsertMany),
        2 => vec((slot, any::<bool>(), change()), 0..5).prop_map(Operation::UpdateMany),
        1 => filter().prop_map(Operation::Count),
        1 => (filter(), any::<bool>()).prop_map(|(filter, by_flag)| Operation::Aggregate { filter, by_flag }),
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
        prefix.clone().prop_map(|prefix| Filter::Prefix(Column::Field(CODE), prefix.to_owned())),
        prefix.prop_map(|prefix| Filter::FoldedPrefix(CODE, fold(prefix))),
        select(vec!["A", "AB", "Ä", ""]).prop_map(|text| Filter::FoldedEq(CODE, fold(text))),
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
