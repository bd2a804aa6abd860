//! From a URL to a storage: the place that names backends.

use std::sync::Arc;

use erp_plugin_host::{PluginHost, PluginHostBuilder};
use erp_plugin_storage::{Storage, StorageError};
#[cfg(feature = "sqlite")]
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

use crate::environment::{SystemClock, SystemIds};

/// Why a URL could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no backend.
    #[error("{0:?} is no storage URL; write sqlite:FILE or sqlite::memory:")]
    Url(String),
    /// The storage said no.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Opens the storage that a URL names: `sqlite:erp.db`, `sqlite::memory:`.
pub async fn storage(url: &str) -> Result<Arc<dyn Storage>, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", ":memory:")) => Ok(Arc::new(SqliteStorage::open(&SqliteOptions::memory())?)),
        // What begins with a colon was meant for something else than a file of that name.
        #[cfg(feature = "sqlite")]
        Some(("sqlite", file)) if !file.is_empty() && !file.starts_with(':') => {
            Ok(Arc::new(SqliteStorage::open(&SqliteOptions::file(file))?))
        }
        _ => Err(OpenError::Url(url.to_owned())),
    }
}

/// Begins a host on the storage that a URL names, with the machine's clock and randomness.
pub async fn host(url: &str) -> Result<PluginHostBuilder, OpenError> {
    Ok(PluginHost::builder(storage(url).await?, Arc::new(SystemClock), Arc::new(SystemIds::default())))
}
