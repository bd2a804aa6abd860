//! P10: a record read by its id.

use serde_json::json;

use crate::bare::BareTable;
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BenchHost, ITEM};

/// Records there are, of which one is read.
const RECORDS: u64 = 1_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    host.call("insert", RECORDS, &serde_json::from_str(ITEM)?)?;
    let records = host.host.records(host.identity.clone());
    let page = host.runtime.block_on(records.query("bench.item", &json!({}), &json!({ "limit": 1 })))?;
    let id = page.pointer("/items/0/id").and_then(serde_json::Value::as_str).unwrap_or_default();
    let filter = json!({ "id": id });

    let folder = tempfile::tempdir()?;
    let mut bare = BareTable::new(folder.path())?;
    let mut id = [0; 16];
    bare.connection.execute_batch("BEGIN")?;
    for _ in 0..RECORDS {
        id = bare.insert()?;
    }
    bare.connection.execute_batch("COMMIT; BEGIN")?;
    Pair {
        id: "P10",
        name: "plugin get by id / bare cached select by id",
        goal: Goal::AtMost(1.6),
        ours: &mut |times| host.call("query", times, &filter),
        bare: &mut |times| {
            timed(times, || {
                let mut statement = bare.connection.prepare_cached(
                    "SELECT * FROM item WHERE tenant_id = ?1 AND id = ?2 AND deleted_at IS NULL",
                )?;
                let name: String = statement.query_row(rusqlite::params!["acme", id], |row| {
                    for column in 0..17 {
                        std::hint::black_box(row.get_ref(column)?);
                    }
                    row.get("name")
                })?;
                anyhow::ensure!(name == "Chai", "another record");
                Ok(())
            })
        },
    }
    .run()
}
