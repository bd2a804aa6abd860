//! A connection that is cut at the worst moment, a server that is slow, full of others or read-only: a typed error
//! near the deadline, nobody told that a lost write is lasting or a lasting one lost, and everything works afterwards.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use erp_plugin_model::usage::InvocationRecord;
use erp_plugin_model::{RecordId, Value, Version};
use erp_plugin_storage::{
    Change, ErrorKind, Mode, Storage, StorageResult, TransactionOptions, UpdateOutcome,
};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};
use tokio_postgres::Client;

use support::notes::{
    Notes, Nothing, STAMP, insert, invocation, options, patient_for, reason, refused, scope,
};
use support::proxy::{Fault, Proxy, RECORD};
use support::{As, Database, connect};

/// A storage behind a proxy, and the same one without.
struct Behind {
    storage: PostgresStorage,
    proxy: Proxy,
    direct: Notes,
}

impl Behind {
    async fn new(server: &str) -> Self {
        let direct = Notes::new(server).await;
        let proxy = Proxy::to(&direct.database).await;
        let storage = PostgresStorage::open(&PostgresOptions::from_url(&proxy.url).unwrap()).await.unwrap();
        Self { storage, proxy, direct }
    }

    /// Writes a note, and has a fault meet its commit.
    async fn commit(&self, fault: Fault, record: Option<&InvocationRecord>) -> StorageResult<()> {
        let mut transaction = self.storage.begin(&scope("a"), options(Mode::Write)).await?;
        insert(&mut *transaction, &self.direct.entity, "note").await?;
        self.proxy.set(fault);
        transaction.commit(record).await
    }

