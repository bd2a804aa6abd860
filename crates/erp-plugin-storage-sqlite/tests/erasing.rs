//! A tenant that has left is named nowhere in the file: looked for from outside, in every column of every table.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

use std::path::Path;
use std::sync::Arc;

use erp_plugin_model::TenantId;
use erp_plugin_storage::Storage;
use erp_plugin_storage::erase::erase;
use erp_plugin_storage_conformance::estate;
use erp_plugin_storage_sqlite::{SqliteOptions, SqliteStorage};
use rusqlite::types::Value;

/// The tables in which this text is the value of a column.
fn named(path: &Path, wanted: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut tables = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .unwrap();
    let tables: Vec<String> =
        tables.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let holds = |table: &String| {
        let mut all = connection.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query(()).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                if row.get::<_, Value>(column).unwrap() == Value::Text(wanted.to_owned()) {
                    return true;
                }
            }
        }
        false
    };
    tables.into_iter().filter(holds).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_left_is_named_in_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&SqliteOptions::file(&path)).unwrap());
    estate::fill_any(&storage).await;
    let (alpha, others) = (named(&path, "alpha"), named(&path, "beta"));
    assert!(alpha.len() >= 15 && alpha.iter().any(|table| table == "tenants"), "{alpha:?}");
    let tenant = TenantId::parse("alpha").unwrap();
    erase(&*storage, &tenant, &mut |_| {}).await.unwrap();
    assert_eq!(named(&path, "alpha"), Vec::<String>::new());
    assert_eq!(
        named(&path, "beta").into_iter().filter(|table| table != "turns").collect::<Vec<_>>(),
        others.into_iter().filter(|table| table != "turns").collect::<Vec<_>>()
    );
}
