//! Several records at once: each as it would be alone.

use std::sync::Arc;

use erp_plugin_model::schema::MAX_DOCUMENT_BYTES;
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, RecordId, Value, Version};
use erp_plugin_storage::{
    Change, Entity, ErrorKind, InsertOutcome, NewRecord, RecordUpdate, Storage, Transaction, UpdateOutcome,
    Violation,
};

use crate::fixture::{
    ALPHA, BETA, Collect, Found, count, declare, every_type, field_name, given, indexed, insert, json,
    new_id, new_uuid, optional, options, read, reference, required, scope, seen, stamp, text, time, unique,
    write,
};

/// Inserts rows with new ids.
async fn insert_many(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    rows: &[Vec<Value>],
) -> (Vec<RecordId>, Vec<InsertOutcome>) {
    let ids: Vec<_> = rows.iter().map(|_| new_id()).collect();
    let records: Vec<_> = ids.iter().zip(rows).map(|(id, values)| NewRecord { id: *id, values }).collect();
    let outcomes = transaction.insert_many(entity, &records, stamp()).await.unwrap();
    (ids, outcomes)
}

async fn update_many(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    updates: &[RecordUpdate<'_>],
) -> (Vec<UpdateOutcome>, Vec<Found>) {
    let mut sink = Collect::of(entity, &[]);
    let by_ben = erp_plugin_storage::Stamp { at: time(60), by: "ben" };
    let outcomes = transaction.update_many(entity, updates, by_ben, &mut sink).await.unwrap();
    (outcomes, sink.found)
}

fn change(id: RecordId, version: i64, fields: &[(usize, Value)]) -> RecordUpdate<'_> {
    RecordUpdate { id, expected: Version::new(version).unwrap(), change: Change::Fields(fields) }
}

fn taken(field: &str) -> Violation {
    Violation::Unique(field_name(field))
}

fn dangling(field: &str) -> Violation {
    Violation::Reference(field_name(field))
}

pub async fn many_inserts_of_every_type_come_back_as_they_were(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", every_type()).await;
    let target = given(&storage, ALPHA, &entity, [vec![Value::Null; 12]]).await[0];
    let rows: Vec<Vec<Value>> = (0..300_i64)
        .map(|n| match n % 3 {
            0 => vec![Value::Null; 12],
            _ => vec![
                text(&format!("s{n}")),
                text("é'\"\n"),
                Value::Integer(i64::MIN + n),
                Value::Decimal(-n),
                Value::Boolean(n % 2 == 0),
                Value::Date("2024-02-29".parse().unwrap()),
                Value::DateTime(time(n)),
                Value::Uuid(new_uuid()),
                text("open"),
                Value::Uuid(target.0),
                json(r#"{"a":[1,null]}"#),
                text(""),
            ],
        })
        .collect();
    let mut transaction = write(&storage, ALPHA).await;
    let (ids, outcomes) = insert_many(&mut *transaction, &entity, &rows).await;
    assert!(outcomes.iter().all(|outcome| *outcome == InsertOutcome::Inserted));
    transaction.commit(None).await.unwrap();
    let by = (stamp().at, stamp().by.to_owned());
    for (id, values) in ids.into_iter().zip(rows) {
        let expected = Found { id, version: 1, created: by.clone(), updated: by.clone(), values };
        assert_eq!(seen(&storage, ALPHA, &entity, id).await, Some(expected));
    }
}

pub async fn many_inserts_are_one_transaction_and_one_tenants(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![unique("code", FieldType::String)]).await;
    given(&storage, BETA, &entity, [vec![text("a")]]).await;
    let rows = [vec![text("a")], vec![text("b")]];
    for commits in [false, true] {
        let mut transaction = write(&storage, ALPHA).await;
        let (_, outcomes) = insert_many(&mut *transaction, &entity, &rows).await;
        assert_eq!(outcomes, [InsertOutcome::Inserted, InsertOutcome::Inserted]);
        if commits {
            transaction.commit(None).await.unwrap();
        } else {
            drop(transaction);
        }
        assert_eq!(count(&storage, ALPHA, &entity).await, if commits { 2 } else { 0 });
    }
    assert_eq!(count(&storage, BETA, &entity).await, 1);
}

