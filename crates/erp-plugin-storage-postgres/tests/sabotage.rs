//! The suite notices what it is for: each promise is broken once, and its case must fail.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::process::ExitCode;
use std::sync::Arc;

use erp_plugin_storage_conformance::{Backend, sabotage};
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};

use support::{As, Database};

fn main() -> ExitCode {
    let Some(server) = support::server() else { return ExitCode::SUCCESS };
    sabotage::main(async || {
        let database = Database::new(&server, As::App).await;
        let options = PostgresOptions::from_url(&database.url).unwrap();
        let options = options.migration_url(&database.admin_url).unwrap();
        let storage = PostgresStorage::open(&options).await.unwrap();
        Backend::new(Arc::new(storage)).keeping(database)
    })
}
