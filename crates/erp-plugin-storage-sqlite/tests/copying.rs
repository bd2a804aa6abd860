//! Moving from one database to another of the same kind.

#![allow(clippy::unwrap_used, reason = "tests, which fail by panicking")]

use std::sync::Arc;

use erp_plugin_storage_conformance::Backend;
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

async fn memory() -> Backend {
    Backend::new(Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap()))
}

async fn file() -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(&SqliteOptions::file(folder.path().join("data.db"))).unwrap();
    Backend::new(Arc::new(storage)).keeping(folder)
}

mod in_memory {
    use super::memory;

    erp_plugin_storage_conformance::transfer_tests!(memory, memory);
}

mod to_a_file {
    use super::{file, memory};

    erp_plugin_storage_conformance::transfer_tests!(memory, file);
}
