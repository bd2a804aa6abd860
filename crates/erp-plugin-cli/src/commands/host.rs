//! `erp-plugin host`: works off what plugins have to do.

use std::time::Duration;

use anyhow::{Context as _, Result};
use erp_plugin::limits::Limits;
use erp_plugin::{DrainReport, PluginHost, Retention, WorkerOptions};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::exit::Exit;
use crate::host::{self, HostOptions};
use crate::output;
use crate::values::{self, grouped};

/// What these commands are about.
const WHAT: &str = "deliveries";

/// Work off deliveries, and run jobs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin host run --db postgres://erp@db.example/erp
  erp-plugin host run --until-done --db erp.db")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Run(Run),
}

/// Deliver events to plugins and run their jobs until it is stopped
///
/// Any number of hosts may run on one Postgres; they share the work, and take over what one that died had in hand. SIGTERM or
/// Ctrl-C lets what has begun end, and loses nothing. What was delivered is kept for a while, and then removed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin host run --db postgres://erp@db.example/erp
  erp-plugin host run --until-done --db erp.db")]
struct Run {
    /// End when no delivery is left to be done now, with retries at once; no job runs
    #[arg(long)]
    until_done: bool,
    /// The most streams of events worked off at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    streams: u32,
    /// After how long without a sign of life others take what a host has in hand
    #[arg(long, value_name = "D", default_value = "10s", value_parser = values::duration)]
    lease: Duration,
    /// How long events are kept that were delivered: 7d, 12h; `never` removes none
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = kept)]
    keep_events: Kept,
    /// How long log lines are kept
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = kept)]
    keep_log: Kept,
    /// The most runs of jobs at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How long runs of jobs are kept that have ended
    #[arg(long, value_name = "AGE", default_value = "90d", value_parser = kept)]
    keep_runs: Kept,
    #[command(flatten)]
    target: Target,
}

/// How long something is kept; for ever without a time.
#[derive(Clone, Copy)]
struct Kept(Option<Duration>);

fn kept(text: &str) -> Result<Kept, String> {
    if text == "never" {
        return Ok(Kept(None));
    }
    values::age(text).map(|age| Kept(Some(age)))
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        let Verb::Run(arguments) = &self.verb;
        arguments.target.json
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit> {
    let Verb::Run(arguments) = &arguments.verb;
    let host = arguments.host().await?;
    let report = if arguments.until_done {
        host.drain().await?
    } else {
        let signals = Signals::new()?;
        let worker = host.start_worker();
        output::note("working off deliveries and jobs; SIGTERM or Ctrl-C lets what has begun end");
        signals.wait().await;
        output::note("stopping: what has begun ends");
        worker.stop().await?
    };
    arguments.target.done(&text(&report), json_of(&report))?;
    Ok(Exit::Done)
}

impl Run {
    async fn host(&self) -> Result<PluginHost> {
        let database = self.target.database.existing(WHAT)?;
        let options = HostOptions { database: &database, limits: Limits::default(), code_cache: true };
        let worker = WorkerOptions {
            streams: self.streams,
            lease: self.lease,
            runs: self.runs,
            retention: Retention { events: self.keep_events.0, log: self.keep_log.0, runs: self.keep_runs.0 },
            ..WorkerOptions::default()
        };
        Ok(host::builder(&options).await?.worker(worker).build().await?)
    }
}

/// What tells a host to stop.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// From here on a signal ends nothing by itself.
    fn new() -> Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .context("cannot wait for SIGTERM")?,
        })
    }

    async fn wait(mut self) {
        #[cfg(unix)]
        let terminate = self.terminate.recv();
        #[cfg(not(unix))]
        let terminate = std::future::pending::<Option<()>>();
        tokio::select! {
            _ = terminate => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

fn text(report: &DrainReport) -> String {
    let DrainReport { events, delivered, failed, dead, runs, failed_runs, .. } = report;
    format!(
        "{} events numbered, {} deliveries handled, {} attempts failed, {} dead letters, {} jobs run, {} jobs failed",
        grouped(*events),
        grouped(*delivered),
        grouped(*failed),
        grouped(dead.len() as u64),
        grouped(*runs),
        grouped(*failed_runs)
    )
}

fn json_of(report: &DrainReport) -> Json {
    let DrainReport { events, delivered, failed, runs, failed_runs, fuel, dead } = report;
    json!({
        "events": events,
        "delivered": delivered,
        "failed": failed,
        "runs": runs,
        "failed_runs": failed_runs,
        "fuel": fuel,
        "dead": dead.len(),
    })
}
