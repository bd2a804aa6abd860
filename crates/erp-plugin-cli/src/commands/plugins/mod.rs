//! `erp-plugin plugins`: which there are and run, where they are enabled, and how one leaves.
//!
//! Whoever has the database is the operator, so no right is asked.

pub(super) mod install;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use erp_plugin::{
    AuditFilter, Clock as _, HostError, PluginHost, PluginName, SystemClock, TenantId, portable,
};
use serde_json::{Value as Json, json};

use super::audit;
use super::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::host;
use crate::output;
use crate::progress::Rows;
use crate::settings::Settings;

/// What these commands are about.
const WHAT: &str = "plugins";

/// Install, upgrade, roll back, enable and disable plugins, and take one out of use
///
/// A plugin leaves in two steps. Archived, it does not run, its records are in files, and its tables lie under other names:
/// installing it brings them back. Purged, it is gone for good.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin plugins install inventory.component.wasm --tenant acme --db erp.db
  erp-plugin plugins list --db erp.db
  erp-plugin plugins rollback inventory --db erp.db
  erp-plugin plugins history inventory --db erp.db
  erp-plugin plugins disable inventory --tenant acme --db erp.db
  erp-plugin plugins archive inventory -o inventory.export --db erp.db
  erp-plugin plugins purge inventory --confirm inventory --db erp.db")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Install(install::Install),
    List(List),
    Upgrade(install::Upgrade),
    Rollback(install::Rollback),
    Uninstall(Uninstall),
    /// Enable a plugin in tenants: its init is called there if it never was
    #[command(after_help = "\
Example:
  erp-plugin plugins enable inventory --tenant acme --tenant globex --db erp.db")]
    Enable(Activation),
    /// Disable a plugin in tenants; nothing is lost
    ///
    /// Its records, configuration and waiting deliveries stay. Events that are published meanwhile do not reach it. In force
    /// in a host that is running within a second; what has begun there ends.
    #[command(after_help = "\
Example:
  erp-plugin plugins disable inventory --tenant acme --db erp.db")]
    Disable(Activation),
    History(History),
    Archive(Archive),
    Purge(Purge),
}

/// List the plugins that are or were installed, and where they are enabled
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins list --db erp.db")]
struct List {
    #[command(flatten)]
    target: Target,
}

