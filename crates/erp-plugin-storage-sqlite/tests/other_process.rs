//! A second process on the same file: a bounded wait, and nothing lost. A connection of its own stands for it: SQLite
//! locks between connections, wherever they live.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::sync::Arc;
use std::time::Instant;

use erp_plugin_model::event::Publisher;
use erp_plugin_storage::{ErrorKind, EventFilter, Mode, PlatformScope, Storage};
use support::{Database, insert, note, notes, now, options, patient_for, refused, scope};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_another_process_until_its_deadline() {
    let database = Database::new(|options| options).await;
    let other = database.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let patience = patient_for(30);
    let error = refused(database.storage.begin(&scope("a"), patience).await);
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.is_transient());
    // It gave up no later than it was told to, but for the machine's own delays.
    assert!(Instant::now() < patience.deadline + std::time::Duration::from_secs(5));
    // Reads do not wait at all.
    assert!(database.notes("a").await.is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "after").await.unwrap();
    turn.commit(None).await.unwrap();
    assert_eq!(database.notes("a").await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_on_when_the_other_process_is_done() {
    let database = Database::new(|options| options).await;
    let other = database.other();
    other.execute_batch("BEGIN IMMEDIATE; CREATE TABLE theirs (x)").unwrap();
    let (a, b) = (scope("a"), scope("b"));
    let mut first = database.storage.begin(&a, options(Mode::Write));
    assert!(now(&mut first).await.is_none());
    let mut second = database.storage.begin(&b, options(Mode::Write));
    assert!(now(&mut second).await.is_none());
    other.execute_batch("COMMIT").unwrap();
    let mut turn = first.await.unwrap();
    database.insert(&mut *turn, "first").await.unwrap();
    let mut committed = turn.commit(None);
    let early = now(&mut committed).await;
    let mut turn = second.await.unwrap();
    assert_eq!(turn.event_count().await.unwrap(), 0);
    turn.commit(None).await.unwrap();
    match early {
        Some(ended) => ended.unwrap(),
        None => committed.await.unwrap(),
    }
    assert_eq!(database.notes("a").await, ["first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_other_process_and_goes_away_hands_the_writer_on() {
    let database = Database::new(|options| options).await;
    let other = database.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let a = scope("a");
    let mut gone = database.storage.begin(&a, options(Mode::Write));
    assert!(now(&mut gone).await.is_none());
    drop(gone);
    other.execute_batch("ROLLBACK").unwrap();
    database.write("a").await.commit(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_storages_on_one_file_lose_nothing() {
    let database = Arc::new(Database::new(|options| options).await);
    let again = Arc::new(database.open_again());
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let (database, again) = (database.clone(), again.clone());
            tokio::spawn(async move {
                let entity = note();
                let storage = if number % 2 == 0 { &database.storage } else { again.as_ref() };
                for round in 0..25 {
                    let mut turn = storage.begin(&scope("a"), options(Mode::Write)).await.unwrap();
                    insert(&mut *turn, &entity, &format!("{number} {round}")).await.unwrap();
                    turn.commit(None).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for storage in [&database.storage, again.as_ref()] {
        assert_eq!(notes(storage, &note(), "a").await.len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_another_process_makes_is_seen() {
    let database = Database::new(|options| options).await;
    let again = database.open_again();
    let other = support::note_called("other");
    // Statements on the schema as it was are compiled here already.
    assert!(database.notes("a").await.is_empty());
    let mut platform = support::platform(&again).await;
    assert!(platform.create_entity(other.schema()).await.unwrap());
    platform.commit().await.unwrap();
    let mut turn = database.write("a").await;
    insert(&mut *turn, &other, "there").await.unwrap();
    turn.commit(None).await.unwrap();
    assert_eq!(notes(&again, &other, "a").await, ["there"]);
    assert_eq!(notes(&database.storage, &other, "a").await, ["there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_code_may_publish_in_a_transaction_of_its_own() {
    let database = Database::new(|options| options).await;
    let other = database.other();
    let insert = |event_type: &str| {
        let sql = "INSERT INTO outbox (tenant_id, event_type, key, payload) VALUES ('a', ?1, 'a', '{}')";
        other.execute(sql, [event_type])
    };
    insert("order.created").unwrap();
    let long = format!("order.{}", "x".repeat(123));
    for wrong in
        ["order", "Order.created", ".order.created", "order..created", "a.b.c.d.e.f.g.h.i", "o.c ", &long]
    {
        assert!(insert(wrong).is_err(), "{wrong}");
    }
    let scope = PlatformScope::granted_by_host();
    let mut platform = database.storage.begin_platform(scope, options(Mode::Write)).await.unwrap();
    assert_eq!(platform.dispatch(10).await.unwrap().events, 1);
    let events = platform.events(&EventFilter::default(), false, 10).await.unwrap();
    assert_eq!(
        (events[0].tenant.as_str(), events[0].event.event_type.as_str(), &events[0].event.publisher),
        ("a", "order.created", &Publisher::Platform)
    );
}
