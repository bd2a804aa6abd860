//! Our figures beside the bare ones, from the same run.
//!
//! `cargo bench` runs all, `cargo bench NAME` those whose name contains NAME. Each figure is measured in rounds that
//! take turns with its bare counterpart; the machine is shared, so only the ratio of the medians means anything. A
//! bench that finds that its configuration did not apply reports nothing and fails.

mod bare;
mod compare;
mod fuel_overhead;
mod history;
mod hosts;
mod outbox;
mod p01_call;
mod p02_sandbox;
mod p06_host_call;
mod p07_insert;
mod p08_invocation;
mod p09_event;
mod p10_get;
mod p11_query;
mod p12_concurrency;
mod p22_events;
mod p23_batches;
mod p24_postgres;
mod p25_neighbour;
mod p26_stop;

type Bench = fn() -> anyhow::Result<()>;

const BENCHES: &[(&str, Bench)] = &[
    ("fuel_overhead", fuel_overhead::run),
    ("history", history::run),
    ("p01_call", p01_call::run),
    ("p02_sandbox", p02_sandbox::run),
    ("p06_host_call", p06_host_call::run),
    ("p07_insert", p07_insert::run),
    ("p08_invocation", p08_invocation::run),
    ("p09_event", p09_event::run),
    ("p10_get", p10_get::run),
    ("p11_query", p11_query::run),
    ("p12_concurrency", p12_concurrency::run),
    ("p22_events", p22_events::run),
    ("p23_batches", p23_batches::run),
    ("p24_postgres", p24_postgres::run),
    ("p25_neighbour", p25_neighbour::run),
    ("p26_stop", p26_stop::run),
];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, bench) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            bench()?;
        }
    }
    Ok(())
}
