//! Unique fields: per tenant, among live records.

use std::sync::Arc;

use erp_plugin_model::{FieldType, Value};
use erp_plugin_storage::{
    Change, Entity, InsertOutcome, NewRecord, Storage, Transaction, UpdateOutcome, Violation,
};

use crate::fixture::{
    ALPHA, BETA, begin, count, declare, field_name, given, insert, money, new_id, new_uuid, optional,
    reference, retried, stamp, text, time, unique, update, write,
};

async fn coded(storage: &Arc<dyn Storage>) -> Entity {
    declare(
        storage,
        "suite.coded",
        vec![unique("code", FieldType::String), optional("n", FieldType::Integer)],
    )
    .await
}

async fn try_insert(transaction: &mut dyn Transaction, entity: &Entity, values: &[Value]) -> InsertOutcome {
    transaction.insert(entity, NewRecord { id: new_id(), values }, stamp()).await.unwrap()
}

fn taken(field: &str) -> InsertOutcome {
    InsertOutcome::Violates(Violation::Unique(field_name(field)))
}

pub async fn a_value_that_is_taken_is_refused_and_nothing_is_written(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    given(&storage, ALPHA, &entity, [vec![text("a"), Value::Null]]).await;
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(try_insert(&mut *transaction, &entity, &[text("a"), Value::Integer(1)]).await, taken("code"));
    // The transaction is intact.
    insert(&mut *transaction, &entity, &[text("b"), Value::Null]).await;
    assert_eq!(try_insert(&mut *transaction, &entity, &[text("b"), Value::Null]).await, taken("code"));
    transaction.commit(None).await.unwrap();
    assert_eq!(count(&storage, ALPHA, &entity).await, 2);
}

pub async fn the_same_value_is_free_in_another_tenant(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    for tenant in [ALPHA, BETA] {
        given(&storage, tenant, &entity, [vec![text("a"), Value::Null]]).await;
        assert_eq!(count(&storage, tenant, &entity).await, 1);
    }
}

pub async fn absent_values_never_clash_and_empty_ones_do(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    for _ in 0..3 {
        insert(&mut *transaction, &entity, &[Value::Null, Value::Null]).await;
    }
    insert(&mut *transaction, &entity, &[text(""), Value::Null]).await;
    assert_eq!(try_insert(&mut *transaction, &entity, &[text(""), Value::Null]).await, taken("code"));
}

pub async fn values_that_differ_only_in_case_accent_or_space_do_not_clash(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let codes = ["abc", "ABC", "äbc", "a\u{308}bc", "abc ", " abc", "abc\u{200B}"];
    given(&storage, ALPHA, &entity, codes.map(|code| vec![text(code), Value::Null])).await;
}

pub async fn deleting_a_record_frees_its_value(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a"), Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    transaction.delete(&entity, id, stamp()).await.unwrap();
    let again = insert(&mut *transaction, &entity, &[text("a"), Value::Null]).await;
    // And once more, so that two deleted records have it.
    transaction.delete(&entity, again, stamp()).await.unwrap();
    insert(&mut *transaction, &entity, &[text("a"), Value::Null]).await;
    assert_eq!(try_insert(&mut *transaction, &entity, &[text("a"), Value::Null]).await, taken("code"));
}

pub async fn changing_a_record_frees_its_old_value(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let id = given(&storage, ALPHA, &entity, [vec![text("a"), Value::Null]]).await[0];
    let mut transaction = write(&storage, ALPHA).await;
    let change = [(0, text("b"))];
    assert_eq!(
        update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await.0,
        UpdateOutcome::Written
    );
    insert(&mut *transaction, &entity, &[text("a"), Value::Null]).await;
    assert_eq!(try_insert(&mut *transaction, &entity, &[text("b"), Value::Null]).await, taken("code"));
}

pub async fn an_update_to_a_value_that_is_taken_is_refused(storage: Arc<dyn Storage>) {
    let entity = coded(&storage).await;
    let rows = [vec![text("a"), Value::Null], vec![text("b"), Value::Null]];
    let ids = given(&storage, ALPHA, &entity, rows).await;
    let mut transaction = write(&storage, ALPHA).await;
    let change = [(0, text("a"))];
    let (outcome, _) = update(&mut *transaction, &entity, ids[1], 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Violates(Violation::Unique(field_name("code"))));
    // Its own value is not taken, and the transaction is intact.
    let (outcome, _) = update(&mut *transaction, &entity, ids[0], 1, Change::Fields(&change)).await;
    assert_eq!(outcome, UpdateOutcome::Written);
}

pub async fn of_several_unique_fields_the_one_that_clashes_is_named(storage: Arc<dyn Storage>) {
    let fields = vec![
        unique("text", FieldType::String),
        unique("integer", FieldType::Integer),
        unique("decimal", money()),
        unique("boolean", FieldType::Boolean),
        unique("date", FieldType::Date),
        unique("datetime", FieldType::DateTime),
        unique("uuid", FieldType::Uuid),
        unique("enum", FieldType::Enum { options: vec!["open".to_owned()] }),
        unique("reference", reference("suite.coded")),
    ];
    let entity = declare(&storage, "suite.coded", fields).await;
    let target = given(&storage, ALPHA, &entity, [vec![Value::Null; 9]]).await[0];
    let row = vec![
        text("a"),
        Value::Integer(1),
        Value::Decimal(1),
        Value::Boolean(true),
        Value::Date("2026-01-31".parse().unwrap()),
        Value::DateTime(time(0)),
        Value::Uuid(new_uuid()),
        text("open"),
        Value::Uuid(target.0),
    ];
    given(&storage, ALPHA, &entity, [row.clone()]).await;
    let mut transaction = write(&storage, ALPHA).await;
    for (position, field) in entity.schema().fields().iter().enumerate() {
        let mut clashing = vec![Value::Null; 9];
        clashing[position] = row[position].clone();
        assert_eq!(try_insert(&mut *transaction, &entity, &clashing).await, taken(field.name.as_str()));
    }
}

pub async fn of_concurrent_inserts_of_one_value_exactly_one_wins(storage: Arc<dyn Storage>) {
    let entity = Arc::new(coded(&storage).await);
    let writers = [(); 6].map(|()| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move {
            retried(|| async {
                let mut transaction = begin(&storage, ALPHA).await?;
                let values = [text("a"), Value::Null];
                let record = NewRecord { id: new_id(), values: &values };
                let outcome = transaction.insert(&entity, record, stamp()).await?;
                transaction.commit(None).await?;
                Ok(outcome == InsertOutcome::Inserted)
            })
            .await
        })
    });
    let mut inserted = 0;
    for writer in writers {
        inserted += usize::from(writer.await.unwrap());
    }
    assert_eq!(inserted, 1);
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}