pub async fn each_insert_of_many_ends_as_it_would_alone(storage: Arc<dyn Storage>) {
    let fields = vec![
        unique("code", FieldType::String),
        optional("parent", reference("suite.node")),
        unique("number", FieldType::Integer),
    ];
    let entity = declare(&storage, "suite.node", fields).await;
    let row = |code: &str, parent: Option<RecordId>, number: i64| {
        vec![text(code), parent.map_or(Value::Null, |id| Value::Uuid(id.0)), Value::Integer(number)]
    };
    let root = given(&storage, ALPHA, &entity, [row("root", None, 0)]).await[0];
    let theirs = given(&storage, BETA, &entity, [row("theirs", None, 0)]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let rows = [
        row("a", Some(root), 1),
        row("root", None, 2),
        row("b", Some(theirs), 3),
        row("c", Some(new_id()), 4),
        row("d", None, 0),
        row("e", None, 5),
        vec![Value::Null; 3],
        vec![Value::Null; 3],
    ];
    let (ids, outcomes) = insert_many(&mut *transaction, &entity, &rows).await;
    let refused = InsertOutcome::Violates;
    assert_eq!(
        outcomes,
        [
            InsertOutcome::Inserted,
            refused(taken("code")),
            refused(dangling("parent")),
            refused(dangling("parent")),
            refused(taken("number")),
            InsertOutcome::Inserted,
            InsertOutcome::Inserted,
            InsertOutcome::Inserted,
        ]
    );
    // Nothing of those that were refused is in the way.
    assert_eq!(
        insert_many(&mut *transaction, &entity, &[row("b", None, 3), row("d", None, 2)]).await.1,
        [InsertOutcome::Inserted, InsertOutcome::Inserted]
    );
    transaction.commit(None).await.unwrap();
    for (id, outcome) in ids.into_iter().zip(outcomes) {
        let is_there = seen(&storage, ALPHA, &entity, id).await.is_some();
        assert_eq!(is_there, outcome == InsertOutcome::Inserted);
    }
}

pub async fn of_many_inserts_with_one_unique_value_the_first_is_kept(storage: Arc<dyn Storage>) {
    let fields = vec![unique("code", FieldType::String), indexed("n", FieldType::Integer)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let rows: Vec<_> = (0..50).map(|n| vec![text(&format!("c{}", n % 10)), Value::Integer(n)]).collect();
    let mut transaction = write(&storage, ALPHA).await;
    let (ids, outcomes) = insert_many(&mut *transaction, &entity, &rows).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        let expected = if n < 10 { InsertOutcome::Inserted } else { InsertOutcome::Violates(taken("code")) };
        assert_eq!(*outcome, expected, "{n}");
    }
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 10);
    assert_eq!(seen(&storage, ALPHA, &entity, ids[9]).await.unwrap().values, rows[9]);
}

pub async fn many_inserts_cannot_refer_to_one_another(storage: Arc<dyn Storage>) {
    let fields = vec![required("code", FieldType::String), optional("parent", reference("suite.node"))];
    let entity = declare(&storage, "suite.node", fields).await;
    let [first, second, third] = [new_id(), new_id(), new_id()];
    let values = [
        [text("first"), Value::Null],
        [text("refers to the one before"), Value::Uuid(first.0)],
        [text("refers to itself"), Value::Uuid(third.0)],
    ];
    let records: Vec<_> = [first, second, third]
        .into_iter()
        .zip(&values)
        .map(|(id, values)| NewRecord { id, values })
        .collect();
    let mut transaction = write(&storage, ALPHA).await;
    let outcomes = transaction.insert_many(&entity, &records, stamp()).await.unwrap();
    let refused = InsertOutcome::Violates(dangling("parent"));
    assert_eq!(outcomes, [InsertOutcome::Inserted, refused.clone(), refused]);
    // In the next call it was there before.
    let (_, outcomes) =
        insert_many(&mut *transaction, &entity, &[vec![text("later"), Value::Uuid(first.0)]]).await;
    assert_eq!(outcomes, [InsertOutcome::Inserted]);
}

