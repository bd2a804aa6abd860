//! From a URL to a storage: the place that names backends.

use std::fmt;
use std::sync::Arc;

use erp_plugin_host::{PluginHost, PluginHostBuilder};
use erp_plugin_storage::transfer::Transfer;
use erp_plugin_storage::{Storage, StorageError};
#[cfg(feature = "postgres")]
use erp_plugin_storage_postgres::{InvalidUrl, PostgresOptions, PostgresStorage};
#[cfg(feature = "sqlite")]
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

use crate::environment::{SystemClock, SystemIds};

/// Why a URL could not be opened. Never shows a URL that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no backend.
    #[error("{0:?} is no storage URL; write sqlite:FILE, sqlite::memory: or postgres://HOST/DATABASE")]
    Url(String),
    /// The URL names a backend that this program was built without.
    #[error("this program was built without {backend}; build it again with --features {feature}")]
    LeftOut {
        /// The backend, as people call it.
        backend: &'static str,
        /// The Cargo feature that brings it.
        feature: &'static str,
    },
    /// A URL of Postgres has something wrong in it.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] InvalidUrl),
    /// A migration URL was given for a database that has no roles.
    #[error("a migration URL is for Postgres; leave it out")]
    NoRoles,
    /// The storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Which storage, and how it is reached. Made from a URL alone, or with what goes beside it.
#[derive(Clone)]
pub struct StorageUrl {
    url: String,
    migration_url: Option<String>,
}

impl StorageUrl {
    /// `sqlite:erp.db`, `sqlite::memory:`, `postgres://erp@db.example/erp?sslmode=verify-full`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), migration_url: None }
    }

    /// For Postgres: whom to be for what the owner of the tables does, which is to install plugins, and to make the
    /// table of a dynamic entity at its first insert. Without it the user of the URL must be a member of that role.
    #[must_use]
    pub fn migration_url(mut self, url: impl Into<String>) -> Self {
        self.migration_url = Some(url.into());
        self
    }
}

impl From<&str> for StorageUrl {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<&String> for StorageUrl {
    fn from(url: &String) -> Self {
        Self::new(url)
    }
}

impl From<String> for StorageUrl {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for StorageUrl {
    // A password is part of both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageUrl").finish_non_exhaustive()
    }
}

/// Opens the storage that a URL names.
pub async fn storage(url: impl Into<StorageUrl>) -> Result<Arc<dyn Storage>, OpenError> {
    let storage: Arc<dyn Storage> = transfer(url).await?;
    Ok(storage)
}

/// As [`storage`], for a [`copy`](crate::copy): with what only that does.
pub async fn transfer(url: impl Into<StorageUrl>) -> Result<Arc<dyn Transfer>, OpenError> {
    let StorageUrl { url, migration_url } = url.into();
    match url.split_once(':') {
        Some(("sqlite", _)) if migration_url.is_some() => Err(OpenError::NoRoles),
        // What begins with a colon was meant for something else than a file of that name.
        Some(("sqlite", file)) if !file.is_empty() && (!file.starts_with(':') || file == ":memory:") => {
            sqlite(file)
        }
        Some(("postgres" | "postgresql", _)) => postgres(&url, migration_url.as_deref()).await,
        _ => Err(OpenError::Url(url)),
    }
}

/// Begins a host on the storage that a URL names, with the machine's clock and randomness.
pub async fn host(url: impl Into<StorageUrl>) -> Result<PluginHostBuilder, OpenError> {
    Ok(PluginHost::builder(storage(url).await?, Arc::new(SystemClock), Arc::new(SystemIds::default())))
}

#[cfg(feature = "sqlite")]
fn sqlite(file: &str) -> Result<Arc<dyn Transfer>, OpenError> {
    let options = match file {
        ":memory:" => SqliteOptions::memory(),
        file => SqliteOptions::file(file),
    };
    Ok(Arc::new(SqliteStorage::open(&options)?))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &str) -> Result<Arc<dyn Transfer>, OpenError> {
    Err(OpenError::LeftOut { backend: "SQLite", feature: "sqlite" })
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, migration_url: Option<&str>) -> Result<Arc<dyn Transfer>, OpenError> {
    let options = PostgresOptions::from_url(url)?;
    let options = match migration_url {
        Some(url) => options.migration_url(url)?,
        None => options,
    };
    Ok(Arc::new(PostgresStorage::open(&options).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str, _: Option<&str>) -> Result<Arc<dyn Transfer>, OpenError> {
    Err(OpenError::LeftOut { backend: "Postgres", feature: "postgres" })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: impl Into<StorageUrl>) -> String {
        storage(url).await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_url_that_names_no_storage_is_told_which_there_are() {
        assert_eq!(
            refused("oracle:erp").await,
            "\"oracle:erp\" is no storage URL; write sqlite:FILE, sqlite::memory: or postgres://HOST/DATABASE"
        );
    }

    #[tokio::test]
    async fn sqlite_takes_no_migration_url() {
        let url = StorageUrl::new("sqlite:erp.db").migration_url("postgres://h/d");
        assert_eq!(refused(url).await, "a migration URL is for Postgres; leave it out");
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        let url = StorageUrl::new("postgres://u:secret@h/d").migration_url("postgres://o:secret@h/d");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_wrong_postgres_url_is_told_what_is_wrong() {
        assert_eq!(
            refused("postgres://u:secret@h/d?colour=red").await,
            "the Postgres URL cannot be read: unknown option `colour`"
        );
    }
}
