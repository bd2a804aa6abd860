//! `erp-plugin tenants`: who is on the platform, and how one leaves it.
//!
//! Whoever has the database is the operator, so no right is asked.

mod report;

use std::path::PathBuf;

use anyhow::{Result, bail};
use erp_plugin::erase::Progress;
use erp_plugin::{Clock as _, HostError, SystemClock, TenantId, TenantState, portable};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::host;
use crate::output;
use crate::progress::Rows;
use crate::settings::Settings;

/// What these commands are about.
const WHAT: &str = "tenants";

/// List, make, suspend, export, import and delete the tenants of a platform
///
/// A suspended tenant has no invocations: calls, requests and lifecycle are refused, and its deliveries wait. Suspending is
/// in force in a host that is running within a second; what has begun there ends. An export has everything of a tenant, for
/// another platform. Deleting takes everything of a tenant away for good, and the tenant.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin tenants list --db erp.db
  erp-plugin tenants suspend acme --db erp.db
  erp-plugin tenants export acme -o acme.export --db erp.db
  erp-plugin tenants import acme.export --db other.db
  erp-plugin tenants delete acme --confirm acme --db erp.db")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    List(List),
    Create(Create),
    Suspend(Suspend),
    Resume(Resume),
    Export(Export),
    Import(Import),
    Delete(Delete),
}

/// List the tenants, and which of them are suspended
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin tenants list --db erp.db")]
struct List {
    #[command(flatten)]
    target: Target,
}

/// Make a tenant
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin tenants create acme --db erp.db")]
struct Create {
    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    target: Target,
}

/// Suspend a tenant: nothing is done in it until it is resumed
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin tenants suspend acme --db erp.db")]
struct Suspend {
    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    target: Target,
}

/// Let a suspended tenant go on where it was
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin tenants resume acme --db erp.db")]
struct Resume {
    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    target: Target,
}

/// Export everything of a tenant into a folder of JSON Lines
///
/// As it is in this moment, while others go on: records of every entity, deleted ones as well, with ids, versions and times,
/// history, events and deliveries where they stand, number series, configuration, roles, log and usage. One file for each,
/// and export.json, which says what is in them and their SHA-256. What updates of plugins put aside stays behind.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin tenants export acme -o acme.export --db erp.db")]
struct Export {
    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    /// The folder, which must not be there yet
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Take in a tenant that was exported
///
/// The versions of its plugins that it was exported with must be installed. It is suspended until all of it is there; what
/// waited to be delivered there is delivered here. Others go on meanwhile. On Postgres it takes a migration URL whose user
/// may act as the owner of the tables.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin tenants import acme.export --db other.db
  erp-plugin tenants import acme.export --as acme-test --db erp.db")]
struct Import {
    /// The folder of the export
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Another id for it here
    #[arg(long = "as", value_name = "TENANT")]
    id: Option<TenantId>,
    #[command(flatten)]
    target: Target,
}

/// Delete a tenant and everything of it, for good
///
/// Records of every entity, those that are deleted and those that updates put aside as well, history, log, usage, events,
/// deliveries, configuration and roles. There is no way back, and what is printed is the only trace: keep it. A deletion
/// that was stopped is begun again and goes on; it then tells of what it erased itself.
///
/// Suspend the tenant some time before, so that nothing is under way in it. One that is active is suspended and waited for.
/// On Postgres it takes a migration URL whose user may act as the owner of the tables. Backups keep what they have.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin tenants delete acme --confirm acme --db erp.db
  erp-plugin tenants delete acme --confirm acme --db erp.db --json > acme.deleted.json")]
struct Delete {
    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    /// The tenant's name again
    #[arg(long, value_name = "TENANT")]
    confirm: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Arguments {
    fn target(&self) -> &Target {
        match &self.verb {
            Verb::List(arguments) => &arguments.target,
            Verb::Create(arguments) => &arguments.target,
            Verb::Suspend(arguments) => &arguments.target,
            Verb::Resume(arguments) => &arguments.target,
            Verb::Export(arguments) => &arguments.target,
            Verb::Import(arguments) => &arguments.target,
            Verb::Delete(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let target = arguments.target();
    match &arguments.verb {
        Verb::List(_) => {
            let tenants = target.host(settings, WHAT).await?.tenant_states().await?;
            if target.json {
                let tenants: Vec<Json> =
                    tenants.iter().map(|(tenant, state)| report::state_json(tenant, *state)).collect();
                output::print_json(&json!({ "tenants": tenants }))?;
            } else {
                output::print(&report::table(&tenants))?;
            }
        }
        Verb::Create(Create { tenant, .. }) => {
            let database = Database::kept(settings, WHAT)?;
            let host = host::without_calls(settings, &database).await?.build().await?;
            let new = host.create_tenant(tenant.as_str()).await?;
            let text = if new { format!("{tenant} is made") } else { format!("{tenant} was there before") };
            target.done(&text, json!({ "tenant": tenant.as_str(), "new": new }))?;
        }
        Verb::Suspend(Suspend { tenant, .. }) => {
            let changed = target.host(settings, WHAT).await?.suspend_tenant(tenant.as_str()).await?;
            let text = if changed { "is suspended" } else { "was suspended before" };
            target.done(&format!("{tenant} {text}"), report::state_json(tenant, TenantState::Suspended))?;
        }
        Verb::Resume(Resume { tenant, .. }) => {
            let changed = target.host(settings, WHAT).await?.resume_tenant(tenant.as_str()).await?;
            let text = if changed { "goes on" } else { "was not suspended" };
            target.done(&format!("{tenant} {text}"), report::state_json(tenant, TenantState::Active))?;
        }
        Verb::Export(Export { tenant, output, .. }) => {
            let storage = erp_plugin::transfer(Database::existing(settings, WHAT)?.url()?).await?;
            let shown = Rows::new();
            let mut progress = |table: &str, rows: u64| shown.tell(&format!("exporting {table}"), rows);
            let contents =
                portable::export_tenant(&*storage, tenant, SystemClock.now(), output, &mut progress).await;
            shown.clear();
            let contents = contents?;
            let text = report::exported_text(tenant, &contents, &output.display().to_string());
            target.done(
                &text,
                json!({ "exported": tenant.as_str(), "rows": contents.rows(), "files": contents.files }),
            )?;
        }
        Verb::Import(Import { folder, id, .. }) => {
            let storage = erp_plugin::transfer(Database::existing(settings, WHAT)?.url()?).await?;
            let shown = Rows::new();
            let mut progress = |table: &str, rows: u64| shown.tell(&format!("importing {table}"), rows);
            let imported = portable::import_tenant(&*storage, folder, id.as_ref(), &mut progress).await;
            shown.clear();
            let imported = imported?;
            target.done(&report::imported_text(&imported), report::imported_json(&imported))?;
        }
        Verb::Delete(Delete { tenant, confirm, .. }) => {
            if confirm.as_deref() != Some(tenant.as_str()) {
                bail!(HostError::invalid(format!(
                    "what is deleted is gone for good; give --confirm {tenant} if that is meant"
                )));
            }
            let host = target.host(settings, WHAT).await?;
            let shown = Rows::new();
            let bar = shown.handle();
            let receipt = host
                .delete_tenant(tenant.as_str(), move |Progress { table, rows }| {
                    bar.tell(&format!("erasing {table}"), rows);
                })
                .await;
            shown.clear();
            let receipt = receipt?;
            target.done(&report::receipt_text(&receipt), report::receipt_json(&receipt))?;
        }
    }
    Ok(Exit::Done)
}
