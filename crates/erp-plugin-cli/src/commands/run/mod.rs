//! `erp-plugin run`: one plugin, one event, and everything that came of it.

mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use erp_plugin::limits::{LimitKind, Limits};
use erp_plugin::{EventType, PluginHost, PluginName, PluginSummary, TenantId};

use crate::exit::{CODES, Exit};
use crate::host::{self, HostOptions};
use crate::identity::{self, UserRights};
use crate::{database, input, output, values};
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
    database: database::Arguments,
    #[command(flatten)]
    acting: identity::Arguments,
    /// The plugin's configuration in this tenant: a JSON object or TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The name of a component without a manifest; its file's name without it
    #[arg(long, value_name = "N")]
    name: Option<PluginName>,
    #[arg(long, value_name = "N", help = limit_help(LimitKind::Fuel, "20000000"),
          value_parser = clap::value_parser!(u64).range(1..))]
    fuel: Option<u64>,
    #[arg(long, value_name = "SIZE", help = limit_help(LimitKind::Memory, "16MiB"), value_parser = memory)]
    memory: Option<u64>,
    #[arg(long, value_name = "D", help = limit_help(LimitKind::Deadline, "500ms or 5s"), value_parser = values::duration)]
    deadline: Option<Duration>,
    /// Compile again, and keep no compiled code
    #[arg(long)]
    no_cache: bool,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

fn limit_help(kind: LimitKind, example: &str) -> String {
    let row = kind.row();
    format!("Limit on {}, such as {example} [default: {}]", row.about, kind.show(row.default))
}

/// A 32-bit guest can address no more.
const MOST_MEMORY: u64 = 4 << 30;

fn memory(text: &str) -> Result<u64, String> {
    let bytes = values::size(text)?;
    if bytes > MOST_MEMORY {
        return Err(format!("a guest has at most {}", LimitKind::Memory.show(MOST_MEMORY)));
    }
    Ok(bytes)
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit> {
    let payload = input::json(&arguments.payload, "--payload")?;
    let config = arguments.config.as_deref().map(input::config).transpose()?.unwrap_or_default();
    let component = input::component(&arguments.component)?;
    let options = input::install_options(&arguments.component, &component, arguments.name.clone())?;
    let (identity, rights) = arguments.acting.identity(&arguments.tenant)?;
    let host = arguments.host(rights).await?;

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
        output::print(&report.to_text(&arguments.limits_of(&plugin)))?;
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

impl Arguments {
    fn limits(&self) -> Limits {
        let defaults = Limits::default();
        Limits {
            fuel: self.fuel.unwrap_or(defaults.fuel),
            memory: self.memory.unwrap_or(defaults.memory),
            deadline_ms: self.deadline.map_or(defaults.deadline_ms, |deadline| {
                u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
            }),
            ..defaults
        }
    }

    /// What the plugin got: what it asks for, capped.
    fn limits_of(&self, plugin: &PluginSummary) -> Limits {
        let mut limits = self.limits();
        for (kind, value) in plugin.manifest.iter().flat_map(|manifest| &manifest.limits) {
            limits.set(*kind, *value);
        }
        limits.capped_by(&self.limits())
    }

    async fn host(&self, rights: UserRights) -> Result<PluginHost> {
        let database = self.database.database_or_memory()?;
        let options = HostOptions { database: &database, limits: self.limits(), code_cache: !self.no_cache };
        Ok(host::builder(&options).await?.authorizer(rights).stored_roles().build().await?)
    }
}