pub async fn many_documents_are_inserted_and_updated_as_one(storage: Arc<dyn Storage>) {
    let entity = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    let mut transaction = write(&storage, ALPHA).await;
    transaction.create_dynamic(&entity).await.unwrap();
    let too_long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_DOCUMENT_BYTES));
    let rows = [r#"{"a":1}"#, &too_long, r#"{"b":"x"}"#].map(|document| vec![json(document)]);
    let (ids, outcomes) = insert_many(&mut *transaction, &entity, &rows).await;
    let refused = InsertOutcome::Violates(Violation::DocumentTooLong);
    assert_eq!(outcomes, [InsertOutcome::Inserted, refused, InsertOutcome::Inserted]);
    let more = [("c".to_owned(), json("[2]"))];
    let long = [("d".to_owned(), json(&format!("\"{}\"", "x".repeat(MAX_DOCUMENT_BYTES))))];
    let document = |id, change| RecordUpdate { id, expected: Version::FIRST, change };
    let updates = [
        document(ids[2], Change::Document(&more)),
        document(ids[1], Change::Document(&more)),
        document(ids[0], Change::Document(&long)),
    ];
    let (outcomes, found) = update_many(&mut *transaction, &entity, &updates).await;
    let too_long = UpdateOutcome::Violates(Violation::DocumentTooLong);
    assert_eq!(outcomes, [UpdateOutcome::Written, UpdateOutcome::NotFound, too_long]);
    assert_eq!((found.len(), found[0].version), (1, 2));
    let Value::Json(document) = &found[0].values[0] else { panic!("no document") };
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!(document, serde_json::json!({"b": "x", "c": [2]}));
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 2);
}

pub async fn each_update_of_many_ends_as_it_would_alone(storage: Arc<dyn Storage>) {
    let fields = vec![
        unique("code", FieldType::String),
        optional("parent", reference("suite.node")),
        required("n", FieldType::Integer),
    ];
    let entity = declare(&storage, "suite.node", fields).await;
    let row = |code: &str| vec![text(code), Value::Null, Value::Integer(0)];
    let ids = given(&storage, ALPHA, &entity, ["a", "b", "c", "d", "e", "gone"].map(row)).await;
    let theirs = given(&storage, BETA, &entity, [row("theirs")]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, ids[5], stamp()).await.unwrap();
    let one = [(2, Value::Integer(1))];
    let code = [(0, text("e"))];
    let parent = [(1, Value::Uuid(theirs.0))];
    let several = [(2, Value::Integer(2)), (1, Value::Uuid(ids[0].0)), (0, text("new"))];
    let updates = [
        change(ids[3], 1, &one),
        change(ids[0], 1, &several),
        change(ids[1], 7, &one),
        change(theirs, 1, &one),
        change(ids[2], 1, &code),
        change(ids[5], 1, &one),
        change(ids[4], 1, &parent),
        // One that is stale and wrong is told that it is stale.
        change(new_id(), 1, &parent),
    ];
    let (outcomes, found) = update_many(&mut *transaction, &entity, &updates).await;
    assert_eq!(
        outcomes,
        [
            UpdateOutcome::Written,
            UpdateOutcome::Written,
            UpdateOutcome::VersionMismatch { actual: Version::FIRST },
            UpdateOutcome::NotFound,
            UpdateOutcome::Violates(taken("code")),
            UpdateOutcome::NotFound,
            UpdateOutcome::Violates(dangling("parent")),
            UpdateOutcome::NotFound,
        ]
    );
    let created = (stamp().at, stamp().by.to_owned());
    let updated = (time(60), "ben".to_owned());
    let record =
        |id, values| Found { id, version: 2, created: created.clone(), updated: updated.clone(), values };
    let expected = [
        record(ids[3], vec![text("d"), Value::Null, Value::Integer(1)]),
        record(ids[0], vec![text("new"), Value::Uuid(ids[0].0), Value::Integer(2)]),
    ];
    assert_eq!(found, expected, "what the sink was given, in the order of the updates");
    transaction.commit(None).await.unwrap();
    for record in expected {
        assert_eq!(seen(&storage, ALPHA, &entity, record.id).await, Some(record));
    }
    for id in [ids[1], ids[2], ids[4]] {
        assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().version, 1);
    }
    assert_eq!(seen(&storage, BETA, &entity, theirs).await.unwrap().version, 1);
}

