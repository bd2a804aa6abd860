//! The suite of every backend, on a file and in memory.

#![allow(clippy::unwrap_used, reason = "tests, which fail by panicking")]

use std::sync::Arc;

use erp_plugin_storage_conformance::Backend;
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

mod in_file {
    use super::{Arc, Backend, SqliteOptions, SqliteStorage};

    async fn file() -> Backend {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(&SqliteOptions::file(folder.path().join("data.db"))).unwrap();
        Backend::new(Arc::new(storage)).keeping(folder)
    }

    erp_plugin_storage_conformance::conformance_tests!(file);
}

mod in_memory {
    use super::{Arc, Backend, SqliteOptions, SqliteStorage};

    async fn memory() -> Backend {
        Backend::new(Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap()))
    }

    erp_plugin_storage_conformance::conformance_tests!(memory);
}
