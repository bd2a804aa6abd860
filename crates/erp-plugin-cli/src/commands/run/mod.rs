//! `erp-plugin run`: one plugin, one event, and everything that came of it.

mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use erp_plugin::Limits;
use erp_plugin::{EventType, PluginHost, PluginName, PluginSummary, TenantId};

use crate::database::{self, Database};
use crate::exit::{CODES, Exit};
use crate::identity::{self, UserRights};
use crate::settings::{Flags, Group, Settings};
use crate::{host, input, output};
use report::Report;

/// Let a plugin handle one event, and show what it did
///
/// Installs the component, enables it in the tenant (which is made if it is new), sets its configuration, and calls
/// its handler once, at once: nothing waits in a queue. Everything that it wrote is kept if it said ok, and undone if
/// it did not. What it published stays in the outbox.
///
/// Without --db everything happens in memory and is gone afterwards, in a build with SQLite. Without --user the host itself acts.
#[derive(clap::Args)]
#[command(after_help = format!("\
Examples:
  erp-plugin run crm.component.wasm --event order.created --payload '{{\"id\":\"SO-1\"}}' --tenant acme
  erp-plugin run crm.component.wasm --event order.created --payload @order.json --tenant acme --db erp.db
  erp-plugin run crm.component.wasm --event order.created --payload @order.json --tenant acme \\
      --user ada --role sales --permission crm.lead.read --config crm.toml --fuel 1000000 --json

{CODES}"))]
pub(crate) struct Arguments {
    /// The component, a .component.wasm file
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    /// The event's type, such as order.created
    #[arg(long, value_name = "TYPE")]
    event: EventType,
    /// The event's payload, or @ and the file that holds it
    #[arg(long, value_name = "JSON|@FILE")]
    payload: String,
    /// The tenant; made if it is new
    #[arg(long, value_name = "T")]
    tenant: TenantId,
    #[command(flatten)]
    _database: database::Flags,
    #[command(flatten)]
    acting: identity::Arguments,
    /// The plugin's configuration in this tenant: a JSON object or TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The name of a component without a manifest; its file's name without it
    #[arg(long, value_name = "N")]
    name: Option<PluginName>,
    #[command(flatten)]
    _limits: Flags<Trying>,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What one tries a plugin with.
struct Trying;

impl Group for Trying {
    fn has(flag: &str) -> bool {
        ["fuel", "memory", "deadline", "no-cache"].contains(&flag)
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let payload = input::json(&arguments.payload, "--payload")?;
    let config = arguments.config.as_deref().map(input::config).transpose()?.unwrap_or_default();
    let component = input::component(&arguments.component)?;
    let options = input::install_options(&arguments.component, &component, arguments.name.clone())?;
    let (identity, rights) = arguments.acting.identity(&arguments.tenant)?;
    let host = host(settings, rights).await?;

    let tenant = arguments.tenant.as_str();
    host.create_tenant(tenant).await?;
    let file = || arguments.component.display().to_string();
    let plugin = host.install(component, options).await.with_context(file)?;
    let name = plugin.name.as_str();
    for (key, value) in config {
        host.set_config(tenant, name, &key, Some(value)).await?;
    }
    host.enable(tenant, name).await.with_context(file)?;
    let done = host.call(identity, name, arguments.event.as_str(), &payload).await?;

    let report = Report::new(&host, &plugin, &arguments.tenant, &arguments.event, &done).await?;
    if arguments.json {
        output::print_json(&report)?;
    } else {
        plugin.notes.iter().for_each(|note| output::note(note));
        output::print(&report.to_text(&limits_of(settings, &plugin)))?;
    }
    if let Err(error) = &done.outcome {
        output::error(&error.clone().into(), false);
    }
    Ok(match (&done.outcome, &done.detail) {
        (Ok(()), _) => Exit::Done,
        (Err(_), None) => Exit::HandlerError,
        // The guest did not come to an answer.
        (Err(_), Some(_)) => Exit::Stopped,
    })
}

/// What the plugin got: what it asks for, capped.
fn limits_of(settings: &Settings, plugin: &PluginSummary) -> Limits {
    let mut limits = settings.options.limits.clone();
    for (kind, value) in plugin.manifest.iter().flat_map(|manifest| &manifest.limits) {
        limits.set(*kind, *value);
    }
    limits.capped_by(&settings.options.caps)
}

async fn host(settings: &Settings, rights: UserRights) -> Result<PluginHost> {
    let database = Database::set_or_memory(settings)?;
    Ok(host::builder(settings, &database).await?.authorizer(rights).stored_roles().build().await?)
}
