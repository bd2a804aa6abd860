//! P7: a record inserted by a plugin, inside a transaction.

use std::time::Instant;

use crate::bare::BareTable;
use crate::compare::{Goal, Pair};
use crate::hosts::{BenchHost, ITEM};

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    let folder = tempfile::tempdir()?;
    let mut bare = BareTable::new(folder.path())?;
    let item = serde_json::from_str(ITEM)?;
    Pair {
        id: "P7",
        name: "plugin record insert / bare cached insert of the same row, in a transaction",
        goal: Goal::AtMost(2.0),
        ours: &mut |times| host.call("insert", times, &item),
        bare: &mut |times| {
            let start = Instant::now();
            bare.connection.execute_batch("BEGIN IMMEDIATE")?;
            for _ in 0..times {
                bare.insert()?;
            }
            bare.connection.execute_batch("COMMIT")?;
            Ok(start.elapsed())
        },
    }
    .run()
}
