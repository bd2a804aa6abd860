//! Counts, and figures over records.

use std::sync::Arc;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, Value};
use erp_plugin_storage::{
    Aggregate, AggregateOutcome, Counted, Entity, ErrorKind, Figure, FigureValue, Group, MAX_FIGURES,
    MAX_GROUP_COLUMNS, Storage, Transaction,
};

use crate::fixture::{
    ALPHA, BETA, compare, declare, equals, every_type, given, indexed, insert, json, money, optional, read,
    required, stamp, text, time, unique, write,
};

async fn count(transaction: &mut dyn Transaction, entity: &Entity, filter: &Filter) -> u64 {
    transaction.count(entity, filter).await.unwrap().count
}

fn of_all(figures: Vec<Figure>) -> Aggregate {
    Aggregate { group_by: Vec::new(), figures, limit: 100 }
}

fn by(columns: Vec<Column>, figures: Vec<Figure>) -> Aggregate {
    Aggregate { group_by: columns, figures, limit: 100 }
}

async fn computed(transaction: &mut dyn Transaction, entity: &Entity, aggregate: &Aggregate) -> Vec<Group> {
    let outcome = transaction.aggregate(entity, &Filter::everything(), aggregate).await.unwrap();
    assert!(!outcome.has_more);
    outcome.groups
}

fn sum(sum: i128, of: u64) -> FigureValue {
    FigureValue::Sum { sum, of }
}

fn value(value: Value) -> FigureValue {
    FigureValue::Value(value)
}

fn field(position: usize) -> Column {
    Column::Field(position)
}

pub async fn a_count_is_of_this_tenants_live_records_that_match(storage: Arc<dyn Storage>) {
    let fields = vec![indexed("n", FieldType::Integer), unique("code", FieldType::String)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let row = |n: i64| vec![Value::Integer(n % 3), text(&n.to_string())];
    let ids = given(&storage, ALPHA, &entity, (0..30).map(row)).await;
    given(&storage, BETA, &entity, (0..7).map(row)).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[0], stamp()).await.unwrap();
    insert(&mut *transaction, &entity, &[Value::Null, Value::Null]).await;
    assert_eq!(count(&mut *transaction, &entity, &Filter::everything()).await, 30);
    assert_eq!(count(&mut *transaction, &entity, &equals(0, Value::Integer(0))).await, 9);
    assert_eq!(count(&mut *transaction, &entity, &equals(1, text("1"))).await, 1);
    assert_eq!(count(&mut *transaction, &entity, &Filter::Absent(field(0))).await, 1);
    assert_eq!(count(&mut *transaction, &entity, &Filter::Any(Vec::new())).await, 0);
}

pub async fn a_count_says_what_it_looked_at(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![required("n", FieldType::Integer)]).await;
    given(&storage, ALPHA, &entity, (0..1000).map(|n| vec![Value::Integer(n)])).await;
    let mut transaction = read(&storage, ALPHA).await;
    let none = equals(0, Value::Integer(-1));
    let counted = transaction.count(&entity, &none).await.unwrap();
    assert_eq!(counted.count, 0);
    assert!((500..3000).contains(&counted.rows_scanned), "{counted:?}");
    assert_eq!(transaction.count(&entity, &none).await.unwrap(), counted);
    let all = of_all(vec![Figure::Sum(field(0))]);
    let outcome = transaction.aggregate(&entity, &none, &all).await.unwrap();
    assert!((500..6000).contains(&outcome.rows_scanned), "{outcome:?}");
}

pub async fn an_entity_that_is_not_there_counts_as_empty(storage: Arc<dyn Storage>) {
    let entity = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    let mut transaction = write(&storage, ALPHA).await;
    let filter = Filter::Compare(Column::Document("a".to_owned()), Comparison::Eq, text("x"));
    let counted = transaction.count(&entity, &filter).await.unwrap();
    assert_eq!(counted, Counted { count: 0, rows_scanned: 0 });
    let version = Column::System(SystemField::Version);
    let all = of_all(vec![Figure::Count, Figure::Sum(version.clone()), Figure::Max(version.clone())]);
    let nothing = vec![FigureValue::Count(0), sum(0, 0), value(Value::Null)];
    assert_eq!(computed(&mut *transaction, &entity, &all).await, [Group { key: vec![], figures: nothing }]);
    let grouped = by(vec![version.clone()], vec![Figure::Count]);
    assert_eq!(computed(&mut *transaction, &entity, &grouped).await, []);
    // And once it is there, by the host's own fields.
    transaction.create_dynamic(&entity).await.unwrap();
    for document in [r#"{"a":"x"}"#, r#"{"a":"y"}"#] {
        insert(&mut *transaction, &entity, &[json(document)]).await;
    }
    assert_eq!(transaction.count(&entity, &filter).await.unwrap().count, 1);
    let expected = Group { key: vec![Value::Integer(1)], figures: vec![FigureValue::Count(2)] };
    assert_eq!(computed(&mut *transaction, &entity, &grouped).await, [expected]);
}

