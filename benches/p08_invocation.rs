//! P8: one invocation that inserts one record and commits it, against one insert that commits itself.

use crate::bare::BareTable;
use crate::compare::{Goal, Pair, timed};
use crate::hosts::{BenchHost, ITEM};

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    let folder = tempfile::tempdir()?;
    let mut bare = BareTable::new(folder.path())?;
    let item = serde_json::from_str(ITEM)?;
    Pair {
        id: "P8",
        name: "one invocation, one insert, own commit / bare autocommit insert, both FULL",
        goal: Goal::AtMost(1.10),
        ours: &mut |times| host.invocations(times, "insert", &item),
        bare: &mut |times| timed(times, || bare.insert().map(|_| ())),
    }
    .run()
}
