//! P9: one invocation that inserts a record and publishes an event, against two inserts in a transaction.

use crate::bare::BareTable;
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BenchHost, ITEM};

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    let folder = tempfile::tempdir()?;
    let mut bare = BareTable::new(folder.path())?;
    let item = serde_json::from_str(ITEM)?;
    Pair {
        id: "P9",
        name: "insert + event in one invocation / bare two inserts in a transaction, both FULL",
        goal: Goal::AtMost(1.25),
        ours: &mut |times| host.invocations(times, "both", &item),
        bare: &mut |times| {
            timed(times, || {
                bare.connection.execute_batch("BEGIN IMMEDIATE")?;
                bare.insert()?;
                bare.insert()?;
                Ok(bare.connection.execute_batch("COMMIT")?)
            })
        },
    }
    .run()
}
