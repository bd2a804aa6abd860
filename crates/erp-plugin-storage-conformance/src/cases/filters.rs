//! Filters, each compared with the model: two-valued logic on every backend.

use std::sync::Arc;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{MAX_SORT_KEYS, Page, SortKey, Start};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, Value};
use erp_plugin_storage::{Change, Entity, Storage, Transaction};

use crate::fixture::{
    ALPHA, Collect, compare, declare, equals, every_type, given, insert, json, matching, money, new_uuid,
    optional, page, read, stamp, text, time, update, write,
};
use crate::model::{Record, matches};

const COMPARISONS: [Comparison; 6] =
    [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Lte, Comparison::Gt, Comparison::Gte];

/// Inserts records and returns them as the model sees them.
async fn modelled(storage: &Arc<dyn Storage>, entity: &Entity, rows: Vec<Vec<Value>>) -> Vec<Record> {
    let ids = given(storage, ALPHA, entity, rows.clone()).await;
    ids.into_iter().zip(rows).map(|(id, values)| Record { id, version: 1, values }).collect()
}

/// The storage finds exactly the records that the model does; so with the negation, and with that of the negation.
async fn agrees(transaction: &mut dyn Transaction, entity: &Entity, records: &[Record], filter: Filter) {
    let not = |filter| Filter::Not(Box::new(filter));
    for filter in [filter.clone(), not(filter.clone()), not(not(filter))] {
        let expected: Vec<_> =
            records.iter().filter(|record| matches(&filter, record)).map(|record| record.id).collect();
        assert_eq!(matching(transaction, entity, &filter).await, expected, "{filter:?}");
    }
}

pub async fn a_comparison_with_an_absent_value_is_false_and_its_negation_true(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let rows =
        [Value::Null, Value::Integer(1), Value::Integer(2), Value::Integer(3)].map(|value| vec![value]);
    let records = modelled(&storage, &entity, rows.into()).await;
    let mut transaction = read(&storage, ALPHA).await;
    for comparison in COMPARISONS {
        agrees(&mut *transaction, &entity, &records, compare(0, comparison, Value::Integer(2))).await;
    }
    agrees(&mut *transaction, &entity, &records, Filter::Absent(Column::Field(0))).await;
    let among = Filter::In(Column::Field(0), vec![Value::Integer(1), Value::Integer(3)]);
    agrees(&mut *transaction, &entity, &records, among).await;
}

