//! COMMIT itself fails. SQLite's commit hook is the fault: it makes the commit a rollback, as a disk error can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::TenantId;
use erp_plugin_storage::{ErrorKind, Mode, PlatformScope, PlatformTransaction, Storage, TransactionOptions};

use crate::{SqliteOptions, SqliteStorage};

fn options() -> TransactionOptions {
    let ample = Duration::from_secs(60);
    TransactionOptions { mode: Mode::Write, deadline: Instant::now() + ample, writer_hold: ample }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

async fn begin(storage: &SqliteStorage) -> Box<dyn PlatformTransaction> {
    storage.begin_platform(PlatformScope::granted_by_host(), options()).await.unwrap()
}

async fn tenants(storage: &SqliteStorage) -> Vec<TenantId> {
    begin(storage).await.tenants().await.unwrap()
}

/// Lets COMMIT fail, or work again.
async fn refuse_commits(storage: &SqliteStorage, refuse: bool) {
    let mut writer = storage
        .connections
        .writer
        .acquire(&tenant("test"), Instant::now() + Duration::from_secs(60))
        .await
        .unwrap();
    writer.connection.commit_hook(refuse.then_some(|| true)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_commit_fails_every_member_is_told_and_nothing_is_kept() {
    let storage =
        SqliteStorage::open(&SqliteOptions::memory().group_window(Duration::from_secs(3600))).unwrap();
    let storage = Arc::new(storage);
    refuse_commits(&storage, true).await;
    // The first holds the writer until the others are started, so that some of them share its commit.
    let first = begin(&storage).await;
    let members: Vec<_> = (0..5)
        .map(|number| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let mut member = begin(&storage).await;
                let name = tenant(&format!("t{number}"));
                assert!(member.create_tenant(&name, chrono::DateTime::UNIX_EPOCH).await.unwrap());
                member.commit().await
            })
        })
        .collect();
    assert_eq!(first.commit().await.unwrap_err().kind, ErrorKind::TransactionLost);
    for member in members {
        let error = member.await.unwrap().unwrap_err();
        assert_eq!((error.kind, error.operation), (ErrorKind::TransactionLost, "commit"));
        assert!(error.is_transient());
    }
    refuse_commits(&storage, false).await;
    assert!(tenants(&storage).await.is_empty());
    let mut after = begin(&storage).await;
    after.create_tenant(&tenant("after"), chrono::DateTime::UNIX_EPOCH).await.unwrap();
    after.commit().await.unwrap();
    assert_eq!(tenants(&storage).await, [tenant("after")]);
}
