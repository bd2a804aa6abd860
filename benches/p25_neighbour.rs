//! P25: what a tenant's invocations take while another one computes as much as it can, against alone: of a hundred, the
//! ninety-ninth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use erp_plugin::{Identity, TenantId};
use serde_json::json;

use crate::compare::{Goal, Pair};
use crate::hosts::BenchHost;

/// Invocations that the other tenant has under way.
const AT_ONCE: usize = 16;
/// Host calls of one of them, some tens of milliseconds.
const BUSY: u64 = 100_000;
/// Host calls of one of the tenant's that is measured, some milliseconds.
const OWN: u64 = 10_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let host = BenchHost::new()?;
    let other = Identity { tenant: TenantId::parse("globex")?, ..host.identity.clone() };
    host.runtime.block_on(async {
        host.host.create_tenant("globex").await?;
        host.host.enable("globex", "bench").await
    })?;
    // The 99th of a hundred, as often as asked: what it took stands for each.
    let measured = |times: u64| -> anyhow::Result<Duration> {
        let (bench, identity) = (Arc::clone(&host.host), host.identity.clone());
        let task = async move {
            let payload = json!([OWN, null]);
            let mut took = Vec::new();
            for _ in 0..100 {
                let start = Instant::now();
                bench.call(identity.clone(), "bench", "bench.perm", &payload).await?.outcome?;
                took.push(start.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            took.sort();
            anyhow::Ok(took.get(98).copied().unwrap_or_default())
        };
        let ninety_ninth = host.runtime.block_on(host.runtime.spawn(task))??;
        Ok(ninety_ninth * u32::try_from(times).unwrap_or(u32::MAX))
    };
    Pair {
        id: "P25",
        name: "99th of 100 invocations while another tenant computes / alone",
        goal: Goal::AtMost(2.0),
        ours: &mut |times| {
            let stop = Arc::new(AtomicBool::new(false));
            let busy: Vec<_> = (0..AT_ONCE)
                .map(|_| {
                    let (bench, identity, stop) = (Arc::clone(&host.host), other.clone(), Arc::clone(&stop));
                    host.runtime.spawn(async move {
                        while !stop.load(Ordering::Relaxed) {
                            bench.call(identity.clone(), "bench", "bench.perm", &json!([BUSY, null])).await?;
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            let took = measured(times);
            stop.store(true, Ordering::Relaxed);
            for task in busy {
                host.runtime.block_on(task)??;
            }
            took
        },
        bare: &mut |times| measured(times),
    }
    .run()
}