pub async fn and_or_and_not_have_two_values_in_every_combination(storage: Arc<dyn Storage>) {
    let fields = vec![optional("a", FieldType::Integer), optional("b", FieldType::Integer)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let values = [Value::Null, Value::Integer(1), Value::Integer(2)];
    let rows = values.iter().flat_map(|a| values.iter().map(move |b| vec![a.clone(), b.clone()])).collect();
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    let atoms = |position| {
        [
            equals(position, Value::Integer(1)),
            Filter::Not(Box::new(equals(position, Value::Integer(1)))),
            compare(position, Comparison::Ne, Value::Integer(1)),
            Filter::Absent(Column::Field(position)),
            Filter::All(Vec::new()),
            Filter::Any(Vec::new()),
        ]
    };
    for a in atoms(0) {
        for b in atoms(1) {
            let both = vec![a.clone(), b.clone()];
            agrees(&mut *transaction, &entity, &records, Filter::All(both.clone())).await;
            agrees(&mut *transaction, &entity, &records, Filter::Any(both.clone())).await;
            let nested = Filter::Any(vec![Filter::Not(Box::new(Filter::All(both))), b.clone()]);
            agrees(&mut *transaction, &entity, &records, nested).await;
        }
    }
}

pub async fn all_of_none_is_true_and_any_of_none_is_false(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let records = modelled(&storage, &entity, vec![vec![Value::Null], vec![Value::Integer(1)]]).await;
    let mut transaction = read(&storage, ALPHA).await;
    let nothing = Filter::In(Column::Field(0), Vec::new());
    for filter in [Filter::All(Vec::new()), Filter::Any(Vec::new()), nothing.clone()] {
        agrees(&mut *transaction, &entity, &records, filter).await;
    }
    assert!(matching(&mut *transaction, &entity, &nothing).await.is_empty());
    let all = matching(&mut *transaction, &entity, &Filter::Not(Box::new(nothing))).await;
    assert_eq!(all.len(), 2, "also those without a value");
}

pub async fn every_type_compares_in_its_own_order(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let date = |text: &str| Value::Date(text.parse().unwrap());
    let uuid = |number: u128| Value::Uuid(uuid::Uuid::from_u128(number));
    let scales: [(usize, Vec<Value>); 9] = [
        (0, ["", "10", "9", "Z", "a", "ä", "\u{FFFF}", "\u{1F600}"].map(text).into()),
        (1, ["", " ", "a", "a ", "aa", "b"].map(text).into()),
        (2, [i64::MIN, -10, -9, 0, 9, 10, (1 << 53) + 1, i64::MAX].map(Value::Integer).into()),
        (3, [-999_999_999_999_999_999, -1, 0, 1, 10, 999_999_999_999_999_999].map(Value::Decimal).into()),
        (4, [false, true].map(Value::Boolean).into()),
        (5, ["0001-01-01", "0999-12-31", "1969-12-31", "2026-01-31", "9999-12-31"].map(date).into()),
        (6, [-62_135_596_800, -1, 0, 1].map(|at| Value::DateTime(time(at))).into()),
        (7, [0, 1, 1 << 64, u128::MAX].map(uuid).into()),
        (8, ["closed", "open"].map(text).into()),
    ];
    for (position, values) in scales {
        let row = |value: &Value| {
            let mut row = vec![Value::Null; 12];
            row[position] = value.clone();
            row
        };
        let mut transaction = write(&storage, ALPHA).await;
        let mut records = Vec::new();
        for value in values.iter().chain([&Value::Null]) {
            let values = row(value);
            let id = insert(&mut *transaction, &entity, &values).await;
            records.push(Record { id, version: 1, values });
        }
        for value in &values {
            for comparison in COMPARISONS {
                agrees(&mut *transaction, &entity, &records, compare(position, comparison, value.clone()))
                    .await;
            }
        }
        let some = values.iter().step_by(2).cloned().collect();
        agrees(&mut *transaction, &entity, &records, Filter::In(Column::Field(position), some)).await;
        agrees(&mut *transaction, &entity, &records, Filter::Absent(Column::Field(position))).await;
        transaction.rollback(None).await.unwrap();
    }
}

pub async fn text_compares_by_code_point(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("s", FieldType::String)]).await;
    // In UTF-16 the last two would change places; under a language's rules most would.
    let ascending = ["A", "B", "Z", "_", "a", "b", "z", "ä", "名", "\u{E000}", "\u{FFFF}", "\u{10000}"];
    let records = modelled(&storage, &entity, ascending.map(|s| vec![text(s)]).into()).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (index, middle) in ascending.iter().enumerate() {
        let less = matching(&mut *transaction, &entity, &compare(0, Comparison::Lt, text(middle))).await;
        let expected: Vec<_> = records[..index].iter().map(|record| record.id).collect();
        assert_eq!(less, expected, "less than {middle}");
    }
}

pub async fn a_prefix_is_a_range_of_code_points(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("s", FieldType::String)]).await;
    let texts = [
        "",
        "C",
        "Ch",
        "Chai",
        "Chang",
        "Ci",
        "ch",
        "D",
        "%",
        "%a",
        "_a",
        "a%",
        "\\",
        "\\%",
        "*",
        "[a]",
        "\u{D7FF}",
        "\u{D7FF}x",
        "\u{E000}",
        "\u{10FFFF}",
        "\u{10FFFF}\u{10FFFF}",
        "a\u{10FFFF}",
        "b",
    ];
    let rows = texts.map(|s| vec![text(s)]).into_iter().chain([vec![Value::Null]]).collect();
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    for prefix in texts {
        let filter = Filter::Prefix(Column::Field(0), prefix.to_owned());
        agrees(&mut *transaction, &entity, &records, filter).await;
    }
}

pub async fn the_hosts_own_fields_can_be_filtered(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let ids = given(&storage, ALPHA, &entity, [vec![Value::Null], vec![Value::Null]]).await;
    let mut transaction = write(&storage, ALPHA).await;
    update(&mut *transaction, &entity, ids[1], 1, Change::Fields(&[])).await;
    let system = |field, comparison, value| Filter::Compare(Column::System(field), comparison, value);
    let at = Value::DateTime(stamp().at);
    let only_first = [
        system(SystemField::Id, Comparison::Eq, Value::Uuid(ids[0].0)),
        system(SystemField::Id, Comparison::Lt, Value::Uuid(ids[1].0)),
        system(SystemField::Version, Comparison::Eq, Value::Integer(1)),
        system(SystemField::UpdatedAt, Comparison::Lte, at.clone()),
        system(SystemField::UpdatedBy, Comparison::Eq, text("anna")),
        Filter::Prefix(Column::System(SystemField::UpdatedBy), "an".to_owned()),
        Filter::In(Column::System(SystemField::Version), vec![Value::Integer(1), Value::Integer(9)]),
    ];
    for filter in only_first {
        assert_eq!(matching(&mut *transaction, &entity, &filter).await, [ids[0]], "{filter:?}");
    }
    for both in [
        system(SystemField::CreatedBy, Comparison::Eq, text("anna")),
        system(SystemField::CreatedAt, Comparison::Eq, at),
        Filter::Not(Box::new(Filter::Absent(Column::System(SystemField::CreatedAt)))),
    ] {
        assert_eq!(matching(&mut *transaction, &entity, &both).await, ids, "{both:?}");
    }
}

