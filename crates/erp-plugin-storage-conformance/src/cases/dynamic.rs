//! Dynamic entities: a JSON document a record, in a table that the first insert makes.

use std::sync::Arc;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::page::{Page, SortKey, Start};
use erp_plugin_model::schema::{MAX_DOCUMENT_BYTES, SystemField};
use erp_plugin_model::{EntityRef, EntitySchema, RecordId, Value};
use erp_plugin_storage::{
    Change, CreateDynamic, DeleteOutcome, Entity, ErrorKind, InsertOutcome, MAX_DYNAMIC_ENTITIES, NewRecord,
    Storage, Transaction, UpdateOutcome, Violation,
};
use serde_json::Value as Json;

use crate::fixture::{
    ALPHA, BETA, Collect, count, get, insert, installation, json, matching, new_id, optional, page, platform,
    plugin, query, read, schema, seen, stamp, text, update, write,
};

fn dynamic(name: &str) -> Entity {
    Entity::new(EntitySchema::dynamic(EntityRef::parse(name).unwrap()))
}

async fn made(storage: &Arc<dyn Storage>, name: &str) -> Entity {
    let entity = dynamic(name);
    let mut transaction = write(storage, ALPHA).await;
    assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
    transaction.commit(None).await.unwrap();
    entity
}

/// Inserts documents in a transaction of their own.
async fn documents<const N: usize>(
    storage: &Arc<dyn Storage>,
    entity: &Entity,
    documents: [&str; N],
) -> [RecordId; N] {
    let mut transaction = write(storage, ALPHA).await;
    let mut ids = [new_id(); N];
    for (id, document) in ids.iter_mut().zip(documents) {
        *id = insert(&mut *transaction, entity, &[json(document)]).await;
    }
    transaction.commit(None).await.unwrap();
    ids
}

fn parsed(value: &Value) -> Json {
    match value {
        Value::Json(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?} is no document"),
    }
}

async fn document(transaction: &mut dyn Transaction, entity: &Entity, id: RecordId) -> Json {
    parsed(&get(transaction, entity, id).await.unwrap().values[0])
}

fn key(key: &str) -> Column {
    Column::Document(key.to_owned())
}

fn compare(name: &str, comparison: Comparison, value: Value) -> Filter {
    Filter::Compare(key(name), comparison, value)
}

