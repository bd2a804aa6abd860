//! Databases that cannot be used, through the facade. The path is in the error's cause, for the operator alone.

use std::error::Error as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use erp_plugin::OpenError;
use erp_plugin_tests::{Platform, guests, sample};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::NOTE;

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Why no host begins on it, and what lies behind that.
async fn refusal(url: &str) -> (String, String) {
    let error = erp_plugin::host(url).await.err().unwrap();
    let behind = error.source().map(ToString::to_string).unwrap_or_default();
    (error.to_string(), behind)
}

/// A folder with a database in which there is a record, and nobody who has it open.
async fn closed() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    let platform = Platform::on(&url(&path), |builder| builder).await;
    platform.enable(sample::NAME, guests::plugin(sample::NAME)).await;
    sample::answer(&platform, "sample.insert", json!({ "data": { "title": "was there" } })).await;
    let Platform { host, .. } = platform;
    drop(host);
    // The host's threads end in their own time.
    let dropped = Instant::now();
    while folder.path().join("data.db-wal").exists() {
        assert!(dropped.elapsed() < Duration::from_secs(10), "it is still open");
        tokio::task::yield_now().await;
    }
    (folder, path)
}

async fn is_whole(path: &Path) {
    let platform = Platform::on(&url(path), |builder| builder).await;
    assert_eq!(platform.records(NOTE).await[0]["title"], "was there");
    sample::answer(&platform, "sample.insert", json!({ "data": { "title": "next" } })).await;
}

#[tokio::test]
async fn a_url_that_names_no_storage() {
    for url in ["", "erp.db", "sqlite", "sqlite:", "SQLITE:erp.db", ":memory:"] {
        let error = erp_plugin::host(url).await.err().unwrap();
        assert!(matches!(error, OpenError::Url(_)));
        assert_eq!(
            error.to_string(),
            format!(
                "{url:?} is no storage URL; write sqlite:FILE, sqlite::memory: or postgres://HOST/DATABASE"
            )
        );
    }
    assert!(!Path::new("erp.db").exists());
}

#[tokio::test]
async fn a_database_in_memory_is_a_new_one_each_time() {
    let one = sample::platform().await;
    sample::answer(&one, "sample.insert", json!({ "data": { "title": "here" } })).await;
    let other = sample::platform().await;
    assert_eq!((one.records(NOTE).await.len(), other.records(NOTE).await.len()), (1, 0));
    assert!(!Path::new(":memory:").exists());
}

#[tokio::test]
async fn a_file_that_is_read_only() {
    let (_folder, path) = closed().await;
    let before = fs::read(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let (text, behind) = refusal(&url(&path)).await;
    assert_eq!(text, "storage: open: the database is read-only; check its permissions");
    assert!(behind.contains("data.db"), "{behind}");
    assert!(fs::read(&path).unwrap() == before);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    is_whole(&path).await;
}

#[tokio::test]
async fn a_file_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "Dear Sirs,").unwrap();
    let theirs = folder.path().join("theirs.db");
    Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE customers (name)").unwrap();
    for path in [letter, theirs] {
        let before = fs::read(&path).unwrap();
        let (text, _) = refusal(&url(&path)).await;
        assert_eq!(text, "storage: open: this is no database of erp-plugin; name another file, or a new one");
        assert!(fs::read(&path).unwrap() == before);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing was left beside them");
}

#[tokio::test]
async fn a_file_of_a_newer_release() {
    let (_folder, path) = closed().await;
    let update = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    update("UPDATE system_schema SET version = 1000, oldest_host = 1000");
    let (text, _) = refusal(&url(&path)).await;
    assert_eq!(text, "storage: open: the database was made by a newer erp-plugin; update the host");
    update("UPDATE system_schema SET version = 1, oldest_host = 1");
    is_whole(&path).await;
}

#[tokio::test]
async fn a_file_that_was_cut_short() {
    let (_folder, path) = closed().await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (text, _) = refusal(&url(&path)).await;
    assert_eq!(text, "storage: open: the database is damaged; restore it from a backup");
    fs::write(&path, &whole).unwrap();
    is_whole(&path).await;
}

#[tokio::test]
async fn a_folder_that_is_missing_and_one_in_place_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (text, behind) = refusal(&url(&folder.path().join("data/erp.db"))).await;
    assert_eq!(text, "storage: open: reading or writing the database failed");
    assert!(behind.ends_with("data: is no folder; make it first"), "{behind}");
    let (text, behind) = refusal(&url(folder.path())).await;
    assert_eq!(text, "storage: open: reading or writing the database failed");
    assert!(behind.ends_with("is a folder"), "{behind}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
