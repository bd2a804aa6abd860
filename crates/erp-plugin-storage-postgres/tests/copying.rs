//! Moving between SQLite and Postgres, both ways and there and back, and from one Postgres to another.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::sync::Arc;

use erp_plugin_storage::copy::{copy, verify};
use erp_plugin_storage::transfer::Transfer;
use erp_plugin_storage_conformance::{Backend, estate};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

use support::{As, Database};

async fn postgres(how: As) -> Backend {
    let Some(server) = support::server() else { return Backend::absent() };
    let database = Database::new(&server, how).await;
    let storage = open(&database).await;
    Backend::new(storage).keeping(database)
}

async fn open(database: &Database) -> Arc<PostgresStorage> {
    let options = PostgresOptions::from_url(&database.url).unwrap();
    let options = options.migration_url(&database.admin_url).unwrap();
    Arc::new(PostgresStorage::open(&options).await.unwrap())
}

fn memory() -> Arc<SqliteStorage> {
    Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap())
}

async fn sqlite() -> Backend {
    Backend::new(memory())
}

async fn app() -> Backend {
    postgres(As::App).await
}

async fn owner() -> Backend {
    postgres(As::Owner).await
}

async fn partitioned() -> Backend {
    postgres(As::Partitioned).await
}

mod from_sqlite_to_postgres {
    use super::{app, sqlite};

    erp_plugin_storage_conformance::transfer_tests!(sqlite, app);
}

mod from_postgres_to_sqlite {
    use super::{partitioned, sqlite};

    erp_plugin_storage_conformance::transfer_tests!(partitioned, sqlite);
}

mod from_postgres_to_postgres {
    use super::{app, owner};

    erp_plugin_storage_conformance::transfer_tests!(app, owner);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_nothing_has_changed() {
    let Some(server) = support::server() else { return };
    let (first, database, last) = (memory(), Database::new(&server, As::App).await, memory());
    let middle = open(&database).await;
    let source: Arc<dyn Transfer> = first.clone();
    estate::fill(&source).await;
    let there = copy(&*first, &*middle, &mut |_| {}).await.unwrap();
    let back = copy(&*middle, &*last, &mut |_| {}).await.unwrap();
    assert!(there.is_equal() && back.is_equal());
    let hashes = |report: &erp_plugin_storage::copy::CopyReport| {
        report.tables.iter().map(|table| (table.table.clone(), table.source)).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&there), hashes(&back));
    assert!(verify(&*first, &*last, &mut |_| {}).await.unwrap().is_equal());
}
