//! What is opened, what is refused, and that a file that is refused is not touched.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::path::Path;

use erp_plugin_storage::{ErrorKind, Mode, Storage, StorageError};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use rusqlite::Connection;
use support::{Database, note, notes, options, refused, scope};

fn open(path: &Path) -> Result<SqliteStorage, StorageError> {
    SqliteStorage::open(&SqliteOptions::file(path))
}

/// The error of opening the file, which must be as it was afterwards, with nothing new beside it.
fn refusal(path: &Path) -> StorageError {
    let look = || {
        let mut files: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = look();
    let error = refused(open(path));
    assert!(look() == before, "something was changed: {error:?}");
    error
}

fn source(error: &StorageError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_made_and_opened_again() {
    let database = Database::new(|options| options).await;
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "kept").await.unwrap();
    turn.commit(None).await.unwrap();
    let path = database.path();
    let Database { storage, .. } = &database;
    assert_eq!(notes(storage, &note(), "a").await, ["kept"]);
    let again = database.open_again();
    assert_eq!(notes(&again, &note(), "a").await, ["kept"]);
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_a_new_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.db");
    std::fs::write(&path, b"").unwrap();
    let storage = open(&path).unwrap();
    drop(storage.begin(&scope("a"), options(Mode::Read)).await.unwrap());
}

#[test]
fn the_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE customers (name); INSERT INTO customers VALUES ('Anna')").unwrap();
    drop(theirs);
    assert_eq!(refusal(&path).kind, ErrorKind::Foreign);

    // One that marks its files, and one that is in use with a log beside it.
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch("PRAGMA application_id = 7; PRAGMA journal_mode = wal; CREATE TABLE more (x)")
        .unwrap();
    assert_eq!(refused(open(&path)).kind, ErrorKind::Foreign);
    drop(theirs);
    assert_eq!(refusal(&path).kind, ErrorKind::Foreign);
}

#[test]
fn a_file_of_another_program_with_a_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE customers (name); PRAGMA journal_mode = persist").unwrap();
    theirs.execute_batch("INSERT INTO customers VALUES ('Anna')").unwrap();
    drop(theirs);
    assert!(folder.path().join("theirs.db-journal").exists());
    assert_eq!(refusal(&path).kind, ErrorKind::Foreign);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    for content in [&b"Dear Sirs,"[..], &[0; 4096], b"\0asm\x0d\0\x01\0"] {
        std::fs::write(&path, content).unwrap();
        let error = refusal(&path);
        assert_eq!(error.kind, ErrorKind::Foreign);
        assert!(source(&error).contains("letter.txt"), "{}", source(&error));
        assert!(!error.to_string().contains("letter.txt"), "the path is for the operator alone");
    }
}

#[test]
fn a_folder_and_a_file_without_a_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(open(folder.path()));
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(source(&error).ends_with("is a folder"), "{}", source(&error));
    let error = refused(open(&folder.path().join("missing/data.db")));
    assert_eq!(error.kind, ErrorKind::Io);
    assert!(source(&error).ends_with("missing: is no folder; make it first"), "{}", source(&error));
    assert!(!folder.path().join("missing").exists());
}

/// A database of ours, closed.
async fn closed() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    let storage = open(&path).unwrap();
    let mut platform = support::platform(&storage).await;
    platform.create_entity(note().schema()).await.unwrap();
    platform.commit().await.unwrap();
    drop(storage);
    assert!(!folder.path().join("data.db-wal").exists(), "closed cleanly");
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_release_is_refused_only_if_it_says_so() {
    let (_folder, path) = closed().await;
    let newer = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    newer("UPDATE system_schema SET version = 1000; ALTER TABLE tenants ADD COLUMN more TEXT");
    drop(open(&path).unwrap());
    newer("UPDATE system_schema SET oldest_host = 1000");
    assert_eq!(refused(open(&path)).kind, ErrorKind::TooNew);
    newer("UPDATE system_schema SET oldest_host = 1");
    drop(open(&path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_file_is_refused() {
    let (_folder, path) = closed().await;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    let error = refusal(&path);
    assert_eq!(error.kind, ErrorKind::ReadOnly);
    assert!(source(&error).contains("data.db"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_short_is_refused() {
    let (_folder, path) = closed().await;
    let whole = std::fs::read(&path).unwrap();
    for length in [50, 100, 4096, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(refusal(&path).kind, ErrorKind::Corrupt, "{length} of {}", whole.len());
    }
    std::fs::write(&path, &whole).unwrap();
    drop(open(&path).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_told_as_such() {
    let (_folder, path) = closed().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // The first page keeps its header and loses the rest, which says what tables there are.
    bytes[100..4096].fill(0xA5);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(refusal(&path).kind, ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_left_by_a_crash_is_part_of_the_database() {
    let database = Database::new(|options| options).await;
    let mut turn = database.write("a").await;
    database.insert(&mut *turn, "only in the log").await.unwrap();
    turn.commit(None).await.unwrap();
    // What a crash leaves: the files as they are, without anybody having closed them.
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("data.db{suffix}");
        std::fs::copy(database.path().with_file_name(&name), folder.path().join(&name)).unwrap();
    }
    let recovered = open(&folder.path().join("data.db")).unwrap();
    assert_eq!(notes(&recovered, &note(), "a").await, ["only in the log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_memory_is_gone_with_its_storage() {
    for _ in 0..2 {
        let storage = SqliteStorage::open(&SqliteOptions::memory()).unwrap();
        let mut platform = support::platform(&storage).await;
        assert!(platform.tenants().await.unwrap().is_empty());
        platform.create_tenant(scope("a").tenant(), chrono::DateTime::UNIX_EPOCH).await.unwrap();
        platform.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_path_that_looks_like_a_uri_is_a_path() {
    // Relative, because only that can begin with `file:`.
    let file = format!("file:opening-{}.db?mode=memory", std::process::id());
    drop(SqliteStorage::open(&SqliteOptions::file(&file)).unwrap());
    std::fs::remove_file(file).unwrap();
}
