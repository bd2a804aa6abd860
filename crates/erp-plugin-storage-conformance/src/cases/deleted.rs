//! What becomes of deleted records: they live again, or go for good.

use std::sync::Arc;

use erp_plugin_model::filter::Filter;
use erp_plugin_model::{EntityRef, EntitySchema, FieldType, RecordId, Value};
use erp_plugin_storage::{
    Change, DeleteOutcome, Entity, ErrorKind, RestoreOutcome, Stamp, Storage, Transaction, UpdateOutcome,
    Violation,
};

use crate::fixture::{
    ALPHA, BETA, Collect, Found, count, declare, equals, field_name, get, given, insert, json, matching,
    new_id, optional, read, reference, seen, stamp, text, time, unique, update, write,
};

async fn coded(storage: &Arc<dyn Storage>) -> Entity {
    let fields = vec![unique("code", FieldType::String), optional("n", FieldType::Integer)];
    declare(storage, "suite.coded", fields).await
}

async fn delete_at(transaction: &mut dyn Transaction, entity: &Entity, id: RecordId, seconds: i64) {
    let stamp = Stamp { at: time(seconds), by: "anna" };
    let outcome = transaction.delete(entity, id, stamp).await.unwrap();
    assert!(matches!(outcome, DeleteOutcome::Deleted(_)), "{outcome:?}");
}

async fn restore(
    transaction: &mut dyn Transaction,
    entity: &Entity,
    id: RecordId,
) -> (RestoreOutcome, Option<Found>) {
    let mut sink = Collect::of(entity, &[]);
    let by_ben = Stamp { at: time(60), by: "ben" };
    let outcome = transaction.restore(entity, id, by_ben, &mut sink).await.unwrap();
    assert_eq!(usize::from(outcome == RestoreOutcome::Restored), sink.found.len());
    (outcome, sink.found.pop())
}

pub async fn a_restored_record_lives_with_the_next_version_and_its_stamp(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let row = vec![text("a"), Value::Integer(1)];
    let ids = given(&storage, ALPHA, &entity, [row.clone(), vec![text("b"), Value::Null]]).await;
    let mut transaction = write(&storage, ALPHA).await;
    for id in &ids {
        delete_at(&mut *transaction, &entity, *id, 5).await;
    }
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    let (outcome, found) = restore(&mut *transaction, &entity, ids[0]).await;
    assert_eq!(outcome, RestoreOutcome::Restored);
    transaction.commit(None).await.unwrap();
    let created = (stamp().at, stamp().by.to_owned());
    let expected =
        Found { id: ids[0], version: 2, created, updated: (time(60), "ben".to_owned()), values: row };
    assert_eq!(found.as_ref(), Some(&expected), "what the sink was given");
    assert_eq!(seen(&storage, ALPHA, &entity, ids[0]).await, Some(expected), "what was kept");
    assert_eq!(seen(&storage, ALPHA, &entity, ids[1]).await, None);
    // It is found, updated, deleted and restored as any other.
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(matching(&mut *transaction, &entity, &equals(0, text("a"))).await, [ids[0]]);
    let (outcome, _) = update(&mut *transaction, &entity, ids[0], 2, Change::Fields(&[])).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    delete_at(&mut *transaction, &entity, ids[0], 6).await;
    assert_eq!(restore(&mut *transaction, &entity, ids[0]).await.1.unwrap().version, 4);
}

pub async fn only_a_deleted_record_of_this_tenant_can_be_restored(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let row = || vec![text("a"), Value::Null];
    let mine = given(&storage, ALPHA, &entity, [row()]).await[0];
    let theirs = given(&storage, BETA, &entity, [row()]).await[0];
    let mut transaction = write(&storage, BETA).await;
    delete_at(&mut *transaction, &entity, theirs, 5).await;
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    for id in [mine, theirs, new_id()] {
        assert_eq!(restore(&mut *transaction, &entity, id).await.0, RestoreOutcome::NotFound);
    }
    assert_eq!(get(&mut *transaction, &entity, mine).await.unwrap().version, 1);
    let note = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    assert_eq!(restore(&mut *transaction, &note, new_id()).await.0, RestoreOutcome::NotFound);
    transaction.create_dynamic(&note).await.unwrap();
    let document = insert(&mut *transaction, &note, &[json(r#"{"a":1}"#)]).await;
    delete_at(&mut *transaction, &note, document, 5).await;
    assert_eq!(restore(&mut *transaction, &note, document).await.0, RestoreOutcome::Restored);
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, BETA, &entity).await, 0);
    let mut reading = read(&storage, BETA).await;
    let mut sink = Collect::of(&entity, &[]);
    let refused = reading.restore(&entity, theirs, stamp(), &mut sink).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Bug);
}

