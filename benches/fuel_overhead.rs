//! P13: what counting fuel and watching the clock cost a guest: each alone, both, and neither, for arithmetic, JSON
//! and host calls.
//!
//! Before anything is measured each configuration proves that it applied: fuel is counted where it is on and not
//! where it is off, and a guest that computes past its deadline is stopped where epochs are on and runs to its end
//! where they are off.

use std::time::{Duration, Instant};

use anyhow::ensure;
use erp_plugin::{EngineOptions, Limits};
use erp_plugin_runtime::Export;
use serde_json::{Value, json};

use crate::compare::{Goal, Pair};
use crate::hosts::{BareRuntime, ITEM, generous, guest, plugin};

const CONFIGURATIONS: [(&str, bool, bool); 3] =
    [("fuel", true, false), ("epochs", false, true), ("fuel and epochs", true, true)];

/// A piece of work: the guest, the event, its payload for so many rounds.
struct Work {
    name: &'static str,
    component: Vec<u8>,
    event: &'static str,
    payload: fn(u64) -> Value,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let sample = plugin("test-sample")?;
    let works = [
        Work {
            name: "arithmetic",
            component: sample.clone(),
            event: "sample.spin",
            payload: |rounds| json!({ "rounds": rounds }),
        },
        Work {
            name: "JSON",
            component: sample,
            event: "sample.json",
            payload: |rounds| json!({ "rounds": rounds, "data_raw": ITEM }),
        },
        Work {
            name: "host calls",
            component: guest()?,
            event: "bench.perm",
            payload: |rounds| json!([rounds, 0]),
        },
    ];
    for work in &works {
        let off = Configured::new(work, false, false)?;
        for (name, fuel, epochs) in CONFIGURATIONS {
            let on = Configured::new(work, fuel, epochs)?;
            Pair {
                id: "P13",
                name: &format!("{}: {name} on / off", work.name),
                goal: Goal::AtMost(1.55),
                ours: &mut |rounds| on.run(work, rounds).map(|(took, _)| took),
                bare: &mut |rounds| off.run(work, rounds).map(|(took, _)| took),
            }
            .run()?;
        }
    }
    Ok(())
}

struct Configured(BareRuntime);

impl Configured {
    fn new(work: &Work, fuel: bool, epochs: bool) -> anyhow::Result<Self> {
        let options = || EngineOptions { fuel, epochs, ..EngineOptions::default() };
        let configured = Self(BareRuntime::new(work.component.clone(), options(), generous())?);
        let (_, burnt) = configured.run(work, 1_000)?;
        ensure!((burnt > 0) == fuel, "{}: fuel {fuel} did not apply: {burnt} were counted", work.name);

        // As many rounds as take a while, with a deadline well before their end.
        let mut rounds = 10_000;
        while configured.run(work, rounds)?.0 < Duration::from_millis(200) {
            rounds *= 2;
        }
        let (full, _) = configured.run(work, rounds)?;
        let hurried =
            BareRuntime::new(work.component.clone(), options(), Limits { deadline_ms: 20, ..generous() })?;
        let (took, result) = call(&hurried, work, rounds);
        ensure!(result.is_err(), "{}: a call past its deadline was not refused", work.name);
        ensure!(
            (took < full / 2) == epochs,
            "{}: epochs {epochs} did not apply: {took:?} of {full:?}",
            work.name
        );
        Ok(configured)
    }

    fn run(&self, work: &Work, rounds: u64) -> anyhow::Result<(Duration, u64)> {
        let (took, result) = call(&self.0, work, rounds);
        Ok((took, result?))
    }
}

/// How long a call took, and the fuel it burnt.
fn call(runtime: &BareRuntime, work: &Work, rounds: u64) -> (Duration, anyhow::Result<u64>) {
    let export = Export::HandleEvent {
        event_type: work.event.to_owned(),
        payload: (work.payload)(rounds).to_string(),
    };
    runtime.runtime.block_on(async {
        let start = Instant::now();
        let called = runtime.plugin.call(runtime.invocation(), &export).await;
        let took = start.elapsed();
        let fuel = called.measured.fuel;
        let result = match called.result {
            Ok(Ok(())) => Ok(fuel),
            Ok(Err(text)) => Err(anyhow::Error::msg(text)),
            Err(failure) => Err(failure.into()),
        };
        (took, result)
    })
}
