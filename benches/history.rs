//! What it costs that every change of a record is noted: an entity with a history, against one without.

use anyhow::ensure;
use serde_json::json;

use crate::compare::{Goal, Pair};
use crate::hosts::{BenchHost, ITEM};

pub(crate) fn run() -> anyhow::Result<()> {
    let (with, without) = (BenchHost::with_history()?, BenchHost::new()?);
    let item = serde_json::from_str(ITEM)?;
    for (host, expected) in [(&with, 1), (&without, 0)] {
        host.call("insert", 1, &item)?;
        let records = host.host.records(host.identity.clone());
        let page = host.runtime.block_on(records.history("bench.item", None, &json!({})))?;
        let noted = page.get("items").and_then(|items| items.as_array()).map_or(0, Vec::len);
        ensure!(noted == expected, "{noted} changes were noted, not {expected}");
    }
    Pair {
        id: "history",
        name: "record insert that is noted / that is not, in a transaction",
        goal: Goal::AtMost(2.0),
        ours: &mut |times| with.call("insert", times, &item),
        bare: &mut |times| without.call("insert", times, &item),
    }
    .run()?;
    Pair {
        id: "history",
        name: "one invocation, one insert that is noted / that is not, own commit, both FULL",
        goal: Goal::AtMost(1.25),
        ours: &mut |times| with.invocations(times, "insert", &item),
        bare: &mut |times| without.invocations(times, "insert", &item),
    }
    .run()
}
