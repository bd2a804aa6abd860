//! `erp-plugin jobs`: what plugins do at times of their own, and what became of it.
//!
//! Whoever has the database is the operator, so no right is asked.

mod report;

use anyhow::{Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use erp_plugin::job::RunState;
use erp_plugin::{Clock as _, HostError, JobName, PluginName, RunFilter, RunId, SystemClock, TenantId};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{host, input, output, values};

/// What these commands are about.
const WHAT: &str = "jobs";

/// Show, run and schedule the jobs of plugins
///
/// A plugin declares its jobs; each runs in every tenant in which the plugin is enabled, at the times of its schedule, by
/// `erp-plugin host run` or a host that is embedded. What became of each run is kept for a while.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin jobs list --tenant acme --db erp.db
  erp-plugin jobs run inventory reorder --tenant acme --db erp.db
  erp-plugin jobs history --tenant acme --state failed --db erp.db
  erp-plugin jobs retry 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --tenant acme --db erp.db")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    List(List),
    Run(Run),
    Schedule(Schedule),
    History(History),
    Retry(Retry),
    Cancel(Cancel),
}

/// List the jobs of a tenant: when they run, when next, and what became of them the last time
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin jobs list --tenant acme --db erp.db")]
struct List {
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    target: Target,
}

/// Run a job at once, and wait for its end
///
/// Ends with 4 when the plugin answered with an error, and with 5 when it was stopped. What failed is not tried again by itself.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin jobs run inventory reorder --tenant acme --db erp.db")]
struct Run {
    #[command(flatten)]
    job: OfPlugin,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    target: Target,
}

/// Have a job run once, at a moment
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin jobs schedule inventory reorder 2026-01-31T22:00:00Z --tenant acme --db erp.db
  erp-plugin jobs schedule inventory import 2h '{\"file\":\"stock.csv\"}' --tenant acme --db erp.db")]
struct Schedule {
    #[command(flatten)]
    job: OfPlugin,
    /// When: 2026-01-31T22:00:00Z, or so long from now: 2h
    #[arg(value_name = "WHEN", value_parser = when)]
    at: When,
    /// What the plugin is given: JSON, @ and the file that holds it, or - for standard input
    #[arg(value_name = "DATA")]
    payload: Option<String>,
    #[command(flatten)]
    tenant: OfTenant,
    #[command(flatten)]
    target: Target,
}

/// List runs, the latest at last: those that wait, and what became of the others
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin jobs history --tenant acme --plugin inventory --job reorder --limit 50 --db erp.db")]
struct History {
    #[command(flatten)]
    tenant: OfTenant,
    /// Of this plugin only
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    /// Of this job only
    #[arg(long, value_name = "JOB")]
    job: Option<JobName>,
    /// In this state only: waiting, running, done, failed, skipped
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<RunState>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

/// Have a run that failed, or waits to be tried again, be tried again now
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin jobs retry 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --tenant acme --db erp.db")]
struct Retry {
    #[command(flatten)]
    run: OfRun,
    #[command(flatten)]
    target: Target,
}

/// Pass over a run that waits
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin jobs cancel 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --tenant acme --db erp.db")]
struct Cancel {
    #[command(flatten)]
    run: OfRun,
    #[command(flatten)]
    target: Target,
}

/// Which tenant's.
#[derive(clap::Args)]
struct OfTenant {
    /// The tenant
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
}

/// Which job.
#[derive(clap::Args)]
struct OfPlugin {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The plugin's job
    #[arg(value_name = "JOB")]
    job: JobName,
}

/// Which run.
#[derive(clap::Args)]
struct OfRun {
    /// The run's id
    #[arg(value_name = "ID")]
    run: String,
    #[command(flatten)]
    tenant: OfTenant,
}

impl OfRun {
    fn parts(&self) -> Result<(RunId, &str)> {
        let Some(run) = RunId::parse(&self.run) else {
            bail!(HostError::invalid(format!("{:?} is no id of a run; `jobs history` shows them", self.run)));
        };
        Ok((run, self.tenant.tenant.as_str()))
    }
}

/// A moment: named, or so long from now.
#[derive(Clone, Copy)]
enum When {
    At(DateTime<Utc>),
    In(TimeDelta),
}

impl When {
    /// The moment, seen from now; `None` after there is time.
    fn seen_from(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::At(time) => Some(time),
            Self::In(time) => now.checked_add_signed(time),
        }
    }
}

