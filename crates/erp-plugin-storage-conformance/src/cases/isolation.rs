//! Transactions that run at the same time behave as if they ran one after another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::filter::Filter;
use erp_plugin_model::{FieldType, Value};
use erp_plugin_storage::{
    Change, Entity, ErrorKind, Mode, NewRecord, Storage, StorageResult, TransactionOptions, UpdateOutcome,
};

use crate::fixture::{
    ALPHA, BETA, Collect, begin, count, declare, equals, given, insert, matching, new_id, optional, options,
    page, read, required, retried, scope, seen, stamp, text, try_update, write,
};

/// What another transaction sees now; `None` on a backend where it would have to wait.
async fn glimpse(storage: &Arc<dyn Storage>, entity: &Entity) -> Option<usize> {
    let soon =
        TransactionOptions { deadline: Instant::now() + Duration::from_millis(20), ..options(Mode::Read) };
    match storage.begin(&scope(ALPHA), soon).await {
        Ok(mut transaction) => Some(matching(&mut *transaction, entity, &Filter::everything()).await.len()),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::DeadlineExceeded | ErrorKind::Busy), "{error:?}");
            None
        }
    }
}

pub async fn nobody_sees_what_is_not_committed(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    let mut transaction = write(&storage, ALPHA).await;
    insert(&mut *transaction, &entity, &[Value::Integer(1)]).await;
    assert!(matches!(glimpse(&storage, &entity).await, None | Some(0)));
    transaction.commit(None).await.unwrap();
    assert_eq!(glimpse(&storage, &entity).await, Some(1));
}

pub async fn a_read_transaction_sees_one_moment(storage: Arc<dyn Storage>) {
    let entity = declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await;
    given(&storage, ALPHA, &entity, [vec![Value::Integer(1)]]).await;
    let mut reader = read(&storage, ALPHA).await;
    assert_eq!(matching(&mut *reader, &entity, &Filter::everything()).await.len(), 1);
    let soon =
        TransactionOptions { deadline: Instant::now() + Duration::from_millis(50), ..options(Mode::Write) };
    let written: StorageResult<()> = async {
        let mut writer = storage.begin(&scope(ALPHA), soon).await?;
        insert(&mut *writer, &entity, &[Value::Integer(2)]).await;
        writer.commit(None).await
    }
    .await;
    assert_eq!(matching(&mut *reader, &entity, &Filter::everything()).await.len(), 1);
    drop(reader);
    assert_eq!(count(&storage, ALPHA, &entity).await, 1 + usize::from(written.is_ok()));
}

pub async fn query_then_insert_if_none_leaves_one(storage: Arc<dyn Storage>) {
    // Without a unique field: only the isolation of the transactions prevents a second one.
    let entity = Arc::new(declare(&storage, "suite.sample", vec![required("code", FieldType::String)]).await);
    let writers = [(); 6].map(|()| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move {
            retried(|| async {
                let mut transaction = begin(&storage, ALPHA).await?;
                let mut sink = Collect::of(&entity, &[]);
                transaction.query(&entity, &equals(0, text("a")), &page(1), &mut sink).await?;
                if sink.found.is_empty() {
                    tokio::task::yield_now().await;
                    let values = [text("a")];
                    let record = NewRecord { id: new_id(), values: &values };
                    transaction.insert(&entity, record, stamp()).await?;
                }
                transaction.commit(None).await
            })
            .await;
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
}

pub async fn what_one_reads_the_other_does_not_change_meanwhile(storage: Arc<dyn Storage>) {
    // Two accounts of which one must stay above zero: each writer checks both and lowers another one.
    let entity = Arc::new(declare(&storage, "suite.account", vec![required("n", FieldType::Integer)]).await);
    let ids = given(&storage, ALPHA, &entity, [vec![Value::Integer(1)], vec![Value::Integer(1)]]).await;
    let writers = [ids[0], ids[1]].map(|lowered| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move {
            retried(|| async {
                let mut transaction = begin(&storage, ALPHA).await?;
                let mut sink = Collect::of(&entity, &[]);
                transaction.query(&entity, &equals(0, Value::Integer(1)), &page(10), &mut sink).await?;
                if sink.found.len() == 2 {
                    tokio::task::yield_now().await;
                    let change = [(0, Value::Integer(0))];
                    try_update(&mut *transaction, &entity, lowered, 1, Change::Fields(&change)).await?;
                }
                transaction.commit(None).await
            })
            .await;
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let left = equals(0, Value::Integer(1));
    assert_eq!(matching(&mut *read(&storage, ALPHA).await, &entity, &left).await.len(), 1);
}

pub async fn writers_of_many_tenants_get_through(storage: Arc<dyn Storage>) {
    let entity = Arc::new(declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await);
    let tenants = ["a", "b", "c", "d", "e"];
    let writers = tenants.iter().flat_map(|tenant| (0..4).map(move |n| (*tenant, n))).map(|(tenant, n)| {
        let (storage, entity) = (storage.clone(), entity.clone());
        tokio::spawn(async move {
            for round in 0..5 {
                retried(|| async {
                    let mut transaction = begin(&storage, tenant).await?;
                    let values = [Value::Integer(n * 10 + round)];
                    let record = NewRecord { id: new_id(), values: &values };
                    transaction.insert(&entity, record, stamp()).await?;
                    // Every third one changes its mind.
                    if (n + round) % 3 == 0 {
                        transaction.rollback(None).await
                    } else {
                        transaction.commit(None).await
                    }
                })
                .await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let expected = (0..4).flat_map(|n| (0..5).map(move |round| n + round)).filter(|sum| sum % 3 != 0).count();
    for tenant in tenants {
        assert_eq!(count(&storage, tenant, &entity).await, expected, "{tenant}");
    }
}

pub async fn a_failed_writer_takes_nobody_with_it(storage: Arc<dyn Storage>) {
    let entity = Arc::new(declare(&storage, "suite.sample", vec![optional("n", FieldType::Integer)]).await);
    let id = given(&storage, ALPHA, &entity, [vec![Value::Integer(0)]]).await[0];
    let good: Vec<_> = (0..8)
        .map(|n| {
            let (storage, entity) = (storage.clone(), entity.clone());
            tokio::spawn(async move { given(&storage, BETA, &entity, [vec![Value::Integer(n)]]).await })
        })
        .collect();
    let bad: Vec<_> = (0..8)
        .map(|n| {
            let (storage, entity) = (storage.clone(), entity.clone());
            tokio::spawn(async move {
                let mut transaction = write(&storage, ALPHA).await;
                let change = [(0, Value::Integer(n))];
                let changed = try_update(&mut *transaction, &entity, id, 1, Change::Fields(&change)).await;
                assert!(changed.is_err() || changed.unwrap().0 == UpdateOutcome::Written);
                insert(&mut *transaction, &entity, &[Value::Integer(n)]).await;
                if n % 2 == 0 {
                    drop(transaction);
                } else {
                    panic!("a handler that panics");
                }
            })
        })
        .collect();
    for task in good {
        task.await.unwrap();
    }
    for task in bad {
        let _ = task.await;
    }
    assert_eq!(count(&storage, BETA, &entity).await, 8);
    assert_eq!(count(&storage, ALPHA, &entity).await, 1);
    assert_eq!(seen(&storage, ALPHA, &entity, id).await.unwrap().values, [Value::Integer(0)]);
}
