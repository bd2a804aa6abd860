//! Measures two things in turn and prints their medians and the ratio.

use std::time::{Duration, Instant};

use serde_json::json;

/// How a ratio is judged.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours may take at most this many times as long.
    AtMost(f64),
    /// Ours must be at least this many times as fast.
    FasterBy(f64),
}

/// Two ways to do the same.
pub(crate) struct Pair<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) goal: Goal,
    /// Does it so many times and returns how long that took.
    pub(crate) ours: &'a mut dyn FnMut(u64) -> anyhow::Result<Duration>,
    /// See `ours`.
    pub(crate) bare: &'a mut dyn FnMut(u64) -> anyhow::Result<Duration>,
}

/// How long one side of a round is to take.
const ROUND: Duration = Duration::from_millis(40);

fn rounds() -> usize {
    std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(11)
}

impl Pair<'_> {
    /// Measures in rounds that take turns, after one round that does not count.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let ours_times = times(self.ours)?;
        let bare_times = times(self.bare)?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds() {
            ours.push(per_piece((self.ours)(ours_times)?, ours_times));
            bare.push(per_piece((self.bare)(bare_times)?, bare_times));
        }
        let (ours, bare) = (median(&mut ours), median(&mut bare));
        let (ratio, goal, met) = match self.goal {
            Goal::AtMost(goal) => (ours / bare, format!("≤ {goal}"), ours / bare <= goal),
            Goal::FasterBy(goal) => (bare / ours, format!("≥ {goal}"), bare / ours >= goal),
        };
        println!(
            "{:4} {:<62} ours {:>10}  bare {:>10}  ratio {ratio:>6.2}  goal {goal:<7} {}",
            self.id,
            self.name,
            show(ours),
            show(bare),
            if met { "met" } else { "MISSED" }
        );
        if std::env::var_os("BENCH_JSON").is_some() {
            println!(
                "{}",
                json!({
                    "id": self.id, "name": self.name, "ours_ns": ours, "bare_ns": bare, "ratio": ratio, "goal": goal,
                    "rounds": rounds(),
                })
            );
        }
        Ok(())
    }
}

/// How many pieces fill a round: found by doubling, which warms up as well.
fn times(work: &mut dyn FnMut(u64) -> anyhow::Result<Duration>) -> anyhow::Result<u64> {
    let mut times = 1;
    loop {
        let took = work(times)?;
        if took >= ROUND / 2 || times >= 1 << 24 {
            let full = ROUND.as_secs_f64() / took.as_secs_f64() * times as f64;
            return Ok((full as u64).clamp(1, 1 << 24));
        }
        times *= 2;
    }
}

fn per_piece(took: Duration, times: u64) -> f64 {
    took.as_secs_f64() * 1e9 / times as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn show(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 1e4 => format!("{n:.0} ns"),
        n if n < 1e7 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}

/// Times a loop.
pub(crate) fn timed(times: u64, mut piece: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for _ in 0..times {
        piece()?;
    }
    Ok(start.elapsed())
}