fn when(text: &str) -> Result<When, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(When::At(time.to_utc()));
    }
    let length = values::duration(text).and_then(|length| TimeDelta::from_std(length).ok());
    length.map(When::In).ok_or_else(|| "write it as 2026-01-31T22:00:00Z, or as 2h from now".to_owned())
}

fn state(text: &str) -> Result<RunState, String> {
    RunState::parse(text).ok_or_else(|| {
        let names = RunState::ALL.map(RunState::as_str);
        format!("it must be one of {}", names.join(", "))
    })
}

impl Arguments {
    fn target(&self) -> &Target {
        match &self.verb {
            Verb::List(arguments) => &arguments.target,
            Verb::Run(arguments) => &arguments.target,
            Verb::Schedule(arguments) => &arguments.target,
            Verb::History(arguments) => &arguments.target,
            Verb::Retry(arguments) => &arguments.target,
            Verb::Cancel(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let target = arguments.target();
    match &arguments.verb {
        Verb::List(List { tenant, .. }) => {
            let jobs = target.host(settings, WHAT).await?.jobs().list(tenant.tenant.as_str()).await?;
            if target.json {
                let jobs: Vec<Json> = jobs.iter().map(report::job_json).collect();
                output::print_json(&json!({ "jobs": jobs }))?;
            } else {
                output::print(&report::jobs(&jobs))?;
            }
        }
        Verb::Run(arguments) => return run_job(settings, target, arguments).await,
        Verb::Schedule(arguments) => schedule(settings, target, arguments).await?,
        Verb::History(History { tenant, plugin, job, state, limit, .. }) => {
            let filter = RunFilter { plugin: plugin.clone(), job: job.clone(), state: *state };
            let host = target.host(settings, WHAT).await?;
            let mut runs = host.jobs().history(tenant.tenant.as_str(), filter, *limit).await?;
            runs.reverse();
            if target.json {
                let runs: Vec<Json> = runs.iter().map(report::run_json).collect();
                output::print_json(&json!({ "runs": runs }))?;
            } else {
                output::print(&report::runs(&runs))?;
            }
        }
        Verb::Retry(Retry { run, .. }) => {
            let (run, tenant) = run.parts()?;
            target.host(settings, WHAT).await?.jobs().retry(tenant, run).await?;
            target.done(&format!("run {run} is tried again"), json!({ "retried": run.to_string() }))?;
        }
        Verb::Cancel(Cancel { run, .. }) => {
            let (run, tenant) = run.parts()?;
            target.host(settings, WHAT).await?.jobs().cancel(tenant, run).await?;
            target.done(&format!("run {run} is cancelled"), json!({ "cancelled": run.to_string() }))?;
        }
    }
    Ok(Exit::Done)
}

async fn run_job(settings: &Settings, target: &Target, arguments: &Run) -> Result<Exit> {
    let Run { job: OfPlugin { plugin, job }, tenant, .. } = arguments;
    let host = host::builder(settings, &Database::existing(settings, WHAT)?).await?.build().await?;
    let ran = host.jobs().run(tenant.tenant.as_str(), plugin.as_str(), job.as_str()).await?;
    let name = format!("{plugin}'s job {job} in {}", tenant.tenant);
    target.done(&report::ran(&name, &ran), report::ran_json(&ran))?;
    if let Err(error) = &ran.report.outcome {
        output::error(&error.clone().into(), false);
    }
    Ok(match (&ran.report.outcome, &ran.report.detail) {
        (Ok(()), _) => Exit::Done,
        (Err(_), None) => Exit::HandlerError,
        (Err(_), Some(_)) => Exit::Stopped,
    })
}

async fn schedule(settings: &Settings, target: &Target, arguments: &Schedule) -> Result<()> {
    let Schedule { job: OfPlugin { plugin, job }, at, payload, tenant, .. } = arguments;
    let payload = payload.as_deref().map(input::json_or_stdin).transpose()?;
    let Some(at) = at.seen_from(SystemClock.now()) else {
        bail!(HostError::invalid("WHEN is after the end of time; give an earlier moment"));
    };
    let host = target.host(settings, WHAT).await?;
    let tenant = tenant.tenant.as_str();
    let run = host.jobs().schedule(tenant, plugin.as_str(), job.as_str(), at, payload.as_ref()).await?;
    let at = report::time(at);
    target.done(
        &format!("{plugin}'s job {job} runs in {tenant} at {at}, as run {run}"),
        json!({ "run": run.to_string(), "at": at }),
    )
}