pub async fn many_updates_of_changing_fields_come_in_their_order(storage: Arc<dyn Storage>) {
    let fields: Vec<_> = (0..4).map(|n| optional(&format!("f{n}"), FieldType::Integer)).collect();
    let entity = declare(&storage, "suite.sample", fields).await;
    let ids = given(&storage, ALPHA, &entity, (0..200).map(|_| vec![Value::Null; 4])).await;
    // Backwards, so that neither the ids nor the fields are in the order of the updates.
    let fields: Vec<_> = (0..200_i64).map(|n| vec![((n % 4) as usize, Value::Integer(n))]).collect();
    let updates: Vec<_> = ids.iter().zip(&fields).rev().map(|(id, fields)| change(*id, 1, fields)).collect();
    let mut transaction = write(&storage, ALPHA).await;
    let (outcomes, found) = update_many(&mut *transaction, &entity, &updates).await;
    assert!(outcomes.iter().all(|outcome| *outcome == UpdateOutcome::Written));
    assert_eq!(
        found.iter().map(|found| found.id).collect::<Vec<_>>(),
        ids.iter().rev().copied().collect::<Vec<_>>()
    );
    for (n, found) in (0..200_i64).rev().zip(&found) {
        let mut expected = vec![Value::Null; 4];
        expected[(n % 4) as usize] = Value::Integer(n);
        assert_eq!((&found.values, found.version), (&expected, 2));
    }
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 200);
}

pub async fn many_of_nothing_is_nothing(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(insert_many(&mut *transaction, &entity, &[]).await.1, []);
    assert_eq!(update_many(&mut *transaction, &entity, &[]).await, (Vec::new(), Vec::new()));
    // An update of no field raises the version, here too.
    let id = insert(&mut *transaction, &entity, &[Value::Null]).await;
    let (_, found) = update_many(&mut *transaction, &entity, &[change(id, 1, &[])]).await;
    assert_eq!(found[0].version, 2);
}

pub async fn misuse_of_many_is_refused(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let id = given(&storage, ALPHA, &entity, [vec![Value::Null]]).await[0];
    let values = [Value::Null];
    let too_many = [Value::Null, Value::Null];
    let new = new_id();
    for records in [
        vec![NewRecord { id: new, values: &values }, NewRecord { id: new, values: &values }],
        vec![NewRecord { id: new, values: &too_many }],
        vec![NewRecord { id, values: &values }],
    ] {
        let mut transaction = write(&storage, ALPHA).await;
        let error = transaction.insert_many(&entity, &records, stamp()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bug, "{records:?}");
    }
    let one = [(0, Value::Integer(1))];
    let unknown = [(1, Value::Null)];
    let twice = [(0, Value::Null), (0, Value::Null)];
    for updates in [
        vec![change(id, 1, &one), change(id, 1, &one)],
        vec![change(id, 1, &one), change(id, 2, &one)],
        vec![change(id, 1, &unknown)],
        vec![change(id, 1, &twice)],
        vec![RecordUpdate { id, expected: Version::FIRST, change: Change::Document(&[]) }],
    ] {
        let mut transaction = write(&storage, ALPHA).await;
        let mut sink = Collect::of(&entity, &[]);
        let error = transaction.update_many(&entity, &updates, stamp(), &mut sink).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Bug, "{updates:?}");
    }
    let mut reading = read(&storage, ALPHA).await;
    let record = NewRecord { id: new_id(), values: &values };
    let error = reading.insert_many(&entity, &[record], stamp()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Bug);
    let mut sink = Collect::of(&entity, &[]);
    let error = reading.update_many(&entity, &[change(id, 1, &one)], stamp(), &mut sink).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Bug);
    drop(reading);
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn many_take_no_longer_than_there_is_time(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let values = [Value::Integer(1)];
    let records: Vec<_> = (0..20_000).map(|_| NewRecord { id: new_id(), values: &values }).collect();
    let soon = std::time::Instant::now() + std::time::Duration::from_millis(5);
    let options =
        erp_plugin_storage::TransactionOptions { deadline: soon, ..options(erp_plugin_storage::Mode::Write) };
    let refused = async {
        let mut transaction = storage.begin(&scope(ALPHA), options).await?;
        transaction.insert_many(&entity, &records, stamp()).await?;
        transaction.commit(None).await
    };
    assert_eq!(refused.await.unwrap_err().kind, ErrorKind::DeadlineExceeded);
    assert_eq!(count(&storage, ALPHA, &entity).await, 0);
}