    /// How many invocations are on record, and how many of them as failed.
    async fn invocations(&self) -> (u64, u64) {
        let mut transaction = self.direct.begin(options(Mode::Read)).await;
        let usage = transaction.usage().await.unwrap();
        usage.first().map_or((0, 0), |total| (total.invocations, total.failed))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrives_is_a_lost_transaction() {
    let Some(server) = support::server() else { return };
    let behind = Behind::new(&server).await;
    let lost = behind.commit(Fault::CutBefore, Some(&invocation(None))).await.unwrap_err();
    assert!(behind.proxy.has_struck());
    assert_eq!((lost.kind, lost.operation), (ErrorKind::TransactionLost, "commit"));
    assert!(behind.direct.texts().await.is_empty());
    assert_eq!(behind.invocations().await, (1, 1), "it is on record as failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_to_be_one() {
    let Some(server) = support::server() else { return };
    let behind = Behind::new(&server).await;
    behind.commit(Fault::CutAfter, Some(&invocation(None))).await.unwrap();
    assert!(behind.proxy.has_struck());
    assert_eq!(behind.direct.texts().await, ["note"]);
    assert_eq!(behind.invocations().await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_record_nobody_knows_what_became_of_a_commit() {
    let Some(server) = support::server() else { return };
    let behind = Behind::new(&server).await;
    for (fault, kept) in [(Fault::CutBefore, 0), (Fault::CutAfter, 1)] {
        let error = behind.commit(fault, None).await.unwrap_err();
        assert_eq!((error.kind, error.is_transient()), (ErrorKind::Unavailable, false));
        assert_eq!(behind.direct.texts().await.len(), kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_it_was_given_up_is_refused() {
    let Some(server) = support::server() else { return };
    let mut behind = Behind::new(&server).await;
    let record = InvocationRecord { trigger: RECORD.to_owned(), ..invocation(None) };
    let lost = behind.commit(Fault::HoldRecord, Some(&record)).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::TransactionLost);
    let held = behind.proxy.held().await;
    assert!(held.arrive().await.ends_with(&["refused".to_owned(), "ROLLBACK".to_owned()]));
    assert!(behind.direct.texts().await.is_empty());
    assert_eq!(behind.invocations().await, (1, 1));
}

/// Waits until somebody waits for a lock in this database.
async fn somebody_waits(admin: &Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_still_on_its_way_is_waited_for() {
    let Some(server) = support::server() else { return };
    for arrives in [true, false] {
        let mut behind = Behind::new(&server).await;
        let admin = behind.direct.database.admin().await;
        let mut transaction = behind.storage.begin(&scope("a"), options(Mode::Write)).await.unwrap();
        insert(&mut *transaction, &behind.direct.entity, "note").await.unwrap();
        behind.proxy.set(Fault::HoldCommit);
        let commit = tokio::spawn(async move { transaction.commit(Some(&invocation(None))).await });
        let held = behind.proxy.held().await;
        somebody_waits(&admin).await;
        assert!(!commit.is_finished());
        if arrives {
            assert_eq!(held.arrive().await.last().unwrap(), "COMMIT");
        } else {
            drop(held);
        }
        let committed = commit.await.unwrap();
        let texts = behind.direct.texts().await;
        if arrives {
            committed.unwrap();
            assert_eq!((texts.len(), behind.invocations().await), (1, (1, 0)));
        } else {
            assert_eq!(committed.unwrap_err().kind, ErrorKind::TransactionLost);
            assert_eq!((texts.len(), behind.invocations().await), (0, (1, 1)));
        }
    }
}

/// What became of the notes that a task wrote.
#[derive(Default)]
struct Told {
    kept: Vec<String>,
    lost: Vec<String>,
    unknown: u32,
}

/// Writes notes until it is told to stop, and tells what it was told.
async fn write_on(notes: &Notes, task: u32, stop: &AtomicBool) -> Told {
    let mut told = Told::default();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let text = format!("{task}-{number}");
        let written = async {
            let mut transaction = notes.storage.begin(&scope("a"), options(Mode::Write)).await?;
            notes.insert(&mut *transaction, &text).await?;
            transaction.commit(Some(&invocation(None))).await
        };
        match written.await {
            Ok(()) => told.kept.push(text),
            Err(error) if error.kind == ErrorKind::TransactionLost => told.lost.push(text),
            Err(error) if error.kind == ErrorKind::Unavailable && error.operation == "commit" => {
                told.unknown += 1;
            }
            Err(error) if error.kind == ErrorKind::Unavailable => told.lost.push(text),
            Err(error) => panic!("{error}: {}", reason(&error)),
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_server_ends_nothing_acknowledged_is_lost_and_nothing_refused_is_kept() {
    let Some(server) = support::server() else { return };
    let notes = Arc::new(Notes::new(&server).await);
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let (notes, stop) = (Arc::clone(&notes), Arc::clone(&stop));
            tokio::spawn(async move { write_on(&notes, task, &stop).await })
        })
        .collect();
    // Not the database's own: the administrator is connected with another one.
    let admin = connect(&server).await;
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
        notes.database.name()
    );
    let (end, mut ended) = (Instant::now() + Duration::from_secs(5), 0);
    let mut pause = tokio::time::interval(Duration::from_millis(40));
    while Instant::now() < end {
        pause.tick().await;
        ended += admin.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0);
    }
    stop.store(true, Ordering::Relaxed);
    let mut all = Told::default();
    for task in tasks {
        let Told { kept, lost, unknown } = task.await.unwrap();
        all.kept.extend(kept);
        all.lost.extend(lost);
        all.unknown += unknown;
    }
    // The first ones may find what was ended last.
    let texts = loop {
        let mut texts = match notes.storage.begin(&scope("a"), options(Mode::Write)).await {
            Ok(_) => notes.texts().await,
            Err(_) => continue,
        };
        texts.sort_unstable();
        break texts;
    };
    println!("{ended} ended: {} kept, {} lost, {} unknown", all.kept.len(), all.lost.len(), all.unknown);
    assert!(ended > 20 && all.kept.len() > 10 && all.lost.len() > 10);
    assert!(texts.windows(2).all(|pair| pair[0] != pair[1]), "one is there twice");
    let found = |text: &String| texts.binary_search(text).is_ok();
    assert_eq!(
        all.kept.iter().filter(|text| !found(text)).collect::<Vec<_>>(),
        [""; 0],
        "acknowledged and gone"
    );
    assert_eq!(all.lost.iter().filter(|text| found(text)).collect::<Vec<_>>(), [""; 0], "refused and there");
    assert!(texts.len() <= all.kept.len() + all.unknown as usize);
}

/// That something took until the deadline and hardly longer.
fn assert_took(began: Instant, millis: u64) {
    let took = began.elapsed();
    let (least, most) = (Duration::from_millis(millis - 20), Duration::from_millis(millis + 1500));
    assert!(least < took && took < most, "it took {took:?} of {millis} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_connection_ends_at_the_deadline() {
    let Some(server) = support::server() else { return };
    let notes = Notes::on_one_connection(&server).await;
    let held = notes.write().await;
    let began = Instant::now();
    let error = refused(notes.storage.begin(&scope("b"), patient_for(200)).await);
    assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
    assert_took(began, 200);
    drop(held);
    notes.keep("after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_statement_ends_at_the_deadline_and_the_connection_serves_the_next() {
    let Some(server) = support::server() else { return };
    let notes = Notes::on_one_connection(&server).await;
    let admin = notes.database.admin().await;
    let slow = "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON erp_plugin.suite__note
            FOR EACH ROW WHEN (NEW.text = 'slow') EXECUTE FUNCTION public.slow()";
    admin.batch_execute(slow).await.unwrap();
    let began = Instant::now();
    let mut transaction = notes.begin(patient_for(300)).await;
    let error = notes.insert(&mut *transaction, "slow").await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::DeadlineExceeded, "insert"));
    assert_took(began, 300);
    transaction.rollback(Some(&invocation(None))).await.unwrap();
    notes.keep("after").await.unwrap();
    assert_eq!(notes.texts().await, ["after"]);
}

fn change(text: &str) -> [(usize, Value); 1] {
    [(0, Value::Text(text.to_owned()))]
}

/// Changes a note of version 1.
async fn update(
    notes: &Notes,
    id: RecordId,
    text: &str,
    options: TransactionOptions,
) -> StorageResult<UpdateOutcome> {
    let mut transaction = notes.storage.begin(&scope("a"), options).await?;
    let (first, fields) = (Version::new(1).unwrap(), change(text));
    let change = Change::Fields(&fields);
    let outcome = transaction.update(&notes.entity, id, first, change, STAMP, &mut Nothing).await?;
    transaction.commit(None).await?;
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_record_that_somebody_writes_ends_at_the_deadline() {
    let Some(server) = support::server() else { return };
    let notes = Notes::new(&server).await;
    let id = notes.keep("first").await.unwrap();
    let mut holder = notes.write().await;
    let (first, fields) = (Version::new(1).unwrap(), change("held"));
    holder.update(&notes.entity, id, first, Change::Fields(&fields), STAMP, &mut Nothing).await.unwrap();
    let began = Instant::now();
    let error = update(&notes, id, "waiting", patient_for(300)).await.unwrap_err();
    assert_eq!((error.kind, error.operation), (ErrorKind::DeadlineExceeded, "update"));
    assert_took(began, 300);
    holder.commit(None).await.unwrap();
    assert_eq!(notes.texts().await, ["held"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_with_one_version_one_wins() {
    let Some(server) = support::server() else { return };
    let notes = Arc::new(Notes::new(&server).await);
    for _ in 0..20 {
        let id = notes.keep("first").await.unwrap();
        let writers = ["one", "two"].map(|text| {
            let notes = Arc::clone(&notes);
            tokio::spawn(async move { (text, update(&notes, id, text, options(Mode::Write)).await) })
        });
        let mut won = 0;
        for writer in writers {
            match writer.await.unwrap() {
                (_, Ok(UpdateOutcome::Written)) => won += 1,
                (_, Ok(UpdateOutcome::VersionMismatch { actual })) => assert_eq!(actual.get(), 2),
                (text, Err(error)) => assert!(error.is_transient(), "{text}: {error}"),
                (text, Ok(other)) => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_free_connection_is_unavailable_until_it_has_one() {
    let Some(server) = support::server() else { return };
    let notes = Notes::new(&server).await;
    notes.keep("before").await.unwrap();
    let admin = connect(&server).await;
    let limit =
        |connections: i32| format!("ALTER DATABASE {} CONNECTION LIMIT {connections}", notes.database.name());
    admin.batch_execute(&limit(1)).await.unwrap();
    // The one that the storage has is taken.
    let other = notes.begin(options(Mode::Write)).await;
    let held = Mutex::new(vec![other]);
    let error = loop {
        match notes.storage.begin(&scope("b"), options(Mode::Write)).await {
            Ok(transaction) => held.lock().unwrap().push(transaction),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, error.operation), (ErrorKind::Unavailable, "begin"));
    assert!(reason(&error).contains("too many connections"), "{}", reason(&error));
    admin.batch_execute(&limit(-1)).await.unwrap();
    notes.keep("after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_says_so() {
    let Some(server) = support::server() else { return };
    let notes = Notes::new(&server).await;
    notes.keep("before").await.unwrap();
    let admin = connect(&server).await;
    let set = |value: &str| {
        format!("ALTER DATABASE {} {value} default_transaction_read_only", notes.database.name())
    };
    admin.batch_execute(&format!("{} = on", set("SET"))).await.unwrap();
    let read_only = PostgresStorage::open(&notes.database.options()).await.unwrap();
    let mut transaction = read_only.begin(&scope("a"), options(Mode::Write)).await.unwrap();
    let error = notes.insert(&mut *transaction, "refused").await.unwrap_err();
    assert_eq!((error.kind, error.is_transient()), (ErrorKind::ReadOnly, false));
    transaction.rollback(None).await.unwrap();
    admin.batch_execute(&set("RESET")).await.unwrap();
    assert_eq!(notes.texts().await, ["before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_the_transaction_of_a_host_that_hangs() {
    let Some(server) = support::server() else { return };
    let notes = Notes::new(&server).await;
    let id = notes.keep("note").await.unwrap();
    let began = Instant::now();
    let mut hung = notes.begin(patient_for(200)).await;
    let (first, fields) = (Version::new(1).unwrap(), change("hung"));
    hung.update(&notes.entity, id, first, Change::Fields(&fields), STAMP, &mut Nothing).await.unwrap();
    // Waits for the lock on the record, which goes with the transaction.
    assert_eq!(update(&notes, id, "other", options(Mode::Write)).await.unwrap(), UpdateOutcome::Written);
    assert_took(began, 5200);
    assert_eq!(hung.commit(None).await.unwrap_err().kind, ErrorKind::DeadlineExceeded);
    assert_eq!(notes.texts().await, ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_outlives_the_end_of_all_its_connections() {
    let Some(server) = support::server() else { return };
    let database = Database::new(&server, As::App).await;
    let notes = Notes::of(database, |options| options.pool_size(4)).await;
    notes.keep("before").await.unwrap();
    let sql = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    notes.database.admin().await.query_one(sql, &[]).await.unwrap();
    // The first one may not have noticed yet, and says that nothing was kept.
    let mut attempts = 0;
    while let Err(error) = notes.keep("after").await {
        assert!(error.is_transient(), "{error}");
        attempts += 1;
        assert!(attempts < 20);
    }
    assert_eq!(notes.texts().await, ["before", "after"]);
}
