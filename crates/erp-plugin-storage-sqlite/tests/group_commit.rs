//! Several invocations, one COMMIT: who shares it, who is told what, and that nobody is told too early.
//!
//! Nothing here waits for time to pass: futures are polled once and asked whether they are done.

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
use erp_plugin_storage::{Mode, PlatformScope, Storage, StorageResult, Transaction};
use support::{Database, invocation, now, options, scope};

type Begin<'a> = Pin<Box<dyn Future<Output = StorageResult<Box<dyn Transaction>>> + Send + 'a>>;
type Commit<'a> = Pin<Box<dyn Future<Output = StorageResult<()>> + Send + 'a>>;

/// A window that no test outlives: only the other rules end a group.
fn endless(options: erp_plugin_storage_sqlite::SqliteOptions) -> erp_plugin_storage_sqlite::SqliteOptions {
    options.group_window(Duration::from_secs(3600))
}

/// Puts somebody into the queue.
async fn wait_in_line<'a>(database: &'a Database, tenant: &'a erp_plugin_storage::TenantScope) -> Begin<'a> {
    let mut begin = database.storage.begin(tenant, options(Mode::Write));
    assert!(now(&mut begin).await.is_none());
    begin
}

/// Runs so many invocations of which each waits in the queue before the one in front of it ends, and returns how
/// many commits they took.
async fn commits_of(database: &Database, members: usize) -> usize {
    let tenant = scope("a");
    let before = database.commits();
    let mut turn = database.write("a").await;
    let mut line = Vec::new();
    for _ in 1..members {
        line.push(wait_in_line(database, &tenant).await);
    }
    let mut ends: Vec<Commit<'_>> = Vec::new();
    for (number, next) in line.into_iter().map(Some).chain([None]).enumerate() {
        database.insert(&mut *turn, &format!("note {number}")).await.unwrap();
        let mut end: Commit<'_> = turn.commit(None);
        let _ = now(&mut end).await.map(|ended| ended.unwrap());
        ends.push(end);
        let Some(next) = next else { break };
        turn = next.await.unwrap();
    }
    assert_eq!(database.notes("a").await.len(), members);
    database.commits() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_share_one_commit() {
    let database = Database::new(endless).await;
    assert_eq!(commits_of(&database, 16).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_takes_no_more_than_its_members() {
    let database = Database::new(|options| endless(options).group_max(4)).await;
    assert_eq!(commits_of(&database, 16).await, 4);
    let database = Database::new(|options| endless(options).group_max(1)).await;
    assert_eq!(commits_of(&database, 5).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_window_each_has_a_commit_of_its_own() {
    let database = Database::new(|options| options.group_window(Duration::ZERO)).await;
    assert_eq!(commits_of(&database, 5).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_waits_the_commit_is_at_once() {
    let database = Database::new(endless).await;
    let before = database.commits();
    for number in 0..3 {
        let mut turn = database.write("a").await;
        database.insert(&mut *turn, "note").await.unwrap();
        turn.commit(None).await.unwrap();
        assert_eq!(database.commits() - before, number + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_window_closes_the_group_though_others_wait() {
    let window = Duration::from_millis(5);
    let database = Database::new(|options| options.group_window(window)).await;
    let (a, before) = (scope("a"), database.commits());
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let second = wait_in_line(&database, &a).await;
    let third = wait_in_line(&database, &a).await;
    let mut first: Commit<'_> = first.commit(None);
    // On a machine that stalls for longer than the window, the first member may have it to itself.
    let stalled = now(&mut first).await.is_some();
    let finished = Instant::now();
    let second = second.await.unwrap();
    while finished.elapsed() <= window {
        std::hint::spin_loop();
    }
    let mut second: Commit<'_> = second.commit(None);
    let answered = now(&mut second).await.is_some();
    assert!(stalled || answered, "though the third is there");
    assert!(database.commits() > before);
    third.await.unwrap().commit(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_before_the_commit() {
    let database = Database::new(endless).await;
    let a = scope("a");
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let second = wait_in_line(&database, &a).await;
    let mut first: Commit<'_> = first.commit(None);
    assert!(now(&mut first).await.is_none());
    let mut second = second.await.unwrap();
    database.insert(&mut *second, "second").await.unwrap();
    assert!(now(&mut first).await.is_none(), "the group is still open");
    assert!(database.notes("a").await.is_empty(), "and a reader does not see it");
    second.commit(None).await.unwrap();
    first.await.unwrap();
    assert_eq!(database.notes("a").await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_those_before_it_and_not_those_that_were_undone() {
    let database = Database::new(endless).await;
    let (a, before) = (scope("a"), database.commits());
    let mut kept = database.write("a").await;
    database.insert(&mut *kept, "kept").await.unwrap();
    let undone = wait_in_line(&database, &a).await;
    let dropped = wait_in_line(&database, &a).await;
    let last = wait_in_line(&database, &a).await;

    let record = invocation(None);
    let mut kept: Commit<'_> = kept.commit(Some(&record));
    assert!(now(&mut kept).await.is_none());
    let mut turn = undone.await.unwrap();
    database.insert(&mut *turn, "undone").await.unwrap();
    let failed = invocation(Some(ErrorCode::Rejected));
    let mut undone: Commit<'_> = turn.rollback(Some(&failed));
    assert!(now(&mut undone).await.is_none(), "its record is not lasting yet");
    let mut turn = dropped.await.unwrap();
    database.insert(&mut *turn, "dropped").await.unwrap();
    drop(turn);
    let mut turn = last.await.unwrap();
    assert_eq!(turn.usage().await.unwrap()[0].invocations, 2);
    database.insert(&mut *turn, "last").await.unwrap();
    turn.commit(None).await.unwrap();

    kept.await.unwrap();
    undone.await.unwrap();
    assert_eq!(database.commits() - before, 1);
    assert_eq!(database.notes("a").await, ["kept", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_without_a_record_waits_for_nobody() {
    let database = Database::new(endless).await;
    let a = scope("a");
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let second = wait_in_line(&database, &a).await;
    let mut rollback: Commit<'_> = first.rollback(None);
    now(&mut rollback).await.expect("there is nothing to wait for").unwrap();
    let before = database.commits();
    second.await.unwrap().rollback(None).await.unwrap();
    assert_eq!(database.commits(), before, "nothing was written at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_that_goes_away_takes_nothing_with_it() {
    let database = Database::new(endless).await;
    let a = scope("a");
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let gone_before = wait_in_line(&database, &a).await;
    let gone_after = wait_in_line(&database, &a).await;
    drop(gone_before);
    let mut first: Commit<'_> = first.commit(None);
    assert!(now(&mut first).await.is_none(), "the writer is with the one who still waits");
    // It has been given the writer and goes away without having looked.
    drop(gone_after);
    now(&mut first).await.expect("nobody else is in the group").unwrap();
    assert_eq!(database.notes("a").await, ["first"]);
    let mut next = database.write("a").await;
    database.insert(&mut *next, "next").await.unwrap();
    next.commit(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_went_away_wait() {
    let database = Database::new(endless).await;
    let (a, before) = (scope("a"), database.commits());
    let first = database.write("a").await;
    for _ in 0..5 {
        drop(wait_in_line(&database, &a).await);
    }
    let mut first: Commit<'_> = first.commit(None);
    now(&mut first).await.expect("nobody waits").unwrap();
    assert!(database.commits() - before <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stops_listening_is_committed_all_the_same() {
    let database = Database::new(endless).await;
    let a = scope("a");
    let mut first = database.write("a").await;
    database.insert(&mut *first, "first").await.unwrap();
    let second = wait_in_line(&database, &a).await;
    let mut first: Commit<'_> = first.commit(None);
    assert!(now(&mut first).await.is_none());
    drop(first);
    second.await.unwrap().commit(None).await.unwrap();
    assert_eq!(database.notes("a").await, ["first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_reads_while_another_holds_the_writer() {
    let database = Database::new(|options| options).await;
    let held = database.write("a").await;
    let mut begin = database.storage.begin_platform(PlatformScope::granted_by_host(), options(Mode::Read));
    let mut reading = now(&mut begin).await.expect("it does not wait").unwrap();
    assert!(reading.tenants().await.unwrap().is_empty());
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_take_turns() {
    let database = Database::new(endless).await;
    let (a, b) = (scope("a"), scope("b"));
    let turn = database.write("a").await;
    let mut line = Vec::new();
    for tenant in [&a, &a, &a, &b] {
        line.push(Some(wait_in_line(&database, tenant).await));
    }
    let mut order = Vec::new();
    let mut current = Some(turn);
    while let Some(turn) = current.take() {
        turn.rollback(None).await.unwrap();
        for (place, begin) in line.iter_mut().enumerate() {
            if let Some(waiting) = begin
                && let Some(begun) = now(waiting).await
            {
                *begin = None;
                order.push(place);
                current = Some(begun.unwrap());
                break;
            }
        }
    }
    assert_eq!(order, [0, 3, 1, 2], "the other tenant after one turn, not after three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_holding_the_writer_hands_it_on() {
    let database = std::sync::Arc::new(Database::new(endless).await);
    let panicking = database.clone();
    let panicked = tokio::spawn(async move {
        let mut turn = panicking.write("a").await;
        panicking.insert(&mut *turn, "half").await.unwrap();
        panic!("in the middle");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "whole").await.unwrap();
    turn.commit(None).await.unwrap();
    assert_eq!(database.notes("a").await, ["whole"]);
}

#[tokio::test(flavor = "current_thread")]
async fn a_current_thread_runtime_will_do() {
    let database = Database::new(|options| options).await;
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "note").await.unwrap();
    turn.commit(Some(&invocation(None))).await.unwrap();
    assert_eq!(database.notes("a").await, ["note"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_need_fewer_commits_than_they_are() {
    let database = std::sync::Arc::new(Database::new(|options| options).await);
    let before = database.commits();
    let first = database.write("a").await;
    let writers: Vec<_> = (0..48)
        .map(|number| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut turn = database.write(["a", "b", "c"][number % 3]).await;
                database.insert(&mut *turn, "note").await.unwrap();
                turn.commit(None).await.unwrap();
            })
        })
        .collect();
    first.commit(None).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    for tenant in ["a", "b", "c"] {
        assert_eq!(database.notes(tenant).await.len(), 16);
    }
    assert!(database.commits() - before < 48, "{}", database.commits() - before);
}