pub async fn of_no_records_there_is_one_group_or_none(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let mut transaction = read(&storage, ALPHA).await;
    let figures = vec![Figure::Count, Figure::Sum(field(2)), Figure::Sum(field(3)), Figure::Min(field(0))];
    let expected = vec![FigureValue::Count(0), sum(0, 0), sum(0, 0), value(Value::Null)];
    let all = computed(&mut *transaction, &entity, &of_all(figures.clone())).await;
    assert_eq!(all, [Group { key: vec![], figures: expected }]);
    assert_eq!(computed(&mut *transaction, &entity, &by(vec![field(2)], figures)).await, []);
    let nothing_wanted = computed(&mut *transaction, &entity, &of_all(Vec::new())).await;
    assert_eq!(nothing_wanted, [Group { key: vec![], figures: vec![] }]);
}

pub async fn figures_are_of_this_tenants_live_records_that_match(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let rows = |numbers: &[i64]| numbers.iter().map(|n| vec![Value::Integer(*n)]).collect::<Vec<_>>();
    let ids = given(&storage, ALPHA, &entity, rows(&[1, 2, 30, 400])).await;
    given(&storage, BETA, &entity, rows(&[5000])).await;
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[3], stamp()).await.unwrap();
    insert(&mut *transaction, &entity, &[Value::Null]).await;
    let figures = vec![Figure::Count, Figure::Sum(field(0)), Figure::Min(field(0)), Figure::Max(field(0))];
    let outcome =
        transaction.aggregate(&entity, &Filter::everything(), &of_all(figures.clone())).await.unwrap();
    // The absent value counts as a record, and for nothing else.
    let expected =
        vec![FigureValue::Count(4), sum(33, 3), value(Value::Integer(1)), value(Value::Integer(30))];
    assert_eq!(outcome.groups, [Group { key: vec![], figures: expected }]);
    let some = compare(0, Comparison::Gt, Value::Integer(1));
    let outcome = transaction.aggregate(&entity, &some, &of_all(figures)).await.unwrap();
    let expected =
        vec![FigureValue::Count(2), sum(32, 2), value(Value::Integer(2)), value(Value::Integer(30))];
    assert_eq!(outcome.groups, [Group { key: vec![], figures: expected }]);
}

pub async fn the_smallest_and_the_largest_of_every_type_are_found(storage: Arc<dyn Storage>) {
    let fields = every_type();
    let entity = declare(&storage, "suite.sample", fields.clone()).await;
    let date = |text: &str| Value::Date(text.parse().unwrap());
    let uuid = |number: u128| Value::Uuid(uuid::Uuid::from_u128(number));
    // Each in ascending order.
    let columns: [(usize, [Value; 3]); 8] = [
        (0, [text("Z"), text("a"), text("é")]),
        (2, [i64::MIN, 0, i64::MAX].map(Value::Integer)),
        (3, [-999_999_999_999_999_999, 0, 999_999_999_999_999_999].map(Value::Decimal)),
        (4, [false, false, true].map(Value::Boolean)),
        (5, [date("0001-01-01"), date("1999-12-31"), date("9999-12-31")]),
        (6, [-1, 0, 1].map(|seconds| Value::DateTime(time(seconds)))),
        (7, [uuid(0), uuid(1 << 64), uuid(u128::MAX)]),
        (8, [text("closed"), text("open"), text("open")]),
    ];
    let row = |at: usize| {
        let mut row = vec![Value::Null; 12];
        for (position, values) in &columns {
            row[*position] = values[at].clone();
        }
        row
    };
    given(&storage, ALPHA, &entity, [row(1), row(2), vec![Value::Null; 12], row(0)]).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (position, [smallest, _, largest]) in &columns {
        let figures = vec![Figure::Min(field(*position)), Figure::Max(field(*position))];
        let groups = computed(&mut *transaction, &entity, &of_all(figures)).await;
        let expected = vec![value(smallest.clone()), value(largest.clone())];
        assert_eq!(groups[0].figures, expected, "{}", fields[*position].name);
    }
}

