//! A database for a test: a file, or one on the server that `ERP_PLUGIN_TEST_POSTGRES` names.

use std::env;

use erp_plugin_storage_postgres::TemporaryDatabase;
use tempfile::TempDir;

const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// A database, gone at the end, and a folder for files beside it.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) database: String,
    pub(crate) server: Option<TemporaryDatabase>,
}

impl Place {
    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("erp.db").display().to_string();
        Self { folder, database, server: None }
    }

    pub(crate) fn on_server() -> Option<Self> {
        Self::on_a_new_database(async |server| TemporaryDatabase::create(server).await.unwrap())
    }

    /// On a database of which the program makes something.
    pub(crate) fn on_an_empty_database() -> Option<Self> {
        Self::on_a_new_database(async |server| TemporaryDatabase::create_empty(server).await.unwrap())
    }

    /// Without a server tests say so and pass, in CI they fail.
    fn on_a_new_database(create: impl AsyncFnOnce(&str) -> TemporaryDatabase) -> Option<Self> {
        if !cfg!(feature = "postgres") {
            eprintln!("NOT RUN: the program was built without Postgres; cargo test --workspace has it");
            return None;
        }
        let Some(server) = env::var(SERVER).ok().filter(|url| !url.is_empty()) else {
            assert!(env::var_os("CI").is_none(), "{SERVER} is not set, and CI is");
            eprintln!("NOT RUN: {SERVER} is not set; cargo xtask with-postgres cargo test sets it");
            return None;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(create(&server));
        let url = database.url().to_owned();
        Some(Self { folder: tempfile::tempdir().unwrap(), database: url, server: Some(database) })
    }

    /// Does something on the server that the program would not.
    pub(crate) fn on_the_server(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.server.as_ref().unwrap().execute(sql)).unwrap();
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// Makes of each function of a test's place two tests: one on a file, one on the server.
macro_rules! on_every_backend {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(&crate::place::Place::file()); })*
        }
        mod postgres {
            $(#[test] fn $name() {
                if let Some(place) = crate::place::Place::on_server() {
                    super::$name(&place);
                }
            })*
        }
    };
}
pub(crate) use on_every_backend;
