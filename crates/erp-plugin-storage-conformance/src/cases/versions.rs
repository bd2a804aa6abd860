//! The version a writer read is the version it must still find.

use std::sync::Arc;

use erp_plugin_model::{FieldType, RecordId, Value, Version};
use erp_plugin_storage::{Change, Entity, Storage, UpdateOutcome};

use crate::fixture::{
    ALPHA, begin, declare, get, given, insert, optional, required, retried, seen, text, try_update, unique,
    update, write,
};

async fn counter(storage: &Arc<dyn Storage>) -> (Arc<Entity>, RecordId) {
    let entity = declare(storage, "suite.counter", vec![required("n", FieldType::Integer)]).await;
    let id = given(storage, ALPHA, &entity, [vec![Value::Integer(0)]]).await[0];
    (Arc::new(entity), id)
}

pub async fn an_update_with_a_stale_version_is_rejected_and_told_the_present_one(storage: Arc<dyn Storage>) {
    let (entity, id) = counter(&storage).await;
    let mut transaction = write(&storage, ALPHA).await;
    let one = [(0, Value::Integer(1))];
    assert_eq!(
        update(&mut *transaction, &entity, id, 1, Change::Fields(&one)).await.0,
        UpdateOutcome::Written
    );
    for stale in [1, 3, i64::MAX] {
        let two = [(0, Value::Integer(2))];
        let (outcome, _) = update(&mut *transaction, &entity, id, stale, Change::Fields(&two)).await;
        assert_eq!(outcome, UpdateOutcome::VersionMismatch { actual: Version::new(2).unwrap() });
    }
    transaction.commit(None).await.unwrap();
    let found = seen(&storage, ALPHA, &entity, id).await.unwrap();
    assert_eq!((found.version, found.values), (2, vec![Value::Integer(1)]));
}

pub async fn versions_rise_by_one(storage: Arc<dyn Storage>) {
    let (entity, id) = counter(&storage).await;
    for version in 1..10 {
        let mut transaction = write(&storage, ALPHA).await;
        let (_, found) = update(&mut *transaction, &entity, id, version, Change::Fields(&[])).await;
        assert_eq!(found.unwrap().version, version + 1);
        transaction.commit(None).await.unwrap();
    }
}

pub async fn a_refused_update_does_not_raise_the_version(storage: Arc<dyn Storage>) {
    let fields = vec![unique("code", FieldType::String), optional("n", FieldType::Integer)];
    let entity = declare(&storage, "suite.sample", fields).await;
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &entity, &[text("taken"), Value::Null]).await;
    let id = insert(&mut *transaction, &entity, &[text("mine"), Value::Null]).await;
    let change = [(0, text("taken")), (1, Value::Integer(1))];
    let (outcome, _) = update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
    assert!(matches!(outcome, UpdateOutcome::Violates(_)));
    let found = get(&mut *transaction, &entity, id).await.unwrap();
    assert_eq!((found.version, found.values), (1, vec![text("mine"), Value::Null]));
}

pub async fn of_writers_with_one_version_exactly_one_wins(storage: Arc<dyn Storage>) {
    let (entity, id) = counter(&storage).await;
    let writers = [1, 2, 3, 4].map(|number| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move { set(&storage, &entity, id, 1, number).await })
    });
    let mut won = 0;
    for writer in writers {
        won += usize::from(writer.await.unwrap());
    }
    assert_eq!(won, 1);
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().version, 2);
}

pub async fn no_update_is_lost_among_many_writers(storage: Arc<dyn Storage>) {
    let (entity, id) = counter(&storage).await;
    let writers = [(); 8].map(|()| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                increment(&storage, &entity, id).await;
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let found = seen(&storage, ALPHA, &entity, id).await.unwrap();
    assert_eq!((found.version, found.values), (81, vec![Value::Integer(80)]));
}

/// Reads in one transaction and writes in another, as a person at a form does, until nobody was in between.
async fn increment(storage: &Arc<dyn Storage>, entity: &Entity, id: RecordId) {
    loop {
        let found = seen(storage, ALPHA, entity, id).await.unwrap();
        let Value::Integer(number) = found.values[0] else { panic!("no number") };
        if set(storage, entity, id, found.version, number + 1).await {
            return;
        }
    }
}

/// Sets the counter if it still has this version.
async fn set(storage: &Arc<dyn Storage>, entity: &Entity, id: RecordId, version: i64, number: i64) -> bool {
    retried(|| async {
        let mut transaction = begin(storage, ALPHA).await?;
        let change = [(0, Value::Integer(number))];
        let (outcome, _) =
            try_update(&mut *transaction, entity, id, version, Change::Fields(&change)).await?;
        transaction.commit(None).await?;
        Ok(outcome == UpdateOutcome::Written)
    })
    .await
}
