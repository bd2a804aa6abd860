//! `erp-plugin plugins install|upgrade|rollback`: which version of a plugin runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use erp_plugin::{
    ErrorCode, HostError, HostFailure, InstallOptions, Manifest, PluginHost, PluginName, PluginSummary,
    RollbackOptions, TenantId,
};
use serde_json::{Value as Json, json};

use super::calling;
use crate::commands::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{input, output};

/// What these commands are about.
const WHAT: &str = "plugins";

/// Install a plugin that is new, and enable it in tenants
///
/// The component is judged and compiled, its init is tried in a transaction that is rolled back, and its tables are made. A
/// plugin that is installed is refused: `plugins upgrade` has another version run, `plugins enable` adds a tenant.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin plugins install inventory.component.wasm --tenant acme --db erp.db")]
pub(super) struct Install {
    /// The component, a .component.wasm file
    #[arg(value_name = "COMPONENT")]
    file: PathBuf,
    /// Enable it in this tenant; may be given several times
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<TenantId>,
    /// The name of a component without a manifest; its file's name without it
    #[arg(long, value_name = "N")]
    name: Option<PluginName>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Have another version of an installed plugin run
///
/// As `schema plan` says, its tables become what the version declares, or nothing is done. Then its init is called where it
/// is enabled, and a tenant goes to the version with that. Where init fails the version that the tenant had goes on, if it
/// can work on the tables, and else the plugin is disabled there: notes say so, the exit code is 4, and the same command
/// tries it again. Calls that have begun end on the version before.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin plugins upgrade inventory-0.2.component.wasm --tenant acme --db erp.db
  erp-plugin plugins upgrade inventory-0.2.component.wasm --consent inventory.item.discontinued --db erp.db")]
pub(super) struct Upgrade {
    /// The component, a .component.wasm file
    #[arg(value_name = "COMPONENT")]
    file: PathBuf,
    /// What may go out of sight, as the plan names it; may be given several times
    #[arg(long, value_name = "ENTITY[.FIELD]")]
    consent: Vec<String>,
    /// Grant all that the manifest asks for; without it a version gets no rights that the one before it has not
    #[arg(long)]
    accept_rights: bool,
    /// Try it in this tenant alone, while the version that is active goes on in the others; may be given several times. An
    /// upgrade without tenants ends the trial
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<TenantId>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Have a version run again that was installed before
///
/// Its component was kept. Its tables become what it declares, as in an upgrade; what the later version added goes out of
/// sight, which takes consent.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin plugins rollback inventory --db erp.db
  erp-plugin plugins rollback inventory --to 0.1.0 --db erp.db")]
pub(super) struct Rollback {
    /// The plugin
    #[arg(value_name = "PLUGIN")]
    plugin: PluginName,
    /// The version; without one that before the one that runs
    #[arg(long, value_name = "VERSION")]
    to: Option<semver::Version>,
    /// What may go out of sight, as the error names it; may be given several times
    #[arg(long, value_name = "ENTITY[.FIELD]")]
    consent: Vec<String>,
    /// In this tenant alone: back to the version that is active, unless one is given; may be given several times
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<TenantId>,
    #[command(flatten)]
    pub(super) target: Target,
}

pub(super) async fn install(settings: &Settings, target: &Target, arguments: &Install) -> Result<()> {
    let Install { file, tenant: tenants, name, .. } = arguments;
    let component = input::component(file)?;
    let options = input::install_options(file, &component, name.clone())?;
    let host = calling(settings, &Database::kept(settings, WHAT)?).await?;
    if let (name, Some(present)) = present(&host, &component, &options)? {
        bail!(HostError::new(
            ErrorCode::AlreadyExists,
            format!(
                "{name} {present} is installed; `erp-plugin plugins upgrade` has another version run, `erp-plugin plugins enable` \
                 adds a tenant"
            )
        ));
    }
    let installed = host.install(component, options).await.with_context(|| file.display().to_string())?;
    for tenant in tenants {
        host.enable(tenant.as_str(), installed.name.as_str()).await?;
    }
    tell(target.json, &installed, None)
}

pub(super) async fn upgrade(settings: &Settings, target: &Target, arguments: &Upgrade) -> Result<Exit> {
    let Upgrade { file, consent, accept_rights, tenant: tenants, .. } = arguments;
    let component = input::component(file)?;
    let options = input::install_options(file, &component, None)?;
    let host = calling(settings, &Database::existing(settings, WHAT)?).await?;
    if let (name, None) = present(&host, &component, &options)? {
        bail!(HostError::not_found(format!(
            "no plugin {name} is installed; `erp-plugin plugins install` does that"
        )));
    }
    let (installed, from) = put(&host, file, consent, *accept_rights, tenants).await?;
    tell_of(target.json, &installed, from.as_deref(), tenants)
}

pub(super) async fn rollback(settings: &Settings, target: &Target, arguments: &Rollback) -> Result<Exit> {
    let Rollback { plugin, to, consent, tenant: tenants, .. } = arguments;
    let host = calling(settings, &Database::existing(settings, WHAT)?).await?;
    let from = version_of(&host, plugin);
    let options = RollbackOptions { consent: consent.clone(), tenants: tenants.clone() };
    let installed = host.rollback(plugin.as_str(), to.clone(), options).await?;
    tell_of(target.json, &installed, from.as_deref(), tenants)
}

/// Installs a component in the place of whatever version runs; returns that version.
pub(in crate::commands) async fn put(
    host: &PluginHost,
    file: &Path,
    consent: &[String],
    accept_rights: bool,
    tenants: &[TenantId],
) -> Result<(PluginSummary, Option<String>)> {
    let component = input::component(file)?;
    let mut options = input::install_options(file, &component, None)?;
    options.consent = consent.to_vec();
    options.tenants = tenants.to_vec();
    if accept_rights {
        options.granted = manifest(&component)?.map(|manifest| manifest.capabilities);
    }
    let before = host.plugins();
    let installed = host.install(component, options).await.with_context(|| file.display().to_string())?;
    let from = before.iter().find(|own| own.name == installed.name).map(|own| own.version.to_string());
    Ok((installed, from))
}

/// Says which version runs, in the place of which, and where.
fn tell_of(json: bool, installed: &PluginSummary, from: Option<&str>, tenants: &[TenantId]) -> Result<Exit> {
    let exit = if installed.not_in.is_empty() { Exit::Done } else { Exit::SomeRefused };
    if json || tenants.is_empty() {
        tell(json, installed, from)?;
        return Ok(exit);
    }
    installed.notes.iter().for_each(|note| output::note(note));
    let (name, to) = (&installed.name, &installed.version);
    output::print(&format!("{name} {to} runs in {}\n", super::listed(tenants)))?;
    Ok(exit)
}

/// Says which version runs, and in the place of which.
pub(in crate::commands) fn tell(json: bool, installed: &PluginSummary, from: Option<&str>) -> Result<()> {
    let to = installed.version.to_string();
    if json {
        return output::print_json(&json!({
            "plugin": installed.name.as_str(),
            "from": from,
            "to": to,
            "notes": installed.notes,
            "not_in": installed.not_in.iter().map(TenantId::as_str).collect::<Vec<_>>(),
        }));
    }
    installed.notes.iter().for_each(|note| output::note(note));
    let name = &installed.name;
    output::print(&match from {
        Some(from) if from == to => format!("{name} {from} runs as before\n"),
        Some(from) => format!("{name} {to} runs in the place of {from}\n"),
        None => format!("{name} {to} is installed\n"),
    })
}

/// Takes a plugin out of use, and keeps what it has in the database.
pub(super) async fn uninstall(settings: &Settings, target: &Target, plugin: &PluginName) -> Result<()> {
    let archived = target.host(settings, WHAT).await?.archive(plugin.as_str()).await?;
    let version = archived.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let answer: Json = json!({
        "uninstalled": plugin.as_str(),
        "version": archived.version.as_ref().map(ToString::to_string),
        "disabled_in": archived.disabled_in.iter().map(TenantId::as_str).collect::<Vec<_>>(),
    });
    target.done(
        &format!("{plugin}{version} is uninstalled; installing it brings its records back, `plugins purge` removes them"),
        answer,
    )
}

/// The plugin that a component is, and the version of it that runs.
fn present(
    host: &PluginHost,
    component: &[u8],
    options: &InstallOptions,
) -> Result<(PluginName, Option<String>)> {
    let name = match (manifest(component)?, &options.name) {
        (Some(manifest), _) => manifest.name,
        (None, Some(name)) => name.clone(),
        (None, None) => bail!(HostError::invalid("the component has no manifest and no name was given")),
    };
    let version = version_of(host, &name);
    Ok((name, version))
}

fn version_of(host: &PluginHost, name: &PluginName) -> Option<String> {
    host.plugins().iter().find(|own| own.name == *name).map(|own| own.version.to_string())
}

fn manifest(component: &[u8]) -> Result<Option<Manifest>> {
    let section = erp_plugin::validate::manifest_section(component).ok().flatten();
    Ok(section.map(Manifest::from_json).transpose().map_err(HostFailure::Manifest)?)
}