/// Show what was done about a plugin, by whom and when, the newest first
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins history inventory --db erp.db")]
struct History {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// Only in this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

/// Take a plugin out of use in every tenant
///
/// It is disabled everywhere, no version of it runs any more, and its tables lie under other names: installing it brings its
/// records back. `plugins archive` does the same, and exports what it has. Refused while other plugins refer to its entities
/// or may use them; they are listed. On Postgres it takes a migration URL whose user may act as the owner of the tables.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins uninstall inventory --db erp.db")]
struct Uninstall {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    #[command(flatten)]
    target: Target,
}

/// A plugin, and tenants.
#[derive(clap::Args)]
struct Activation {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The tenant; may be given several times
    #[arg(long, value_name = "TENANT", required = true)]
    tenant: Vec<TenantId>,
    #[command(flatten)]
    target: Target,
}

/// Take a plugin out of use in every tenant, and export what it has
///
/// It is disabled everywhere, no version of it runs any more, and its tables lie under other names, out of everybody's way:
/// installing it brings them back. Then their records, deleted ones as well, with history, configuration and number series,
/// are written to a folder as JSON Lines, a folder in it for each tenant. A command that was stopped is given again.
///
/// Refused while other plugins refer to its entities or may use them; they are listed. `plugins list` shows where it is
/// enabled, to enable it there again. A command that is killed while it writes leaves a folder .erp-plugin-export-…, which
/// can go. On Postgres it takes a migration URL
/// whose user may act as the owner of the tables.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins archive inventory -o inventory.export --db erp.db")]
struct Archive {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The folder, which must not be there yet
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Remove for good what an archived plugin has left
///
/// Its tables with all records, and in every tenant its configuration, deliveries, number series and history; then its
/// versions. What it did stays in log, usage and events. There is no way back. On Postgres it takes a migration URL whose
/// user may act as the owner of the tables. Backups keep what they have.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins purge inventory --confirm inventory --db erp.db")]
struct Purge {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The plugin's name again
    #[arg(long, value_name = "PLUGIN")]
    confirm: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Arguments {
    fn target(&self) -> &Target {
        match &self.verb {
            Verb::Install(arguments) => &arguments.target,
            Verb::List(arguments) => &arguments.target,
            Verb::Upgrade(arguments) => &arguments.target,
            Verb::Rollback(arguments) => &arguments.target,
            Verb::Uninstall(arguments) => &arguments.target,
            Verb::Enable(arguments) | Verb::Disable(arguments) => &arguments.target,
            Verb::History(arguments) => &arguments.target,
            Verb::Archive(arguments) => &arguments.target,
            Verb::Purge(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let target = arguments.target();
    match &arguments.verb {
        Verb::Install(arguments) => install::install(settings, target, arguments).await?,
        Verb::Upgrade(arguments) => return install::upgrade(settings, target, arguments).await,
        Verb::Rollback(arguments) => return install::rollback(settings, target, arguments).await,
        Verb::History(History { plugin, tenant, limit, .. }) => {
            let (tenant, plugin) = (tenant.clone(), Some(plugin.clone()));
            let filter = AuditFilter { tenant, plugin, limit: *limit, ..AuditFilter::default() };
            audit::show(settings, target, WHAT, filter).await?;
        }
        Verb::Uninstall(Uninstall { plugin, .. }) => install::uninstall(settings, target, plugin).await?,
        Verb::List(_) => {
            let states = target.host(settings, WHAT).await?.plugin_states().await?;
            if target.json {
                let states: Vec<Json> = states.iter().map(report::state_json).collect();
                output::print_json(&json!({ "plugins": states }))?;
            } else {
                output::print(&report::table(&states))?;
            }
        }
        Verb::Enable(Activation { plugin, tenant: tenants, .. }) => {
            let host = calling(settings, &Database::existing(settings, WHAT)?).await?;
            for tenant in tenants {
                host.enable(tenant.as_str(), plugin.as_str()).await?;
            }
            target.done(
                &format!("{plugin} is enabled in {}", listed(tenants)),
                enabled(plugin, tenants, true),
            )?;
        }
        Verb::Disable(Activation { plugin, tenant: tenants, .. }) => {
            let host = target.host(settings, WHAT).await?;
            for tenant in tenants {
                host.disable(tenant.as_str(), plugin.as_str()).await?;
            }
            target.done(
                &format!("{plugin} is disabled in {}", listed(tenants)),
                enabled(plugin, tenants, false),
            )?;
        }
        Verb::Archive(Archive { plugin, output, .. }) => archive(settings, target, plugin, output).await?,
        Verb::Purge(Purge { plugin, confirm, .. }) => {
            if confirm.as_deref() != Some(plugin.as_str()) {
                bail!(HostError::invalid(format!(
                    "what is purged is gone for good; give --confirm {plugin} if that is meant"
                )));
            }
            let purged = target.host(settings, WHAT).await?.purge(plugin.as_str()).await?;
            target.done(&report::purged_text(&purged), report::purged_json(&purged))?;
        }
    }
    Ok(Exit::Done)
}

async fn archive(settings: &Settings, target: &Target, plugin: &PluginName, folder: &Path) -> Result<()> {
    // Before anything is done.
    if folder.symlink_metadata().is_ok() {
        bail!(HostError::invalid(format!(
            "{} is there already; name a folder that is not",
            folder.display()
        )));
    }
    let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempdir_in(beside).with_context(|| format!("cannot make a folder in {}", beside.display()))?;
    let archived = target.host(settings, WHAT).await?.archive(plugin.as_str()).await?;
    let storage = erp_plugin::transfer(Database::existing(settings, WHAT)?.url()?).await?;
    let shown = Rows::new();
    let mut progress = |table: &str, rows: u64| shown.tell(&format!("exporting {table}"), rows);
    let exported = portable::export_plugin(&*storage, plugin, SystemClock.now(), folder, &mut progress).await;
    shown.clear();
    let exported = exported?;
    let text = report::archived_plugin_text(&archived, &exported, &folder.display().to_string());
    target.done(&text, report::archived_plugin_json(&archived, &exported))
}

/// A host that calls plugins.
async fn calling(settings: &Settings, database: &Database) -> Result<PluginHost> {
    Ok(host::builder(settings, database).await?.build().await?)
}

fn listed(tenants: &[TenantId]) -> String {
    tenants.iter().map(TenantId::as_str).collect::<Vec<_>>().join(", ")
}

fn enabled(plugin: &PluginName, tenants: &[TenantId], enabled: bool) -> Json {
    let tenants: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
    json!({ "plugin": plugin.as_str(), "tenants": tenants, "enabled": enabled })
}
