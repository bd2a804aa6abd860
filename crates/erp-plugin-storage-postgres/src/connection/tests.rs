//! What the next transaction finds on a connection, however the one before it ended.

use std::time::Duration;

use erp_plugin_storage::{ErrorKind, Mode};
use futures_util::TryStreamExt as _;

use super::As;
use crate::PostgresStorage;
use crate::names::{read_boolean, read_integer};
use crate::session::{Committed, Session};
use crate::support::notes::options;
use crate::support::{self, Database};

/// A storage with one connection.
async fn storage(server: &str) -> (PostgresStorage, Database) {
    let database = Database::new(server, support::As::App).await;
    let storage = PostgresStorage::open(&database.options().pool_size(1)).await.unwrap();
    (storage, database)
}

/// A transaction of a tenant, under way.
async fn begun(storage: &PostgresStorage) -> (Session, i64) {
    let who = As::Tenant(&storage.platform);
    let mut session = storage.pools.begin(who, &storage.platform, options(Mode::Write)).await.unwrap();
    let client = session.client();
    let sql = "SELECT pg_backend_pid()::bigint, current_setting('erp_plugin.tenant') <> '' AND current_user <> session_user";
    let pid = session.run("look", async {
        let row = client.one(sql, &[]).await?;
        assert!(read_boolean(&row, 1)?, "the tenant and the role are set");
        read_integer(&row, 0)
    });
    let pid = pid.await.unwrap();
    (session, pid)
}

/// The connection that the pool gives out now, which must carry nothing: looked at outside of any transaction.
async fn pid_of_a_clean_one(storage: &PostgresStorage) -> i64 {
    let begin = "SELECT 1".to_owned();
    let options = options(Mode::Read);
    let mut session = storage.pools.everyday.begin(&storage.platform, begin, options).await.unwrap();
    let client = session.client();
    let sql = "SELECT pg_backend_pid()::bigint,
         coalesce(current_setting('erp_plugin.tenant', true), '') = '' AND current_user = session_user
             AND current_setting('statement_timeout') = '0' AND current_setting('enable_seqscan')::boolean
             AND current_setting('transaction_isolation') = 'read committed'";
    let looked = session.run("look", async {
        let row = client.one(sql, &[]).await?;
        assert!(read_boolean(&row, 1)?, "something is left of the one before");
        read_integer(&row, 0)
    });
    let pid = looked.await.unwrap();
    session.rollback().await;
    pid
}

/// Whether the server still has a connection; waits a moment for it to go.
async fn lives(database: &Database, pid: i64) -> bool {
    let admin = database.admin().await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE pid::bigint = $1";
    for _ in 0..200 {
        if admin.query_one(sql, &[&pid]).await.unwrap().get::<_, i64>(0) == 0 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

#[tokio::test]
async fn after_a_clean_end_the_connection_is_used_again_and_carries_nothing() {
    let Some(server) = support::server() else { return };
    let (storage, _database) = storage(&server).await;
    let (mut session, first) = begun(&storage).await;
    assert!(matches!(session.commit_alone().await, Ok(Committed::Yes)));
    drop(session);
    assert_eq!(pid_of_a_clean_one(&storage).await, first);

    let (mut session, pid) = begun(&storage).await;
    session.rollback().await;
    drop(session);
    assert_eq!((pid, pid_of_a_clean_one(&storage).await), (first, first));

    let (mut session, pid) = begun(&storage).await;
    let client = session.client();
    let failed = session.run("fail", async { client.one("SELECT 1 / 0", &[]).await.map(drop) }).await;
    assert!(failed.is_err());
    session.rollback().await;
    drop((session, client));
    assert_eq!((pid, pid_of_a_clean_one(&storage).await), (first, first));
}

#[tokio::test]
async fn a_transaction_that_is_dropped_takes_its_connection_with_it() {
    let Some(server) = support::server() else { return };
    let (storage, database) = storage(&server).await;
    let (session, dropped) = begun(&storage).await;
    drop(session);
    assert!(!lives(&database, dropped).await);

    let (mut session, cancelled) = begun(&storage).await;
    assert_ne!(cancelled, dropped);
    let client = session.client();
    let slow = session.run("sleep", async { client.one("SELECT pg_sleep(1)", &[]).await.map(drop) });
    assert!(tokio::time::timeout(Duration::from_millis(50), slow).await.is_err());
    drop((session, client));
    assert!(!lives(&database, cancelled).await);

    let (mut session, uncommitted) = begun(&storage).await;
    let client = session.client();
    let last = async { client.one("SELECT pg_sleep(1)", &[]).await.map(drop) };
    let commit = session.commit(async { Ok(()) }, last);
    assert!(tokio::time::timeout(Duration::from_millis(50), commit).await.is_err());
    drop((session, client));
    assert!(!lives(&database, uncommitted).await);
    let clean = pid_of_a_clean_one(&storage).await;
    assert!(![dropped, cancelled, uncommitted].contains(&clean));
}

#[tokio::test]
async fn a_transaction_that_failed_unnoticed_is_not_committed() {
    let Some(server) = support::server() else { return };
    let (storage, _database) = storage(&server).await;
    let (mut session, pid) = begun(&storage).await;
    let client = session.client();
    // Whoever asked has enough after the first row; the last one fails.
    let sql = "SELECT 1 / (20000 - n) FROM generate_series(1, 20000) AS n";
    let stopped = session.run("look", async {
        let mut rows = std::pin::pin!(client.stream(sql, &[]).await?);
        rows.try_next().await?;
        Ok(())
    });
    stopped.await.unwrap();
    let Err(error) = session.commit_alone().await else { panic!("it is committed") };
    assert_eq!(error.kind, ErrorKind::TransactionLost);
    drop((session, client));
    assert_eq!(pid_of_a_clean_one(&storage).await, pid);
}
