//! A database of a test's own: of SQLite, or of Postgres where `ERP_PLUGIN_TEST_BACKEND` says so. Every test of the
//! whole runs on both, by being run twice.

use std::env;

use erp_plugin::postgres::TemporaryDatabase;
use tempfile::TempDir;

/// Which backend the tests run on: `sqlite`, which it is without it, or `postgres`.
const BACKEND: &str = "ERP_PLUGIN_TEST_BACKEND";
/// The server, for a user who may create databases and roles.
const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// Why some tests are of SQLite alone.
pub const ONE_WRITER: &str = "one transaction at a time may write there, and must let go";

/// A database, gone at the end.
pub struct Database {
    url: String,
    _kept: Kept,
}

enum Kept {
    Nothing,
    Folder(#[expect(dead_code, reason = "kept, not looked at")] TempDir),
    Server(#[expect(dead_code, reason = "kept, not looked at")] TemporaryDatabase),
}

/// Whether the tests run on Postgres.
#[must_use]
pub fn on_postgres() -> bool {
    match env::var(BACKEND).as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("{BACKEND} is {other:?}; it must be sqlite or postgres"),
    }
}

/// For a test of what only SQLite does: says so, and whether to go on.
#[must_use]
pub fn only_on_sqlite(why: &str) -> bool {
    if on_postgres() {
        println!("not on Postgres: {why}");
    }
    !on_postgres()
}

impl Database {
    /// One that need not outlive its host: in memory, where there is such a thing.
    pub async fn new() -> Self {
        if on_postgres() {
            Self::on_server().await
        } else {
            Self { url: "sqlite::memory:".to_owned(), _kept: Kept::Nothing }
        }
    }

    /// One that can be opened again, and by several hosts.
    pub async fn lasting() -> Self {
        if on_postgres() {
            return Self::on_server().await;
        }
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("data.db").display());
        Self { url, _kept: Kept::Folder(folder) }
    }

    async fn on_server() -> Self {
        let server =
            env::var(SERVER).unwrap_or_else(|_| panic!("{BACKEND} is postgres, and {SERVER} is not set"));
        let database = TemporaryDatabase::create(&server).await.unwrap();
        Self { url: database.url().to_owned(), _kept: Kept::Server(database) }
    }

    /// How a host opens it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}
