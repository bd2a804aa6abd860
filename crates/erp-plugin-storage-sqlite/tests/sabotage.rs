//! The suite notices what it is for: each promise is broken once, in memory, and its case must fail.

#![allow(clippy::unwrap_used, reason = "tests, which fail by panicking")]

use std::process::ExitCode;
use std::sync::Arc;

use erp_plugin_storage_conformance::{Backend, sabotage};
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};

fn main() -> ExitCode {
    sabotage::main(async || Backend::new(Arc::new(SqliteStorage::open(&SqliteOptions::memory()).unwrap())))
}