pub async fn the_smallest_text_is_by_code_point(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("s", FieldType::String)]).await;
    for texts in [["B", "a"], ["Z", "a"], ["a", "ä"], ["\u{FFFF}", "\u{1F600}"], ["", " "], ["a-b", "aa"]] {
        let mut transaction = write(&storage, ALPHA).await;
        for at in [1, 0] {
            insert(&mut *transaction, &entity, &[text(texts[at])]).await;
        }
        let figures = vec![Figure::Min(field(0)), Figure::Max(field(0))];
        let groups = computed(&mut *transaction, &entity, &of_all(figures)).await;
        assert_eq!(groups[0].figures, texts.map(|found| value(text(found))));
        let groups = computed(&mut *transaction, &entity, &by(vec![field(0)], Vec::new())).await;
        assert_eq!(
            groups.into_iter().map(|group| group.key).collect::<Vec<_>>(),
            texts.map(|key| [text(key)])
        );
    }
}

pub async fn sums_are_exact_beyond_64_bits(storage: Arc<dyn Storage>) {
    let fields = vec![optional("n", FieldType::Integer), optional("price", money())];
    let entity = declare(&storage, "suite.sample", fields).await;
    let highest = 999_999_999_999_999_999;
    for numbers in [
        vec![i64::MAX; 5],
        vec![i64::MIN; 5],
        vec![i64::MAX, i64::MIN, i64::MAX],
        vec![-1, -1, 1],
        vec![-(1 << 32), (1 << 32) - 1, 1 << 33],
        vec![(1 << 53) + 1, 1, -(1 << 53) - 3],
    ] {
        let mut transaction = write(&storage, ALPHA).await;
        for number in &numbers {
            let price = Value::Decimal((*number).clamp(-highest, highest));
            insert(&mut *transaction, &entity, &[Value::Integer(*number), price]).await;
        }
        insert(&mut *transaction, &entity, &[Value::Null, Value::Null]).await;
        let figures = vec![Figure::Sum(field(0)), Figure::Sum(field(1))];
        let groups = computed(&mut *transaction, &entity, &of_all(figures)).await;
        let of = numbers.len() as u64;
        let exact: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
        let prices: i128 = numbers.iter().map(|number| i128::from((*number).clamp(-highest, highest))).sum();
        assert_eq!(groups[0].figures, [sum(exact, of), sum(prices, of)], "{numbers:?}");
    }
}

pub async fn groups_come_in_the_order_of_their_keys_with_absent_ones_last(storage: Arc<dyn Storage>) {
    let fields = vec![
        optional("state", FieldType::Enum { options: vec!["open".to_owned(), "closed".to_owned()] }),
        optional("flag", FieldType::Boolean),
        optional("n", FieldType::Integer),
    ];
    let entity = declare(&storage, "suite.sample", fields).await;
    let states = [Value::Null, text("open"), text("closed")];
    let flags = [Value::Boolean(true), Value::Null, Value::Boolean(false)];
    let rows = (0..36_usize).map(|n| {
        vec![states[n % 3].clone(), flags[n / 3 % 3].clone(), Value::Integer(i64::try_from(n).unwrap())]
    });
    let rows: Vec<_> = rows.collect();
    given(&storage, ALPHA, &entity, rows.clone()).await;
    let mut transaction = read(&storage, ALPHA).await;
    let expected = |state: &Value, flag: &Value| {
        let of: Vec<_> = rows.iter().filter(|row| row[0] == *state && row[1] == *flag).collect();
        let number = |row: &&Vec<Value>| match row[2] {
            Value::Integer(n) => i128::from(n),
            _ => 0,
        };
        let total = of.iter().map(number).sum();
        let figures = vec![sum(total, of.len() as u64), FigureValue::Count(of.len() as u64)];
        Group { key: vec![state.clone(), flag.clone()], figures }
    };
    let mut in_order = Vec::new();
    for state in [text("closed"), text("open"), Value::Null] {
        for flag in [Value::Boolean(false), Value::Boolean(true), Value::Null] {
            in_order.push(expected(&state, &flag));
        }
    }
    let grouped = by(vec![field(0), field(1)], vec![Figure::Sum(field(2)), Figure::Count]);
    assert_eq!(computed(&mut *transaction, &entity, &grouped).await, in_order);
    let by_flag = computed(&mut *transaction, &entity, &by(vec![field(1)], vec![Figure::Count])).await;
    let keys: Vec<_> = by_flag.into_iter().map(|group| group.key).collect();
    assert_eq!(keys, [[Value::Boolean(false)], [Value::Boolean(true)], [Value::Null]]);
}

