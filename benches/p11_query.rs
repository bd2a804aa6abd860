//! P11: a page of a hundred records.

use serde_json::json;

use crate::bare::BareTable;
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BenchHost, ITEM};

const RECORDS: u64 = 1_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    host.call("insert", RECORDS, &serde_json::from_str(ITEM)?)?;
    let page = json!({ "limit": 100 });

    let folder = tempfile::tempdir()?;
    let mut bare = BareTable::new(folder.path())?;
    bare.connection.execute_batch("BEGIN")?;
    for _ in 0..RECORDS {
        bare.insert()?;
    }
    bare.connection.execute_batch("COMMIT; BEGIN")?;
    Pair {
        id: "P11",
        name: "plugin query of 100 records / bare select of 100 rows",
        goal: Goal::AtMost(1.5),
        ours: &mut |times| host.call("page", times, &page),
        bare: &mut |times| {
            timed(times, || {
                let mut statement = bare.connection.prepare_cached(
                    "SELECT * FROM item WHERE tenant_id = ?1 AND deleted_at IS NULL ORDER BY id LIMIT 100",
                )?;
                let mut rows = statement.query(["acme"])?;
                let mut count = 0;
                while let Some(row) = rows.next()? {
                    for column in 0..17 {
                        std::hint::black_box(row.get_ref(column)?);
                    }
                    count += 1;
                }
                anyhow::ensure!(count == 100, "{count} rows");
                Ok(())
            })
        },
    }
    .run()
}
