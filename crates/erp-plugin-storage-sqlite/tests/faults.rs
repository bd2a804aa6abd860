//! A full database, a statement that takes too long: a typed error, nobody told that a lost write is lasting, and
//! everything works again afterwards.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::pin::Pin;
use std::time::{Duration, Instant};

use erp_plugin_model::ErrorCode;
use erp_plugin_model::filter::{Column, Filter};
use erp_plugin_model::page::Page;
use erp_plugin_storage::{
    ErrorKind, Mode, RecordSink, RowView, SinkFlow, Storage, StorageResult, TransactionOptions,
};
use support::{Database, invocation, now, options, page, scope};

type Commit<'a> = Pin<Box<dyn Future<Output = StorageResult<()>> + Send + 'a>>;

/// More than fits.
fn large() -> String {
    "x".repeat(2 << 20)
}

async fn small_database() -> Database {
    Database::new(|options| options.max_bytes(1 << 20).group_window(Duration::from_secs(3600))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_refuses_the_write_and_works_again_with_space() {
    let database = small_database().await;
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "before").await.unwrap();
    turn.commit(None).await.unwrap();

    let mut written = 0;
    let full = loop {
        let mut turn = database.write("a").await;
        if let Err(error) = database.insert(&mut *turn, &"y".repeat(50_000)).await {
            break error;
        }
        turn.commit(None).await.unwrap();
        written += 1;
    };
    assert_eq!(full.kind, ErrorKind::Full);
    assert!(!full.is_transient());
    assert!(written > 5);
    assert_eq!(database.notes("a").await.len(), written + 1, "what was acknowledged, and nothing else");
    // Deleting elsewhere gives room.
    database.other().execute("DELETE FROM suite__note WHERE length(text) > 1000", ()).unwrap();
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, &"y".repeat(50_000)).await.unwrap();
    turn.commit(None).await.unwrap();
    assert_eq!(database.notes("a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_loses_the_group_takes_no_acknowledgement_with_it() {
    let database = small_database().await;
    let a = scope("a");
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let mut second = database.storage.begin(&a, options(Mode::Write));
    assert!(now(&mut second).await.is_none());
    let mut first: Commit<'_> = first.commit(None);
    assert!(now(&mut first).await.is_none());
    let mut second = second.await.unwrap();
    assert_eq!(database.insert(&mut *second, &large()).await.unwrap_err().kind, ErrorKind::Full);

    // SQLite has rolled back all of it: the first is told at once, the second at whatever it tries.
    let lost = now(&mut first).await.expect("an answer").unwrap_err();
    assert_eq!(lost.kind, ErrorKind::TransactionLost);
    assert!(lost.is_transient());
    assert_eq!(database.insert(&mut *second, "more").await.unwrap_err().kind, ErrorKind::TransactionLost);
    assert_eq!(second.commit(None).await.unwrap_err().kind, ErrorKind::TransactionLost);
    assert!(database.notes("a").await.is_empty());

    let mut again = database.write("a").await;
    database.insert(&mut *again, "first").await.unwrap();
    again.commit(None).await.unwrap();
    assert_eq!(database.notes("a").await, ["first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_lost_its_transaction_can_still_leave_its_record() {
    let database = small_database().await;
    let mut turn = database.write("a").await;
    assert_eq!(database.insert(&mut *turn, &large()).await.unwrap_err().kind, ErrorKind::Full);
    turn.rollback(Some(&invocation(Some(ErrorCode::Unavailable)))).await.unwrap();
    let mut turn = database.write("a").await;
    let usage = turn.usage().await.unwrap();
    assert_eq!(usage.iter().map(|total| (total.invocations, total.failed)).collect::<Vec<_>>(), [(1, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_fit_is_not_acknowledged() {
    let database = small_database().await;
    let mut record = invocation(None);
    record.trigger = large();
    for commits in [true, false] {
        let mut turn = database.write("a").await;
        database.insert(&mut *turn, "note").await.unwrap();
        let ended =
            if commits { turn.commit(Some(&record)).await } else { turn.rollback(Some(&record)).await };
        assert_eq!(ended.unwrap_err().kind, ErrorKind::Full);
    }
    assert!(database.notes("a").await.is_empty());
    assert!(database.write("a").await.usage().await.unwrap().is_empty());
}

struct Nothing;

impl RecordSink for Nothing {
    fn record(&mut self, _: &dyn RowView) -> StorageResult<SinkFlow> {
        Ok(SinkFlow::Continue)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_stops_at_its_deadline_and_the_transaction_stands() {
    let database = Database::new(|options| options).await;
    let mut turn = database.write("a").await;
    for number in 0..10_000 {
        database.insert(&mut *turn, &format!("note {number}")).await.unwrap();
    }
    turn.commit(None).await.unwrap();
    // Tens of milliseconds of work: two hundred texts to compare with each note.
    let texts = (0..200).map(|n| Filter::Prefix(Column::Field(0), format!("none {n}")));
    let dear = Filter::Any(texts.collect());
    let counted = Page { total: true, ..page(10) };

    let soon = || Instant::now() + Duration::from_millis(10);
    let reading = TransactionOptions { deadline: soon(), ..options(Mode::Read) };
    let mut reader = database.storage.begin(&scope("a"), reading).await.unwrap();
    let error = reader.query(&database.entity, &dear, &counted, &mut Nothing).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::DeadlineExceeded, "query"));

    let held = TransactionOptions { writer_hold: Duration::from_millis(10), ..options(Mode::Write) };
    let mut writer = database.storage.begin(&scope("a"), held).await.unwrap();
    let error = writer.query(&database.entity, &dear, &counted, &mut Nothing).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::WriterHoldExceeded, "query"));
    writer.rollback(Some(&invocation(Some(ErrorCode::LimitExceeded)))).await.unwrap();
    // The alarm is off again for those who come next on the same connections.
    let mut reader = database.storage.begin(&scope("a"), options(Mode::Read)).await.unwrap();
    reader.query(&database.entity, &dear, &counted, &mut Nothing).await.unwrap();
    assert_eq!(reader.usage().await.unwrap()[0].failed, 1);
    drop(reader);
    let mut writer = database.write("a").await;
    writer.query(&database.entity, &dear, &counted, &mut Nothing).await.unwrap();
    database.insert(&mut *writer, "after").await.unwrap();
    writer.commit(None).await.unwrap();
}
