//! Series of numbers: each number once, and none left out.

use std::sync::Arc;

use erp_plugin_model::{EntityRef, Field, FieldType, SeriesPattern};
use erp_plugin_storage::{ErrorKind, Series, Storage, StorageResult, Transaction};

use crate::fixture::{ALPHA, begin, read, required, retried, write};

/// A field that is a series.
pub(crate) fn numbered() -> Field {
    let pattern = SeriesPattern::parse("INV-{yyyy}-{00000}").unwrap();
    Field { unique: true, ..required("number", FieldType::NumberSeries { pattern }) }
}

/// Takes numbers of a series of `suite.invoice`.
pub(crate) async fn try_take(
    transaction: &mut dyn Transaction,
    text: &str,
    count: u32,
) -> StorageResult<u64> {
    let entity = EntityRef::parse("suite.invoice").unwrap();
    transaction.take_numbers(Series { entity: &entity, field: &numbered(), text }, count).await
}

pub(crate) async fn take(transaction: &mut dyn Transaction, text: &str, count: u32) -> u64 {
    try_take(transaction, text, count).await.unwrap()
}

pub async fn numbers_follow_one_another_from_one(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "INV-2026-{}", 1).await, 1);
    assert_eq!(take(&mut *transaction, "INV-2026-{}", 1).await, 2);
    transaction.commit(None).await.unwrap();
    assert_eq!(take(&mut *write(&storage, ALPHA).await, "INV-2026-{}", 1).await, 3);
}

pub async fn several_are_taken_at_once(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "a{}", 1000).await, 1);
    assert_eq!(take(&mut *transaction, "a{}", 3).await, 1001);
    assert_eq!(take(&mut *transaction, "a{}", 1).await, 1004);
}

pub async fn a_rollback_leaves_no_gap(storage: Arc<dyn Storage>) {
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "a{}", 1).await, 1);
    transaction.commit(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "a{}", 5).await, 2);
    assert_eq!(take(&mut *transaction, "b{}", 5).await, 1);
    transaction.rollback(None).await.unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "a{}", 1).await, 2);
    assert_eq!(take(&mut *transaction, "b{}", 1).await, 1);
    drop(transaction);
    assert_eq!(take(&mut *write(&storage, ALPHA).await, "a{}", 1).await, 2);
}

pub async fn no_two_writers_get_one_number(storage: Arc<dyn Storage>) {
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                for round in 0..4 {
                    let first = retried(|| async {
                        let mut transaction = begin(&storage, ALPHA).await?;
                        let first = try_take(&mut *transaction, "a{}", 2).await?;
                        tokio::task::yield_now().await;
                        // Every third one changes its mind, which is nobody's loss.
                        if (writer + round) % 3 == 0 {
                            transaction.rollback(None).await.map(|()| None)
                        } else {
                            transaction.commit(None).await.map(|()| Some(first))
                        }
                    })
                    .await;
                    taken.extend(first.map(|first| [first, first + 1]).into_iter().flatten());
                }
                taken
            })
        })
        .collect();
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=32).collect::<Vec<u64>>());
}

pub async fn each_series_counts_for_itself(storage: Arc<dyn Storage>) {
    let (invoice, order) =
        (EntityRef::parse("suite.invoice").unwrap(), EntityRef::parse("suite.order").unwrap());
    let (number, other) = (numbered(), Field { name: "receipt".parse().unwrap(), ..numbered() });
    let mut transaction = write(&storage, ALPHA).await;
    // The last four are nearly the first.
    for (entity, field, text) in [
        (&invoice, &number, "INV-2026-{}"),
        (&invoice, &number, "INV-2027-{}"),
        (&invoice, &number, "inv-2026-{}"),
        (&invoice, &other, "INV-2026-{}"),
        (&order, &number, "INV-2026-{}"),
    ] {
        let series = Series { entity, field, text };
        assert_eq!(transaction.take_numbers(series, 7).await.unwrap(), 1, "{series:?}");
        assert_eq!(transaction.take_numbers(series, 1).await.unwrap(), 8, "{series:?}");
    }
}

pub async fn a_field_that_is_renamed_counts_on(storage: Arc<dyn Storage>) {
    let entity = EntityRef::parse("suite.invoice").unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    assert_eq!(take(&mut *transaction, "a{}", 1).await, 1);
    let renamed = Field { name: "receipt".parse().unwrap(), column: Some("number".into()), ..numbered() };
    let series = Series { entity: &entity, field: &renamed, text: "a{}" };
    assert_eq!(transaction.take_numbers(series, 1).await.unwrap(), 2);
}

pub async fn numbers_that_are_given_back_are_the_next_ones(storage: Arc<dyn Storage>) {
    let entity = EntityRef::parse("suite.invoice").unwrap();
    let mut transaction = write(&storage, ALPHA).await;
    for text in ["a{}", "b{}"] {
        assert_eq!(take(&mut *transaction, text, 5).await, 1);
    }
    let series = Series { entity: &entity, field: &numbered(), text: "a{}" };
    transaction.give_back_numbers(series, 2).await.unwrap();
    assert_eq!(take(&mut *transaction, "a{}", 1).await, 4);
    assert_eq!(take(&mut *transaction, "b{}", 1).await, 6);
    transaction.commit(None).await.unwrap();
    assert_eq!(take(&mut *write(&storage, ALPHA).await, "a{}", 1).await, 5);
}

pub async fn a_read_transaction_takes_no_number(storage: Arc<dyn Storage>) {
    let mut transaction = read(&storage, ALPHA).await;
    let refused = try_take(&mut *transaction, "a{}", 1).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Bug);
}
