//! `erp-plugin schema`: what another version of a plugin would do to its tables, and doing it.

pub(super) mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use erp_plugin::{HostError, PluginHost, PluginName};
use serde_json::json;

use crate::commands::plugins::install;
use crate::database::{self, Database};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{host, input, output};

/// What these commands are about.
const WHAT: &str = "tables";

/// Plan what another version of a plugin does to its tables, do it, and see what there is
///
/// A version's entities are compared with what the database has. What is safe is done; what records might not fit is looked
/// at first, and nothing is done if they do not; what would put data out of sight is never done without consent, and is
/// kept under another name until it is purged.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Plan(Plan),
    Apply(Apply),
    Status(Status),
    Purge(Purge),
}

/// Show what installing a component would do to its plugin's tables
///
/// Changes nothing. Each step says its class, how many records the entity has, which of them are in the way, and the
/// statements for this database.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin schema plan inventory-0.2.component.wasm --db erp.db

Exit codes:
  0  it can be applied, perhaps with consent
  1  records are in the way, or the plan cannot be made")]
struct Plan {
    #[command(flatten)]
    component: Component,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Install a component: its tables become what it declares, and it runs from then on
///
/// Another version of the plugin is replaced. Who stops this command half-way gives it again; readers go on meanwhile, and
/// writers wait for moments only.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin schema apply inventory-0.2.component.wasm --db erp.db --consent inventory.item.discontinued")]
struct Apply {
    #[command(flatten)]
    component: Component,
    /// What may go out of sight, as the plan names it; may be given several times
    #[arg(long, value_name = "ENTITY[.FIELD]")]
    consent: Vec<String>,
    /// Grant all that the manifest asks for; without it a version gets no rights that the one before it has not
    #[arg(long)]
    accept_rights: bool,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Show what the database has of plugins' tables
#[derive(clap::Args)]
struct Status {
    /// Of this plugin only
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    #[command(flatten)]
    _database: database::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Remove for good what earlier versions of a plugin left behind
///
/// There is no way back. The plugin must be installed: what an archived one has, `plugins purge` removes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin schema purge inventory --confirm inventory --db erp.db")]
struct Purge {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The plugin's name again
    #[arg(long, value_name = "PLUGIN")]
    confirm: Option<String>,
    #[command(flatten)]
    _database: database::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// A component, and the database that it is for.
#[derive(clap::Args)]
struct Component {
    /// The component, a .component.wasm file
    #[arg(value_name = "COMPONENT")]
    file: PathBuf,
    #[command(flatten)]
    _database: database::Flags,
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Plan(Plan { json, .. })
            | Command::Apply(Apply { json, .. })
            | Command::Status(Status { json, .. })
            | Command::Purge(Purge { json, .. }) => *json,
        }
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    match &arguments.command {
        Command::Plan(plan) => self::plan(settings, plan).await,
        Command::Apply(apply) => self::apply(settings, apply).await,
        Command::Status(status) => self::status(settings, status).await,
        Command::Purge(purge) => self::purge(settings, purge).await,
    }
}

async fn open(settings: &Settings, database: &Database) -> Result<PluginHost> {
    Ok(host::builder(settings, database).await?.build().await?)
}

async fn plan(settings: &Settings, arguments: &Plan) -> Result<Exit> {
    let Component { file, .. } = &arguments.component;
    let component = input::component(file)?;
    let options = input::install_options(file, &component, None)?;
    let host = open(settings, &Database::existing(settings, WHAT)?).await?;
    let plan = host.plan(component, options).await.with_context(|| file.display().to_string())?;
    if arguments.json {
        output::print_json(&report::plan_json(&plan))?;
    } else {
        output::print(&report::plan_text(&plan, &file.display().to_string()))?;
    }
    let is_refused = plan.steps.iter().any(erp_plugin::PlannedStep::is_refused);
    Ok(if is_refused { Exit::Failed } else { Exit::Done })
}

async fn apply(settings: &Settings, arguments: &Apply) -> Result<Exit> {
    let Component { file, .. } = &arguments.component;
    let host = open(settings, &Database::kept(settings, WHAT)?).await?;
    let (installed, from) =
        install::put(&host, file, &arguments.consent, arguments.accept_rights, &[]).await?;
    install::tell(arguments.json, &installed, from.as_deref())?;
    Ok(Exit::Done)
}

async fn status(settings: &Settings, arguments: &Status) -> Result<Exit> {
    let host = open(settings, &Database::existing(settings, WHAT)?).await?;
    let mut all = Vec::new();
    for plugin in host.plugins() {
        if arguments.plugin.as_ref().is_none_or(|wanted| *wanted == plugin.name) {
            all.push(host.schema_status(plugin.name.as_str()).await?);
        }
    }
    if let (Some(wanted), true) = (&arguments.plugin, all.is_empty()) {
        bail!(HostError::not_found(format!("no plugin {wanted} is installed; install it first")));
    }
    if arguments.json {
        let plugins: Vec<_> = all.iter().map(report::status_json).collect();
        output::print_json(&json!({ "plugins": plugins }))?;
    } else {
        output::print(&all.iter().map(report::status_text).collect::<String>())?;
    }
    Ok(Exit::Done)
}

async fn purge(settings: &Settings, arguments: &Purge) -> Result<Exit> {
    let name = arguments.plugin.as_str();
    if arguments.confirm.as_deref() != Some(name) {
        bail!(HostError::invalid(format!(
            "what is purged is gone for good; give --confirm {name} if that is meant"
        )));
    }
    let host = open(settings, &Database::existing(settings, WHAT)?).await?;
    let purged = host.purge_archived(name).await?;
    if arguments.json {
        let purged: Vec<_> = purged.iter().map(report::archived_json).collect();
        output::print_json(&json!({ "purged": purged }))?;
    } else if purged.is_empty() {
        output::print(&format!("{name} has left nothing behind\n"))?;
    } else {
        let lines = purged.iter().map(|archived| format!("purged {}\n", report::archived_text(archived)));
        output::print(&lines.collect::<String>())?;
    }
    Ok(Exit::Done)
}
