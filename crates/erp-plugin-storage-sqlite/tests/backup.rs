//! A backup is one moment of the database, and a restore replaces nothing that is in use.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use erp_plugin_storage::{ErrorKind, StorageError};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage, backup, restore};
use support::{Database, note, notes, refused};

fn open(path: &Path) -> SqliteStorage {
    SqliteStorage::open(&SqliteOptions::file(path)).unwrap()
}

async fn with_notes(texts: &[&str]) -> Database {
    let database = Database::new(|options| options).await;
    let mut transaction = database.write("alpha").await;
    for text in texts {
        database.insert(&mut *transaction, text).await.unwrap();
    }
    transaction.commit(None).await.unwrap();
    database
}

/// What an error says in full.
fn text(error: &StorageError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_made_while_writers_commit_restores_to_one_moment() {
    let database = Arc::new(Database::new(|options| options).await);
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (database, stop, acknowledged) = (database.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // A pair, with a long text so that a transaction is many pages.
                    let mut transaction = database.write("alpha").await;
                    for half in ["debit", "credit"] {
                        let text = format!("{writer}.{number} {half} {}", "x".repeat(10_000));
                        database.insert(&mut *transaction, &text).await.unwrap();
                    }
                    transaction.commit(None).await.unwrap();
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 0..6 {
        while acknowledged.load(Ordering::SeqCst) < before + 20 {
            tokio::task::yield_now().await;
        }
        before = acknowledged.load(Ordering::SeqCst);
        let (copy, back) =
            (folder.path().join(format!("{round}.backup")), folder.path().join(format!("{round}.db")));
        let path = database.path();
        let made = copy.clone();
        tokio::task::spawn_blocking(move || backup(&path, &made)).await.unwrap().unwrap();
        restore(&copy, &back, false).unwrap();
        let mut pairs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for text in notes(&open(&back), &note(), "alpha").await {
            let mut words = text.split(' ');
            pairs.entry(words.next().unwrap().to_owned()).or_default().push(words.next().unwrap().to_owned());
        }
        for (pair, halves) in &pairs {
            assert_eq!(halves[..], ["debit", "credit"], "{pair} in round {round}");
        }
        assert!(pairs.len() >= before, "round {round} has {} of {before}", pairs.len());
    }
    assert!(acknowledged.load(Ordering::SeqCst) > before, "nobody wrote meanwhile");
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_backup_is_one_file_with_all_that_a_host_needs() {
    let database = with_notes(&["one"]).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    backup(&database.path(), &copy).unwrap();
    assert_eq!(files(folder.path()), ["copy"]);
    let statistics = |path: &Path| -> Vec<(String, String)> {
        let connection = rusqlite::Connection::open(path).unwrap();
        let mut rows = connection.prepare("SELECT tbl, stat FROM sqlite_stat1 ORDER BY tbl, idx").unwrap();
        rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(statistics(&copy), statistics(&database.path()));
    assert!(!statistics(&copy).is_empty());
    assert_eq!(notes(&open(&copy), &note(), "alpha").await, ["one"]);
}

#[tokio::test]
async fn a_backup_overwrites_nothing() {
    let database = with_notes(&["one"]).await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::write(&copy, "precious").unwrap();
    let error = refused(backup(&database.path(), &copy));
    assert!(text(&error).contains("is there already; name another file"), "{}", text(&error));
    assert_eq!(fs::read_to_string(&copy).unwrap(), "precious");
    let error = refused(backup(&database.path(), &database.path()));
    assert_eq!(error.kind, ErrorKind::Io);
    fs::remove_file(&copy).unwrap();
    fs::write(folder.path().join("copy.partial"), "half").unwrap();
    let error = refused(backup(&database.path(), &copy));
    assert!(text(&error).contains("delete it if none is"), "{}", text(&error));
    assert_eq!(files(folder.path()), ["copy.partial"]);
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_not_backed_up_and_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, other) = (folder.path().join("theirs"), folder.path().join("other"));
    rusqlite::Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert_eq!(refused(backup(&theirs, &other)).kind, ErrorKind::Foreign);
    assert_eq!(refused(restore(&theirs, &other, false)).kind, ErrorKind::Foreign);
    assert_eq!(refused(backup(&folder.path().join("nothing"), &other)).kind, ErrorKind::Io);
    assert_eq!(refused(restore(&folder.path().join("nothing"), &other, false)).kind, ErrorKind::Io);
    // Nor does it make room for one, whatever is said.
    let database = with_notes(&["one"]).await;
    let copy = folder.path().join("copy");
    backup(&database.path(), &copy).unwrap();
    assert_eq!(refused(restore(&copy, &theirs, true)).kind, ErrorKind::Foreign);
    assert_eq!(files(folder.path()), ["copy", "theirs"]);
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_too_new_is_not_restored() {
    let database = with_notes(&["one", &"two ".repeat(20_000)]).await;
    let folder = tempfile::tempdir().unwrap();
    let (copy, target) = (folder.path().join("copy"), folder.path().join("data.db"));
    backup(&database.path(), &copy).unwrap();
    backup(&database.path(), &target).unwrap();
    let whole = fs::read(&copy).unwrap();

    fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(refused(restore(&copy, &target, true)).kind, ErrorKind::Corrupt);
    let mut damaged = whole.clone();
    // The header of the last page but some, which is one of a tree.
    for page in 2..8 {
        damaged[page * 4096..page * 4096 + 8].fill(0xff);
    }
    fs::write(&copy, &damaged).unwrap();
    assert_eq!(refused(restore(&copy, &target, true)).kind, ErrorKind::Corrupt);

    fs::write(&copy, &whole).unwrap();
    let newer = rusqlite::Connection::open(&copy).unwrap();
    newer.execute("UPDATE system_schema SET version = 1000, oldest_host = 1000", ()).unwrap();
    drop(newer);
    assert_eq!(refused(restore(&copy, &target, true)).kind, ErrorKind::TooNew);
    assert_eq!(fs::read(&target).unwrap(), whole, "the target is as it was");
    assert_eq!(files(folder.path()), ["copy", "data.db"]);
}

#[tokio::test]
async fn a_database_is_replaced_only_on_demand_and_never_while_it_is_open() {
    let (old, new) = (with_notes(&["old"]).await, with_notes(&["new"]).await);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    backup(&new.path(), &copy).unwrap();
    let error = refused(restore(&copy, &old.path(), false));
    assert!(text(&error).contains("is there already"), "{}", text(&error));
    let error = refused(restore(&copy, &old.path(), true));
    assert_eq!(error.kind, ErrorKind::Busy, "{}", text(&error));
    assert!(text(&error).contains("is open in another process"), "{}", text(&error));
    // It works on as if nothing had been.
    let mut transaction = old.write("alpha").await;
    old.insert(&mut *transaction, "still").await.unwrap();
    transaction.commit(None).await.unwrap();
    assert_eq!(old.notes("alpha").await, ["old", "still"]);

    let path = folder.path().join("data.db");
    backup(&old.path(), &path).unwrap();
    drop(open(&path));
    restore(&copy, &path, true).unwrap();
    assert_eq!(notes(&open(&path), &note(), "alpha").await, ["new"]);
}

#[tokio::test]
async fn what_was_left_beside_the_old_database_does_not_reach_the_new_one() {
    let database = with_notes(&["new"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (copy, target) = (folder.path().join("copy"), folder.path().join("data.db"));
    backup(&database.path(), &copy).unwrap();
    // A host that was killed: a file, and a log with commits that never reached it.
    let killed = with_notes(&["old"]).await;
    for suffix in ["", "-wal", "-shm"] {
        let from = format!("{}{suffix}", killed.path().display());
        fs::copy(from, folder.path().join(format!("data.db{suffix}"))).unwrap();
    }
    restore(&copy, &target, true).unwrap();
    assert_eq!(files(folder.path()), ["copy", "data.db"]);
    assert_eq!(notes(&open(&target), &note(), "alpha").await, ["new"]);
    // The file is gone, and its log is not.
    fs::remove_file(&target).unwrap();
    fs::write(folder.path().join("data.db-wal"), "stale").unwrap();
    fs::write(folder.path().join("data.db-journal"), "stale").unwrap();
    restore(&copy, &target, false).unwrap();
    assert_eq!(files(folder.path()), ["copy", "data.db"]);
    // A database that nothing can be read from any more.
    fs::write(&target, &fs::read(&target).unwrap()[..90]).unwrap();
    restore(&copy, &target, true).unwrap();
    assert_eq!(notes(&open(&target), &note(), "alpha").await, ["new"]);
}

#[tokio::test]
async fn the_file_of_a_running_host_is_no_backup() {
    let database = with_notes(&["one"]).await;
    let folder = tempfile::tempdir().unwrap();
    let error = refused(restore(&database.path(), &folder.path().join("data.db"), false));
    assert!(text(&error).contains("make a backup of it"), "{}", text(&error));
    assert!(files(folder.path()).is_empty());
}
