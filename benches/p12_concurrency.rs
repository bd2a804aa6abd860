//! P12: sixteen invocations at once against one at a time, both with FULL durability: what sharing a commit gives.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::compare::{Goal, Pair};
use crate::hosts::{BenchHost, ITEM};

const AT_ONCE: u64 = 16;

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    let item: Value = serde_json::from_str(ITEM)?;
    let payload = json!([1, item]);
    Pair {
        id: "P12",
        name: "one at a time / sixteen at once: inserts with their own commit, FULL",
        goal: Goal::FasterBy(6.0),
        ours: &mut |times| {
            let start = Instant::now();
            host.runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                for task in 0..AT_ONCE {
                    let (bench, identity, payload) =
                        (Arc::clone(&host.host), host.identity.clone(), payload.clone());
                    let share = times / AT_ONCE + u64::from(task < times % AT_ONCE);
                    tasks.spawn(async move {
                        for _ in 0..share {
                            let report =
                                bench.call(identity.clone(), "bench", "bench.insert", &payload).await?;
                            report.outcome?;
                        }
                        anyhow::Ok(())
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done??;
                }
                anyhow::Ok(())
            })?;
            Ok(start.elapsed())
        },
        bare: &mut |times| host.invocations(times, "insert", &item),
    }
    .run()
}
