//! The suite of every backend: as a host that takes its roles, as one user who owns everything, and on tables in
//! partitions.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

mod support;

use std::sync::Arc;

use erp_plugin_storage_conformance::Backend;
use erp_plugin_storage_postgres::{PostgresOptions, PostgresStorage};

use support::{As, Database};

async fn backend(how: As) -> Backend {
    let Some(server) = support::server() else { return Backend::absent() };
    let database = Database::new(&server, how).await;
    let options = PostgresOptions::from_url(&database.url).unwrap();
    let options = options.migration_url(&database.admin_url).unwrap();
    let storage = PostgresStorage::open(&options).await.unwrap();
    Backend::new(Arc::new(storage)).keeping(database)
}

mod as_app {
    use super::{As, Backend, backend};

    async fn app() -> Backend {
        backend(As::App).await
    }

    erp_plugin_storage_conformance::conformance_tests!(app);
}

mod as_owner {
    use super::{As, Backend, backend};

    async fn owner() -> Backend {
        backend(As::Owner).await
    }

    erp_plugin_storage_conformance::conformance_tests!(owner);
}

mod in_partitions {
    use super::{As, Backend, backend};

    async fn partitioned() -> Backend {
        backend(As::Partitioned).await
    }

    erp_plugin_storage_conformance::conformance_tests!(partitioned);
}
