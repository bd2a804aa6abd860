//! P26: how long a guest that never ends goes on, against its deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use erp_plugin::Limits;
use serde_json::json;

use crate::compare::{Goal, Pair};
use crate::hosts::{BenchHost, generous};

const DEADLINE: Duration = Duration::from_millis(100);
/// A tick of the epoch, and two milliseconds.
const SLACK: Duration = Duration::from_millis(5 + 2);

pub(crate) fn run() -> anyhow::Result<()> {
    let limits = Limits { deadline_ms: DEADLINE.as_millis() as u64, ..generous() };
    let host = BenchHost::limited(limits)?;
    let (bench, identity) = (&host.host, &host.identity);
    let goal = (DEADLINE + SLACK).as_millis() as f64 / DEADLINE.as_millis() as f64;
    Pair {
        id: "P26",
        name: "time to stop a loop that never ends / its deadline of 100 ms",
        goal: Goal::AtMost(goal),
        ours: &mut |times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                let (bench, identity) = (Arc::clone(bench), identity.clone());
                let task = async move {
                    let start = Instant::now();
                    let report =
                        bench.call(identity, "bench", "bench.perm", &json!([i32::MAX, null])).await?;
                    let took = start.elapsed();
                    ensure!(report.outcome.is_err(), "it ended by itself");
                    Ok(took)
                };
                took += host.runtime.block_on(host.runtime.spawn(task))??;
            }
            Ok(took)
        },
        bare: &mut |times| Ok(DEADLINE * u32::try_from(times).unwrap_or(u32::MAX)),
    }
    .run()
}
