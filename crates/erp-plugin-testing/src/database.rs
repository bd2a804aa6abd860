//! The database of a test: a new one for each plugin that is loaded, gone with it.

use std::any::Any;
use std::sync::Arc;

use erp_plugin_storage::Storage;
#[cfg(feature = "postgres")]
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage, TemporaryDatabase};
#[cfg(feature = "sqlite")]
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

use crate::error::LoadFailure;

/// Where a test with Postgres alone looks for its server.
#[cfg(not(feature = "sqlite"))]
const SERVER: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// A storage, and what must live as long as it.
pub(crate) struct Database {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) kept: Option<Box<dyn Any + Send + Sync>>,
}

/// Makes one: on the server that was named, or else in memory.
pub(crate) async fn new(server: Option<&str>) -> Result<Database, LoadFailure> {
    match server {
        Some(server) => on_server(server).await,
        None => by_default().await,
    }
}

#[cfg(feature = "sqlite")]
async fn by_default() -> Result<Database, LoadFailure> {
    let storage = SqliteStorage::open(&SqliteOptions::memory())?;
    Ok(Database { storage: Arc::new(storage), kept: None })
}

#[cfg(not(feature = "sqlite"))]
async fn by_default() -> Result<Database, LoadFailure> {
    match std::env::var(SERVER).ok().filter(|url| !url.is_empty()) {
        Some(server) => on_server(&server).await,
        None => Err(LoadFailure::NoServer(SERVER)),
    }
}

#[cfg(feature = "postgres")]
async fn on_server(server: &str) -> Result<Database, LoadFailure> {
    let failed = |error: &dyn std::fmt::Display| LoadFailure::Server(error.to_string());
    let database = TemporaryDatabase::create(server).await.map_err(|error| failed(&error))?;
    let options = PostgresOptions::from_url(database.url()).map_err(|error| failed(&error))?;
    let storage = PostgresStorage::open(&options).await?;
    Ok(Database { storage: Arc::new(storage), kept: Some(Box::new(database)) })
}

#[cfg(not(feature = "postgres"))]
async fn on_server(_: &str) -> Result<Database, LoadFailure> {
    Err(LoadFailure::Server(
        "erp-plugin-testing was built without Postgres; enable its feature `postgres`".to_owned(),
    ))
}