pub async fn a_filter_may_be_as_long_and_as_deep_as_a_host_lets_it(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let rows = (0..20).map(|n| vec![Value::Integer(n * 50)]).collect();
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    for length in [1, 2, 3, 4, 5, 8, 9, 500] {
        let values: Vec<_> = (0..length).map(Value::Integer).collect();
        let any = values.iter().map(|value| equals(0, value.clone())).collect();
        agrees(&mut *transaction, &entity, &records, Filter::In(Column::Field(0), values)).await;
        agrees(&mut *transaction, &entity, &records, Filter::Any(any)).await;
    }
    let mut deep = equals(0, Value::Integer(50));
    for level in 0..32 {
        let other = compare(0, Comparison::Gt, Value::Integer(level * 10));
        deep = match level % 3 {
            0 => Filter::Not(Box::new(deep)),
            1 => Filter::All(vec![deep, other]),
            _ => Filter::Any(vec![other, deep]),
        };
    }
    agrees(&mut *transaction, &entity, &records, deep).await;
}

pub async fn the_longest_chain_of_conditions_may_stand_at_the_bottom_of_the_deepest_nesting(
    storage: Arc<dyn Storage>,
) {
    let note = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    let mut transaction = write(&storage, ALPHA).await;
    transaction.create_dynamic(&note).await.unwrap();
    insert(&mut *transaction, &note, &[json(r#"{"a":"x"}"#)]).await;
    let key = || Column::Document("a".to_owned());
    // Five hundred of each condition, and the longest page condition beside them.
    let conditions = [
        Filter::everything(),
        Filter::Any(Vec::new()),
        Filter::Compare(key(), Comparison::Ne, text("x")),
        Filter::Not(Box::new(Filter::Compare(key(), Comparison::Eq, text("x")))),
        Filter::Prefix(key(), "x".to_owned()),
        Filter::Any(vec![Filter::In(key(), Vec::new()), Filter::Absent(key())]),
        Filter::Absent(Column::System(SystemField::CreatedBy)),
    ];
    // In changing directions, so that it is no comparison of whole rows.
    let keys = [
        (SystemField::Version, Value::Integer(1)),
        (SystemField::CreatedAt, Value::DateTime(time(0))),
        (SystemField::UpdatedAt, Value::DateTime(time(0))),
        (SystemField::CreatedBy, text("x")),
        (SystemField::Id, Value::Uuid(new_uuid())),
    ];
    assert_eq!(keys.len(), MAX_SORT_KEYS + 1);
    let (sort, last): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .enumerate()
        .map(|(at, (field, value))| {
            (SortKey { column: Column::System(field), descending: at % 2 == 0 }, value)
        })
        .unzip();
    let after = Page { sort, start: Start::After(last), total: true, ..page(10) };
    for condition in conditions {
        for nested in [false, true] {
            let (levels, chain) = if nested { (25, 20) } else { (1, 500) };
            let mut filter = Filter::everything();
            for level in 0..levels {
                // Where the chain hangs on its first member, depths add up.
                let mut members = vec![filter];
                members.extend(vec![condition.clone(); chain]);
                filter = match level % 2 {
                    0 => Filter::Any(members),
                    _ => Filter::Not(Box::new(Filter::All(members))),
                };
            }
            for page in [&page(10), &after] {
                let mut sink = Collect::of(&note, &page.sort);
                let outcome = transaction.query(&note, &filter, page, &mut sink).await;
                assert!(outcome.is_ok(), "{condition:?}, nested {nested}: {outcome:?}");
            }
        }
    }
}

pub async fn hostile_values_are_only_values(storage: Arc<dyn Storage>) {
    let fields = vec![optional("s", FieldType::String), optional("d", money())];
    let entity = declare(&storage, "suite.sample", fields).await;
    let hostile =
        ["' OR 1=1 --", "\"; DROP TABLE suite__sample", "?1", "$1", ":s", "%", "NULL", "\\'", "$.x"];
    let rows = hostile.map(|s| vec![text(s), Value::Decimal(1)]).into();
    let records = modelled(&storage, &entity, rows).await;
    let mut transaction = read(&storage, ALPHA).await;
    for value in hostile {
        agrees(&mut *transaction, &entity, &records, equals(0, text(value))).await;
        agrees(&mut *transaction, &entity, &records, Filter::Prefix(Column::Field(0), value.to_owned()))
            .await;
        agrees(&mut *transaction, &entity, &records, Filter::In(Column::Field(0), vec![text(value)])).await;
    }
    let unknown = equals(0, Value::Text(new_uuid().to_string()));
    assert!(matching(&mut *transaction, &entity, &unknown).await.is_empty());
}
