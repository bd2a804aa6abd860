//! `cargo xtask bench-report`: runs the benchmarks and writes `docs/benchmarks.md`.
//!
//! With `BENCH_JSON=1` a benchmark prints one line of JSON per figure to standard output; every other line is passed
//! through. The text around the table is `xtask/templates/benchmarks.md`.

use std::env;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::postgres::{self, Durability};
use crate::{build_plugins, preflight, repository, step};

const TEMPLATE: &str = include_str!("../templates/benchmarks.md");

/// A figure as a benchmark prints it.
#[derive(Debug, PartialEq, Deserialize)]
struct Figure {
    id: String,
    name: String,
    ours_ns: f64,
    /// Absent where there is nothing to compare with.
    bare_ns: Option<f64>,
    ratio: Option<f64>,
    /// A number or a text.
    goal: Value,
    rounds: u64,
}

pub(crate) fn run() -> Result<()> {
    preflight::host()?;
    build_plugins::build(&build_plugins::Arguments::default())?;
    let root = repository::root();
    let mut benches = step::cargo(&root, &["bench", "-p", "erp-plugin-benches"]);
    // One of our own waits for the disk, as it does in life; of another the benchmark finds out.
    let server = match postgres::find() {
        Ok(source) => Some(source.start(Durability::On)?),
        Err(absent) => {
            println!("NOT RUN: the benchmarks on Postgres: {absent}");
            None
        }
    };
    if let Some(server) = &server {
        benches.env(postgres::VARIABLE, server.url());
    }
    let output = step::output(benches.env("BENCH_JSON", "1"))?;
    drop(server);
    let (figures, other) = read(&output)?;
    for line in other {
        println!("{line}");
    }
    if figures.is_empty() {
        bail!("the benchmarks printed no figures; docs/benchmarks.md is left as it was");
    }
    let path = root.join("docs/benchmarks.md");
    let report = TEMPLATE
        .replace("{{table}}", &table(&figures))
        .replace("{{commit}}", &commit()?)
        .replace("{{rustc}}", step::output(Command::new("rustc").arg("--version"))?.trim())
        .replace("{{machine}}", &machine());
    fs::write(&path, report).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} figures written to {}", figures.len(), repository::show(&path));
    Ok(())
}

/// Tells the figures from the lines that are meant for people.
fn read(output: &str) -> Result<(Vec<Figure>, Vec<&str>)> {
    let mut figures = Vec::new();
    let mut other = Vec::new();
    for line in output.lines() {
        if line.starts_with('{') {
            figures.push(serde_json::from_str(line).with_context(|| format!("no figure: {line}"))?);
        } else {
            other.push(line);
        }
    }
    Ok((figures, other))
}

fn table(figures: &[Figure]) -> String {
    let mut table = "| | what | ours | bare | ratio | goal | rounds |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for Figure { id, name, ours_ns, bare_ns, ratio, goal, rounds } in figures {
        let ours = duration(*ours_ns);
        let bare = bare_ns.map_or_else(|| "–".to_owned(), duration);
        let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let goal = goal.as_str().map_or_else(|| goal.to_string(), ToOwned::to_owned);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {id} | {name} | {ours} | {bare} | {ratio} | {goal} | {rounds} |");
    }
    table.trim_end().to_owned()
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// The commit and its date; `-dirty` says that the tree held more than that.
fn commit() -> Result<String> {
    let git = |arguments: &[&str]| {
        step::output(Command::new("git").current_dir(repository::root()).args(arguments))
    };
    let name = git(&["describe", "--always", "--dirty", "--exclude", "*"])?;
    let date = git(&["log", "-1", "--format=%cs"])?;
    Ok(format!("{} of {}", name.trim(), date.trim()))
}

fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(env::consts::ARCH, |(_, model)| model);
    format!("{cores} cores of {model}, {}", env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"running
{"id":"P1","name":"call","ours_ns":4200.0,"bare_ns":4000,"ratio":1.05,"goal":1.1,"rounds":51}
{"id":"P9","name":"order","ours_ns":2000000,"bare_ns":null,"ratio":null,"goal":"≤ 60 ms","rounds":9}
done"#;

    #[test]
    fn figures_become_a_table_and_other_lines_are_kept() {
        let (figures, other) = read(OUTPUT).unwrap();
        assert_eq!(other, ["running", "done"]);
        let table = table(&figures);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| P1 | call | 4.20 µs | 4.00 µs | 1.05 | 1.1 | 51 |",
                "| P9 | order | 2.00 ms | – | – | ≤ 60 ms | 9 |",
            ]
        );
    }

    #[test]
    fn a_line_that_is_almost_a_figure_is_an_error() {
        assert!(read(r#"{"id":"P1"}"#).is_err());
    }

    #[test]
    fn the_template_has_a_place_for_everything() {
        for place in ["{{table}}", "{{commit}}", "{{rustc}}", "{{machine}}"] {
            assert!(TEMPLATE.contains(place), "{place}");
        }
    }
}