fn equals(name: &str, value: Value) -> Filter {
    compare(name, Comparison::Eq, value)
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

pub async fn the_first_insert_makes_the_entity_in_its_own_transaction(storage: Arc<dyn Storage>) {
    let entity = dynamic("suite.note");
    let mut transaction = write(&storage, ALPHA).await;
    assert!(!transaction.has_dynamic(&entity.schema().name).await.unwrap());
    assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
    assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
    assert!(transaction.has_dynamic(&entity.schema().name).await.unwrap());
    let id = insert(&mut *transaction, &entity, &[json(r#"{"a":1}"#)]).await;
    transaction.commit(None).await.unwrap();
    // Also for another tenant, and for an entity that another process made.
    let mut theirs = read(&storage, BETA).await;
    assert!(theirs.has_dynamic(&entity.schema().name).await.unwrap());
    drop(theirs);
    let again = dynamic("suite.note");
    assert_eq!(
        parsed(&seen(&storage, ALPHA, &again, id).await.unwrap().values[0]),
        serde_json::json!({"a": 1})
    );
}

pub async fn an_entity_that_is_not_there_has_no_records(storage: Arc<dyn Storage>) {
    let entity = dynamic("suite.note");
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(get(&mut *transaction, &entity, new_id()).await, None);
    let counting = Page { total: true, ..page(10) };
    let (outcome, found) = query(&mut *transaction, &entity, &equals("a", text("b")), &counting).await;
    assert!(found.is_empty() && !outcome.has_more);
    assert_eq!(outcome.total, Some(0));
    let change = [("a".to_owned(), json("1"))];
    let (outcome, _) = update(&mut *transaction, &entity, new_id(), 1, Change::Document(&change)).await;
    assert_eq!(outcome, UpdateOutcome::NotFound);
    assert_eq!(transaction.delete(&entity, new_id(), stamp()).await.unwrap(), DeleteOutcome::NotFound);
    // It did no harm: the insert after it works.
    transaction.create_dynamic(&entity).await.unwrap();
    insert(&mut *transaction, &entity, &[json("{}")]).await;
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn after_a_rollback_it_has_no_records(storage: Arc<dyn Storage>) {
    let entity = dynamic("suite.note");
    let mut transaction = write(&storage, ALPHA).await;
    transaction.create_dynamic(&entity).await.unwrap();
    insert(&mut *transaction, &entity, &[json("{}")]).await;
    transaction.rollback(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 0);
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
    insert(&mut *transaction, &entity, &[json("{}")]).await;
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn documents_come_back_as_they_were(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let originals = [
        "{}",
        r#"{"text":"Ünïcödé 名前 \ud83d\ude00 \"quoted\" \\ /"}"#,
        r#"{"int":9007199254740993,"min":-9223372036854775808,"max":9223372036854775807}"#,
        r#"{"deep":{"a":[1,[2,[3,{"b":null}]]]},"empty":[],"none":{}}"#,
        r#"{"t":true,"f":false,"n":1.5,"e":1e-7}"#,
        r##"{"$.x":1,"a.b":2,"a\"b":3,"'":4,"[0]":5,"#":6}"##,
    ];
    let ids = documents(&storage, &entity, originals).await;
    let mut transaction = read(&storage, ALPHA).await;
    for (id, original) in ids.into_iter().zip(originals) {
        let expected: Json = serde_json::from_str(original).unwrap();
        assert_eq!(document(&mut *transaction, &entity, id).await, expected);
    }
}

pub async fn an_update_replaces_and_removes_keys_one_level_deep(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let original = r#"{"keep":{"x":1},"replace":{"x":1,"y":2},"remove":1,"big":12345678901234567890}"#;
    let [id] = documents(&storage, &entity, [original]).await;
    let mut transaction = write(&storage, ALPHA).await;
    let change = [
        ("replace".to_owned(), json(r#"{"y":3}"#)),
        ("remove".to_owned(), Value::Null),
        ("never".to_owned(), Value::Null),
        ("new".to_owned(), json(r#""text""#)),
    ];
    let (outcome, found) = update(&mut *transaction, &entity, id, 1, Change::Document(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    let expected = serde_json::json!({
        "keep": {"x": 1}, "replace": {"y": 3}, "new": "text", "big": 12_345_678_901_234_567_890_u64
    });
    assert_eq!(parsed(&found.unwrap().values[0]), expected);
    let (_, found) = update(&mut *transaction, &entity, id, 2, Change::Document(&[])).await;
    assert_eq!(parsed(&found.unwrap().values[0]), expected, "an update of nothing");
    transaction.commit(None).await.unwrap();
    let found = seen(&storage, ALPHA, &entity, id).await.unwrap();
    assert_eq!((found.version, parsed(&found.values[0])), (3, expected));
}

pub async fn an_update_may_name_many_keys(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let [id] = documents(&storage, &entity, [r#"{"a":1}"#]).await;
    let mut transaction = write(&storage, ALPHA).await;
    for (version, keys) in (1..).zip([1, 39, 40, 41, 80, 81, 300]) {
        let change: Vec<_> = (0..keys).map(|n| (format!("k{n}"), json(&n.to_string()))).collect();
        let (_, found) = update(&mut *transaction, &entity, id, version, Change::Document(&change)).await;
        let found = parsed(&found.unwrap().values[0]);
        assert!((0..keys).all(|n| found[format!("k{n}")] == n), "{keys}");
    }
    let change: Vec<_> = (0..300).map(|n| (format!("k{n}"), Value::Null)).collect();
    let (_, found) = update(&mut *transaction, &entity, id, 8, Change::Document(&change)).await;
    assert_eq!(parsed(&found.unwrap().values[0]), serde_json::json!({"a": 1}));
}

pub async fn a_document_has_a_longest_length_however_it_came_to_it(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    // Of two bytes a character: what counts is what is stored.
    let of_length =
        |bytes: usize| format!(r#"{{"a":"{}{}"}}"#, "é".repeat((bytes - 8) / 2), "x".repeat(bytes % 2));
    let longest = of_length(MAX_DOCUMENT_BYTES);
    assert_eq!(longest.len(), MAX_DOCUMENT_BYTES);
    let [id] = documents(&storage, &entity, [&longest]).await;
    let mut transaction = write(&storage, ALPHA).await;
    let values = [json(&of_length(MAX_DOCUMENT_BYTES + 1))];
    let record = NewRecord { id: new_id(), values: &values };
    let refused = transaction.insert(&entity, record, stamp()).await.unwrap();
    assert_eq!(refused, InsertOutcome::Violates(Violation::DocumentTooLong));
    // Each change is small; what it would come to is not.
    let more = [("b".to_owned(), json("1"))];
    let (refused, _) = update(&mut *transaction, &entity, id, 1, Change::Document(&more)).await;
    assert_eq!(refused, UpdateOutcome::Violates(Violation::DocumentTooLong));
    // The record is as it was, and the transaction goes on.
    let less = [("a".to_owned(), json("1")), ("b".to_owned(), json("2"))];
    let (outcome, found) = update(&mut *transaction, &entity, id, 1, Change::Document(&less)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    assert_eq!(parsed(&found.unwrap().values[0]), serde_json::json!({"a": 1, "b": 2}));
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

/// Keys that mean something to SQL, to JSON paths, or to those who quote them.
const HOSTILE: [&str; 24] = [
    "a\"b",
    "$.x",
    "a.b",
    "'",
    "\"",
    "\\",
    "\\\"",
    "\"; DROP TABLE suite__note; --",
    "$",
    "$[0]",
    "[0]",
    "#",
    "#-1",
    "*",
    "**",
    "?1",
    ":a",
    "@",
    "a b",
    "\n",
    "\u{1}",
    "名前",
    "\u{1F600}",
    "-",
];

pub async fn a_hostile_key_is_only_a_key(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    for hostile in HOSTILE {
        let decoy = r#"{"a":{"b":"x"},"x":"x","0":"x","":"x"}"#;
        let one = serde_json::json!({hostile: "x"}).to_string();
        let [with, without] = documents(&storage, &entity, [&one, decoy]).await;
        let mut transaction = write(&storage, ALPHA).await;
        for (filter, expected) in [
            (equals(hostile, text("x")), vec![with]),
            (Filter::Prefix(key(hostile), "x".to_owned()), vec![with]),
            (Filter::In(key(hostile), vec![text("x"), text("y")]), vec![with]),
            (Filter::Absent(key(hostile)), vec![without]),
            (not(equals(hostile, text("x"))), vec![without]),
        ] {
            assert_eq!(matching(&mut *transaction, &entity, &filter).await, expected, "{filter:?}");
        }
        let change = [(hostile.to_owned(), json("2"))];
        let (_, found) = update(&mut *transaction, &entity, with, 1, Change::Document(&change)).await;
        assert_eq!(parsed(&found.unwrap().values[0]), serde_json::json!({hostile: 2}));
        let (_, found) = update(&mut *transaction, &entity, without, 1, Change::Document(&change)).await;
        let mut expected: Json = serde_json::from_str(decoy).unwrap();
        expected[hostile] = 2.into();
        assert_eq!(parsed(&found.unwrap().values[0]), expected);
        let change = [(hostile.to_owned(), Value::Null)];
        let (_, found) = update(&mut *transaction, &entity, without, 2, Change::Document(&change)).await;
        assert_eq!(parsed(&found.unwrap().values[0]), serde_json::from_str::<Json>(decoy).unwrap());
        transaction.rollback(None).await.unwrap();

        let mut transaction = write(&storage, ALPHA).await;
        for id in [with, without] {
            transaction.delete(&entity, id, stamp()).await.unwrap();
        }
        transaction.commit(None).await.unwrap();
    }
}

fn by_id() -> SortKey {
    SortKey { column: Column::System(SystemField::Id), descending: false }
}

pub async fn a_value_compares_only_with_its_own_type(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let ids = documents(
        &storage,
        &entity,
        [
            r#"{"v":1}"#,
            r#"{"v":"1"}"#,
            r#"{"v":true}"#,
            r#"{"v":1.5}"#,
            r#"{"v":null}"#,
            r#"{"v":[1]}"#,
            r#"{"v":{"w":1}}"#,
            r#"{}"#,
            r#"{"v":false}"#,
            r#"{"v":"true"}"#,
            r#"{"v":0}"#,
        ],
    )
    .await;
    let mut transaction = read(&storage, ALPHA).await;
    let mut expect = async |filter: Filter, expected: &[usize]| {
        let found = matching(&mut *transaction, &entity, &filter).await;
        assert_eq!(found, expected.iter().map(|at| ids[*at]).collect::<Vec<_>>(), "{filter:?}");
        let rest: Vec<_> = (0..ids.len()).filter(|at| !expected.contains(at)).map(|at| ids[at]).collect();
        assert_eq!(matching(&mut *transaction, &entity, &not(filter.clone())).await, rest, "not {filter:?}");
    };
    expect(equals("v", Value::Integer(1)), &[0]).await;
    expect(equals("v", Value::Number(1.0)), &[0]).await;
    expect(equals("v", Value::Number(1.5)), &[3]).await;
    expect(equals("v", text("1")), &[1]).await;
    expect(equals("v", text("true")), &[9]).await;
    expect(equals("v", Value::Boolean(true)), &[2]).await;
    expect(equals("v", Value::Boolean(false)), &[8]).await;
    expect(compare("v", Comparison::Gt, Value::Integer(0)), &[0, 3]).await;
    expect(compare("v", Comparison::Lte, Value::Number(1.25)), &[0, 10]).await;
    expect(compare("v", Comparison::Gte, text("")), &[1, 9]).await;
    expect(compare("v", Comparison::Lt, text("\u{10FFFF}")), &[1, 9]).await;
    expect(Filter::Prefix(key("v"), String::new()), &[1, 9]).await;
    expect(Filter::Absent(key("v")), &[4, 7]).await;
    // Present and not equal: a value of another type is not equal.
    expect(compare("v", Comparison::Ne, Value::Integer(1)), &[1, 2, 3, 5, 6, 8, 9, 10]).await;
    expect(compare("v", Comparison::Ne, text("1")), &[0, 2, 3, 5, 6, 8, 9, 10]).await;
    let mixed = vec![Value::Integer(1), text("1"), Value::Boolean(false), Value::Number(1.5)];
    expect(Filter::In(key("v"), mixed), &[0, 1, 3, 8]).await;
    expect(Filter::In(key("v"), Vec::new()), &[]).await;
}

pub async fn only_top_level_keys_are_compared(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    documents(&storage, &entity, [r#"{"a":{"b":"x"}}"#, r#"{"a":["x"]}"#]).await;
    let mut transaction = read(&storage, ALPHA).await;
    for name in ["b", "a.b", "$.a.b", "a[0]", "[0]"] {
        assert!(matching(&mut *transaction, &entity, &equals(name, text("x"))).await.is_empty(), "{name}");
    }
}

pub async fn the_hosts_own_fields_are_not_keys(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let [id] = documents(&storage, &entity, [r#"{"version":7,"n":1}"#]).await;
    let mut transaction = read(&storage, ALPHA).await;
    let version = |value| Filter::Compare(Column::System(SystemField::Version), Comparison::Eq, value);
    assert_eq!(matching(&mut *transaction, &entity, &version(Value::Integer(1))).await, [id]);
    assert!(matching(&mut *transaction, &entity, &version(Value::Integer(7))).await.is_empty());
    assert_eq!(matching(&mut *transaction, &entity, &equals("version", Value::Integer(7))).await, [id]);
}

pub async fn it_sorts_by_the_hosts_own_fields_and_by_no_key(storage: Arc<dyn Storage>) {
    let entity = made(&storage, "suite.note").await;
    let ids = documents(&storage, &entity, [r#"{"a":2}"#, r#"{"a":1}"#]).await;
    let mut transaction = write(&storage, ALPHA).await;
    for columns in [vec![key("a")], vec![Column::System(SystemField::Version), key("a")]] {
        let sort: Vec<_> = columns
            .into_iter()
            .map(|column| SortKey { column, descending: false })
            .chain([by_id()])
            .collect();
        let sorted = Page { limit: 10, sort, start: Start::Offset(0), total: false };
        let mut sink = Collect::of(&entity, &[]);
        let refused = transaction.query(&entity, &Filter::everything(), &sorted, &mut sink).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Bug, "{sorted:?}");
    }
    let newest = [
        SortKey { column: Column::System(SystemField::CreatedAt), descending: true },
        SortKey { descending: true, ..by_id() },
    ];
    let sorted = Page { sort: newest.into(), ..page(10) };
    let (_, found) = query(&mut *transaction, &entity, &Filter::everything(), &sorted).await;
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [ids[1], ids[0]]);
}

pub async fn a_plugin_has_a_limited_number_of_them(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    let mut expected = Vec::new();
    for number in 0..MAX_DYNAMIC_ENTITIES {
        let entity = dynamic(&format!("suite.note{number}"));
        assert_eq!(transaction.create_dynamic(&entity).await.unwrap(), CreateDynamic::Ready);
        expected.push(entity.schema().name.clone());
    }
    let one_more = dynamic("suite.one_more");
    assert_eq!(transaction.create_dynamic(&one_more).await.unwrap(), CreateDynamic::TooMany);
    // One that is there stays ready, and another plugin has its own number.
    assert_eq!(transaction.create_dynamic(&dynamic("suite.note0")).await.unwrap(), CreateDynamic::Ready);
    assert_eq!(transaction.create_dynamic(&dynamic("other.note")).await.unwrap(), CreateDynamic::Ready);
    transaction.commit(None).await.unwrap();
    let mut platform = platform(&storage).await;
    expected.sort();
    let found = platform.entities(&plugin("suite")).await.unwrap();
    assert!(found.iter().all(EntitySchema::is_dynamic));
    assert_eq!(found.into_iter().map(|schema| schema.name).collect::<Vec<_>>(), expected);
    assert_eq!(platform.entities(&plugin("none")).await.unwrap(), []);
}

pub async fn a_declared_entity_is_no_dynamic_one(storage: Arc<dyn Storage>) {
    made(&storage, "suite.note").await;
    let mut platform = installation(&storage).await;
    let declared = schema("suite.note", vec![optional("n", erp_plugin_model::FieldType::Integer)]);
    assert!(!platform.create_entity(&declared).await.unwrap(), "the dynamic one is left alone");
    let other = schema("suite.item", vec![optional("n", erp_plugin_model::FieldType::Integer)]);
    assert!(platform.create_entity(&other).await.unwrap());
    platform.commit().await.unwrap();
    let mut transaction = read(&storage, ALPHA).await;
    assert!(!transaction.has_dynamic(&other.name).await.unwrap());
    assert!(transaction.has_dynamic(&declared.name).await.unwrap());
}