pub async fn a_record_whose_unique_value_is_taken_is_not_restored(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let row = || vec![text("a"), Value::Null];
    let id = given(&storage, ALPHA, &entity, [row()]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    delete_at(&mut *transaction, &entity, id, 5).await;
    let taker = insert(&mut *transaction, &entity, &row()).await;
    let taken = RestoreOutcome::Violates(Violation::Unique(field_name("code")));
    assert_eq!(restore(&mut *transaction, &entity, id).await.0, taken);
    // The transaction is intact, and the record as it was.
    delete_at(&mut *transaction, &entity, taker, 5).await;
    assert_eq!(restore(&mut *transaction, &entity, id).await.1.unwrap().version, 2);
    assert_eq!(restore(&mut *transaction, &entity, taker).await.0, taken);
}

pub async fn a_record_whose_reference_is_gone_is_not_restored(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.node", vec![optional("parent", reference("suite.node"))]).await;
    let root = given(&storage, ALPHA, &entity, [vec![Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let child = insert(&mut *transaction, &entity, &[Value::Uuid(root.0)]).await;
    for id in [child, root] {
        delete_at(&mut *transaction, &entity, id, 5).await;
    }
    let gone = RestoreOutcome::Violates(Violation::Reference(field_name("parent")));
    assert_eq!(restore(&mut *transaction, &entity, child).await.0, gone);
    assert_eq!(restore(&mut *transaction, &entity, root).await.0, RestoreOutcome::Restored);
    assert_eq!(restore(&mut *transaction, &entity, child).await.0, RestoreOutcome::Restored);
    // Purged is gone, too.
    for id in [child, root] {
        delete_at(&mut *transaction, &entity, id, i64::from(id == child)).await;
    }
    assert_eq!(transaction.purge(&entity, time(1), 10).await.unwrap(), 1);
    assert_eq!(restore(&mut *transaction, &entity, child).await.0, gone);
}

pub async fn a_record_that_refers_to_itself_is_restored(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.node", vec![optional("parent", reference("suite.node"))]).await;
    let id = given(&storage, ALPHA, &entity, [vec![Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let itself = [(0, Value::Uuid(id.0))];
    update(&mut *transaction, &entity, id, 1, Change::Fields(&itself)).await;
    delete_at(&mut *transaction, &entity, id, 5).await;
    assert_eq!(restore(&mut *transaction, &entity, id).await.1.unwrap().values, [Value::Uuid(id.0)]);
}

pub async fn a_purge_removes_what_was_deleted_before_its_moment(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let rows = (0..6).map(|n| vec![Value::Null, Value::Integer(n)]);
    let ids = given(&storage, ALPHA, &entity, rows.clone()).await;
    let theirs = given(&storage, BETA, &entity, rows).await;
    for (tenant, ids) in [(ALPHA, &ids), (BETA, &theirs)] {
        let mut transaction = write(&storage, tenant).await;
        for (id, seconds) in ids.iter().zip([10, 20, 30, 40]) {
            delete_at(&mut *transaction, &entity, *id, seconds).await;
        }
        transaction.commit(None).await.unwrap();
    }
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(transaction.purge(&entity, time(10), 100).await.unwrap(), 0, "before, not at");
    assert_eq!(transaction.purge(&entity, time(30), 100).await.unwrap(), 2);
    for (id, restored) in ids.iter().zip([false, false, true, true, false, false]) {
        let (outcome, _) = restore(&mut *transaction, &entity, *id).await;
        assert_eq!(outcome == RestoreOutcome::Restored, restored, "{outcome:?}");
    }
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 4);
    // Another tenant's are where they were.
    let mut transaction = write(&storage, BETA).await;
    for id in &theirs[..4] {
        assert_eq!(restore(&mut *transaction, &entity, *id).await.0, RestoreOutcome::Restored);
    }
    drop(transaction);
    let mut reading = read(&storage, ALPHA).await;
    assert_eq!(reading.purge(&entity, time(99), 1).await.unwrap_err().kind, ErrorKind::Bug);
}

pub async fn a_purge_removes_at_most_its_limit_the_first_deleted_first(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let ids = given(&storage, ALPHA, &entity, (0..5).map(|n| vec![Value::Null, Value::Integer(n)])).await;
    let mut transaction = write(&storage, ALPHA).await;
    for (id, seconds) in ids.iter().zip([30, 10, 50, 20, 40]) {
        delete_at(&mut *transaction, &entity, *id, seconds).await;
    }
    assert_eq!(transaction.purge(&entity, time(99), 0).await.unwrap(), 0);
    assert_eq!(transaction.purge(&entity, time(99), 2).await.unwrap(), 2);
    for (id, restored) in ids.iter().zip([true, false, true, false, true]) {
        let (outcome, _) = restore(&mut *transaction, &entity, *id).await;
        assert_eq!(outcome == RestoreOutcome::Restored, restored, "{outcome:?}");
    }
    transaction.rollback(None).await.unwrap();
    // In more than one go, where a backend has one; and of an entity that is not there.
    let mut transaction = write(&storage, ALPHA).await;
    for n in 0..1200 {
        let id = insert(&mut *transaction, &entity, &[Value::Null, Value::Integer(n)]).await;
        delete_at(&mut *transaction, &entity, id, 1).await;
    }
    assert_eq!(transaction.purge(&entity, time(99), 1100).await.unwrap(), 1100);
    assert_eq!(transaction.purge(&entity, time(99), 1100).await.unwrap(), 100);
    let note = Entity::new(EntitySchema::dynamic(EntityRef::parse("suite.note").unwrap()));
    assert_eq!(transaction.purge(&note, time(99), 10).await.unwrap(), 0);
    assert_eq!(matching(&mut *transaction, &entity, &Filter::everything()).await, ids);
}

pub async fn a_purged_id_can_be_had_again(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a"), Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    delete_at(&mut *transaction, &entity, id, 1).await;
    assert_eq!(transaction.purge(&entity, time(2), 1).await.unwrap(), 1);
    let values = [text("b"), Value::Null];
    let again = erp_plugin_storage::NewRecord { id, values: &values };
    let outcome = transaction.insert(&entity, again, stamp()).await.unwrap();
    assert_eq!(outcome, erp_plugin_storage::InsertOutcome::Inserted);
    transaction.commit(None).await.unwrap();
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().version, 1);
}