pub async fn records_group_by_every_type_that_has_an_order(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let target = given(&storage, ALPHA, &entity, [vec![Value::Null; 12]]).await[0];
    let mut row = vec![Value::Null; 12];
    for (position, value) in [
        (0, text("s")),
        (2, Value::Integer(i64::MIN)),
        (3, Value::Decimal(-5)),
        (4, Value::Boolean(false)),
        (5, Value::Date("2026-01-31".parse().unwrap())),
        (6, Value::DateTime(time(0))),
        (7, Value::Uuid(target.0)),
        (8, text("open")),
        (9, Value::Uuid(target.0)),
    ] {
        row[position] = value;
    }
    given(&storage, ALPHA, &entity, [row.clone(), row.clone()]).await;
    let mut transaction = read(&storage, ALPHA).await;
    let group = |key: Value, of: u64| Group { key: vec![key], figures: vec![FigureValue::Count(of)] };
    for (position, value) in row.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        let groups =
            computed(&mut *transaction, &entity, &by(vec![field(position)], vec![Figure::Count])).await;
        assert_eq!(groups, [group(value.clone(), 2), group(Value::Null, 1)]);
    }
    for (system, value) in [
        (SystemField::Version, Value::Integer(1)),
        (SystemField::CreatedAt, Value::DateTime(stamp().at)),
        (SystemField::CreatedBy, text(stamp().by)),
        (SystemField::UpdatedAt, Value::DateTime(stamp().at)),
        (SystemField::UpdatedBy, text(stamp().by)),
    ] {
        let grouped = by(vec![Column::System(system)], vec![Figure::Count]);
        assert_eq!(computed(&mut *transaction, &entity, &grouped).await, [group(value, 3)], "{system:?}");
    }
}

pub async fn at_most_so_many_groups_come_and_it_says_whether_there_are_more(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![indexed("n", FieldType::Integer)]).await;
    given(&storage, ALPHA, &entity, (0..20).map(|n| vec![Value::Integer(n % 10)])).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (limit, shown, has_more) in [(1, 1, true), (9, 9, true), (10, 10, false), (11, 10, false)] {
        let grouped = Aggregate { limit, ..by(vec![field(0)], vec![Figure::Count]) };
        let outcome = transaction.aggregate(&entity, &Filter::everything(), &grouped).await.unwrap();
        let AggregateOutcome { groups, has_more: more, .. } = outcome;
        let keys: Vec<_> = groups.iter().map(|group| group.key.clone()).collect();
        assert_eq!(keys, (0..shown).map(|n| vec![Value::Integer(n)]).collect::<Vec<_>>(), "{limit}");
        assert_eq!(more, has_more, "{limit}");
    }
}

pub async fn an_aggregate_has_its_bounds(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let mut transaction = write(&storage, ALPHA).await;
    given_one(&mut *transaction, &entity).await;
    let most = by(vec![field(0); MAX_GROUP_COLUMNS], vec![Figure::Sum(field(3)); MAX_FIGURES]);
    let groups = computed(&mut *transaction, &entity, &most).await;
    assert_eq!((groups[0].key.len(), groups[0].figures.len()), (MAX_GROUP_COLUMNS, MAX_FIGURES));
    let key = Column::Document("a".to_owned());
    for wrong in [
        by(vec![field(0); MAX_GROUP_COLUMNS + 1], Vec::new()),
        of_all(vec![Figure::Count; MAX_FIGURES + 1]),
        by(vec![field(1)], Vec::new()),
        by(vec![field(10)], Vec::new()),
        by(vec![field(12)], Vec::new()),
        by(vec![key.clone()], Vec::new()),
        of_all(vec![Figure::Sum(field(0))]),
        of_all(vec![Figure::Sum(field(4))]),
        of_all(vec![Figure::Sum(field(5))]),
        of_all(vec![Figure::Min(field(1))]),
        of_all(vec![Figure::Max(field(10))]),
        of_all(vec![Figure::Max(key)]),
    ] {
        let error = transaction.aggregate(&entity, &Filter::everything(), &wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bug, "{wrong:?}");
    }
    assert_eq!(count(&mut *transaction, &entity, &Filter::everything()).await, 1);
}

async fn given_one(transaction: &mut dyn Transaction, entity: &Entity) {
    insert(transaction, entity, &vec![Value::Null; 12]).await;
}
