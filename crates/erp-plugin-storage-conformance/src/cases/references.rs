//! References name live records of the same tenant.

use std::sync::Arc;

use erp_plugin_model::{FieldType, RecordId, Value};
use erp_plugin_storage::{
    Change, Entity, InsertOutcome, NewRecord, Storage, Transaction, UpdateOutcome, Violation,
};

use crate::fixture::{
    ALPHA, BETA, count, declare, field_name, given, insert, new_id, new_uuid, optional, reference, seen,
    stamp, update, write,
};

async fn item_and_line(storage: &Arc<dyn Storage>) -> (Entity, Entity) {
    let item = declare(storage, "suite.item", vec![optional("n", FieldType::Integer)]).await;
    let fields = vec![optional("n", FieldType::Integer), optional("item", reference("suite.item"))];
    (item, declare(storage, "suite.line", fields).await)
}

async fn refer(transaction: &mut dyn Transaction, line: &Entity, to: RecordId) -> InsertOutcome {
    let values = [Value::Integer(1), Value::Uuid(to.0)];
    transaction.insert(line, NewRecord { id: new_id(), values: &values }, stamp()).await.unwrap()
}

fn dangling() -> InsertOutcome {
    InsertOutcome::Violates(Violation::Reference(field_name("item")))
}

pub async fn a_reference_to_a_live_record_is_kept(storage: Arc<dyn Storage>) {
    let (item, line) = item_and_line(&storage).await;
    let target = given(&storage, ALPHA, &item, [vec![Value::Null]]).await[0];
    let row = vec![Value::Null, Value::Uuid(target.0)];
    let id = given(&storage, ALPHA, &line, [row.clone()]).await[0];
    assert_eq!(seen(&storage, ALPHA, &line, id).await.unwrap().values, row);
}

pub async fn a_reference_to_nothing_is_refused_and_nothing_is_written(storage: Arc<dyn Storage>) {
    let (item, line) = item_and_line(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(refer(&mut *transaction, &line, new_id()).await, dangling());
    // The transaction is intact, and sees what it wrote itself.
    let target = insert(&mut *transaction, &item, &[Value::Null]).await;
    assert_eq!(refer(&mut *transaction, &line, target).await, InsertOutcome::Inserted);
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &line).await, 1);
}

pub async fn another_tenants_record_is_refused_like_one_that_never_was(storage: Arc<dyn Storage>) {
    let (item, line) = item_and_line(&storage).await;
    let theirs = given(&storage, BETA, &item, [vec![Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(refer(&mut *transaction, &line, theirs).await, dangling());
}

pub async fn a_deleted_record_is_refused(storage: Arc<dyn Storage>) {
    let (item, line) = item_and_line(&storage).await;
    let target = given(&storage, ALPHA, &item, [vec![Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&item, target, stamp()).await.unwrap();
    assert_eq!(refer(&mut *transaction, &line, target).await, dangling());
}

pub async fn a_record_of_another_entity_is_refused(storage: Arc<dyn Storage>) {
    let (_, line) = item_and_line(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let other = insert(&mut *transaction, &line, &[Value::Null, Value::Null]).await;
    assert_eq!(refer(&mut *transaction, &line, other).await, dangling());
}

pub async fn an_update_is_checked_like_an_insert(storage: Arc<dyn Storage>) {
    let (item, line) = item_and_line(&storage).await;
    let target = given(&storage, ALPHA, &item, [vec![Value::Null]]).await[0];
    let id = given(&storage, ALPHA, &line, [vec![Value::Null, Value::Uuid(target.0)]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let wrong = [(0, Value::Integer(7)), (1, Value::Uuid(new_uuid()))];
    let (outcome, _) = update(&mut *transaction, &line, id, 1, Change::Fields(&wrong)).await;
    assert_eq!(outcome, UpdateOutcome::Violates(Violation::Reference(field_name("item"))));
    // One that is not touched is not asked again, though what it names is gone.
    transaction.delete(&item, target, stamp()).await.unwrap();
    let other = [(0, Value::Integer(7))];
    let (outcome, _) = update(&mut *transaction, &line, id, 1, Change::Fields(&other)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
    let cleared = [(1, Value::Null)];
    let (outcome, _) = update(&mut *transaction, &line, id, 2, Change::Fields(&cleared)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
}

pub async fn an_entity_may_refer_to_itself(storage: Arc<dyn Storage>) {
    let tree = declare(&storage, "suite.node", vec![optional("item", reference("suite.node"))]).await;
    let root = given(&storage, ALPHA, &tree, [vec![Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &tree, &[Value::Uuid(root.0)]).await;
    let change = [(0, Value::Uuid(root.0))];
    assert_eq!(
        update(&mut *transaction, &tree, root, 1, Change::Fields(&change)).await.0,
        UpdateOutcome::Written
    );
    // A record that is not there yet cannot name itself.
    let id = new_id();
    let values = [Value::Uuid(id.0)];
    let outcome = transaction.insert(&tree, NewRecord { id, values: &values }, stamp()).await.unwrap();
    assert_eq!(outcome, dangling());
}

pub async fn an_entity_that_is_not_installed_has_no_records(storage: Arc<dyn Storage>) {
    let fields = vec![optional("n", FieldType::Integer), optional("item", reference("absent.item"))];
    let line = declare(&storage, "suite.line", fields).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(refer(&mut *transaction, &line, new_id()).await, dangling());
    let id = insert(&mut *transaction, &line, &[Value::Null, Value::Null]).await;
    let change = [(1, Value::Uuid(new_uuid()))];
    let (outcome, _) = update(&mut *transaction, &line, id, 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Violates(Violation::Reference(field_name("item"))));
}
