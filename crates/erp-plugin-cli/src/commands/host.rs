//! `erp-plugin host`: works off what plugins have to do.

use anyhow::{Context as _, Result};
use erp_plugin::{DrainReport, PluginHost};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::settings::{Flags, Group, Settings};
use crate::values::grouped;
use crate::{host, output};

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
    #[command(flatten)]
    _working: Flags<Working>,
    #[command(flatten)]
    target: Target,
}

/// How deliveries are worked off, and what tenants may have of it.
struct Working;

impl Group for Working {
    fn has(flag: &str) -> bool {
        [
            "streams",
            "lease",
            "keep-events",
            "keep-log",
            "runs",
            "keep-runs",
            "max-retries",
            "max-retry-delay",
            "tenant-concurrent",
            "tenant-queued",
            "tenant-fuel",
        ]
        .contains(&flag)
    }
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        let Verb::Run(arguments) = &self.verb;
        arguments.target.json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let Verb::Run(arguments) = &arguments.verb;
    let host = host(settings).await?;
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

async fn host(settings: &Settings) -> Result<PluginHost> {
    Ok(host::builder(settings, &Database::existing(settings, WHAT)?).await?.build().await?)
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
