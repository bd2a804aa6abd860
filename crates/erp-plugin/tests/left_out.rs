//! What is said of a backend that was left out of the build. Nothing of this is there in a build with all of them;
//! `cargo xtask features` runs it in one for each.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(all(feature = "postgres", feature = "sqlite")))]

async fn refused(url: &str) -> String {
    erp_plugin::storage(url).await.err().unwrap().to_string()
}

#[cfg(not(feature = "postgres"))]
#[tokio::test]
async fn a_postgres_url_names_its_feature() {
    for url in ["postgres://u:secret@h/d", "postgresql:///d"] {
        assert_eq!(
            refused(url).await,
            "this program was built without Postgres; build it again with --features postgres"
        );
    }
}

#[cfg(not(feature = "sqlite"))]
#[tokio::test]
async fn a_sqlite_url_names_its_feature() {
    for url in ["sqlite:erp.db", "sqlite::memory:"] {
        assert_eq!(
            refused(url).await,
            "this program was built without SQLite; build it again with --features sqlite"
        );
    }
}
