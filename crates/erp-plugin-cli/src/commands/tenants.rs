//! `erp-plugin tenants`: who is on the platform, and how one leaves it.
//!
//! Whoever has the database is the operator, so no right is asked.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use erp_plugin::erase::Progress;
use erp_plugin::{DeletionReceipt, HostError, Limits, PluginHost, TenantId, TenantState};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use crate::database::{self, Database};
use crate::exit::Exit;
use crate::host;
use crate::output::{self, HEADING, styled};

/// List, make, suspend and delete the tenants of a platform
///
/// A suspended tenant has no invocations: calls, requests and lifecycle are refused, and its deliveries wait. Suspending is
/// in force in a host that is running within a second; what has begun there ends. Deleting takes everything of a tenant
/// away for good, and the tenant.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin tenants list --db erp.db
  erp-plugin tenants suspend acme --db erp.db
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
    Delete(Delete),
}

/// The arguments that every verb has.
#[derive(clap::Args)]
struct Target {
    #[command(flatten)]
    database: database::Arguments,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
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
            Verb::Delete(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit> {
    let target = arguments.target();
    match &arguments.verb {
        Verb::List(_) => {
            let tenants = target.host().await?.tenant_states().await?;
            if target.json {
                let tenants: Vec<Json> =
                    tenants.iter().map(|(tenant, state)| state_json(tenant, *state)).collect();
                output::print_json(&json!({ "tenants": tenants }))?;
            } else {
                output::print(&table(&tenants))?;
            }
        }
        Verb::Create(Create { tenant, .. }) => {
            let new = open(&target.database.kept("tenants")?).await?.create_tenant(tenant.as_str()).await?;
            let text = if new { format!("{tenant} is made") } else { format!("{tenant} was there before") };
            target.done(&text, json!({ "tenant": tenant.as_str(), "new": new }))?;
        }
        Verb::Suspend(Suspend { tenant, .. }) => {
            let changed = target.host().await?.suspend_tenant(tenant.as_str()).await?;
            let text = if changed { "is suspended" } else { "was suspended before" };
            target.done(&format!("{tenant} {text}"), state_json(tenant, TenantState::Suspended))?;
        }
        Verb::Resume(Resume { tenant, .. }) => {
            let changed = target.host().await?.resume_tenant(tenant.as_str()).await?;
            let text = if changed { "goes on" } else { "was not suspended" };
            target.done(&format!("{tenant} {text}"), state_json(tenant, TenantState::Active))?;
        }
        Verb::Delete(Delete { tenant, confirm, .. }) => {
            if confirm.as_deref() != Some(tenant.as_str()) {
                bail!(HostError::invalid(format!(
                    "what is deleted is gone for good; give --confirm {tenant} if that is meant"
                )));
            }
            let host = target.host().await?;
            let shown = bar();
            let bar = shown.clone();
            let receipt = host
                .delete_tenant(tenant.as_str(), move |Progress { table, rows }| {
                    bar.set_message(format!("erasing {table}"));
                    bar.inc(rows);
                })
                .await;
            shown.finish_and_clear();
            let receipt = receipt?;
            target.done(&receipt_text(&receipt), receipt_json(&receipt))?;
        }
    }
    Ok(Exit::Done)
}

impl Target {
    /// A host on a database that is there.
    async fn host(&self) -> Result<PluginHost> {
        open(&self.database.existing("tenants")?).await
    }

    fn done(&self, text: &str, answer: Json) -> Result<()> {
        if self.json { output::print_json(&answer) } else { output::print(&format!("{text}\n")) }
    }
}

async fn open(database: &Database) -> Result<PluginHost> {
    Ok(host::without_calls(database, Limits::default()).await?.build().await?)
}

/// What is being erased, on standard error if that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {pos} rows") {
        bar.set_style(style);
    }
    bar
}

fn state_json(tenant: &TenantId, state: TenantState) -> Json {
    json!({ "tenant": tenant.as_str(), "state": state.as_str() })
}

fn table(tenants: &[(TenantId, TenantState)]) -> String {
    if tenants.is_empty() {
        return "no tenants; `erp-plugin tenants create` makes one\n".to_owned();
    }
    let width =
        tenants.iter().map(|(tenant, _)| tenant.as_str().len()).max().unwrap_or(0).max("tenant".len());
    let mut text = styled(HEADING, format!("{:width$}  state", "tenant"));
    text.push('\n');
    for (tenant, state) in tenants {
        let _ = writeln!(text, "{:width$}  {}", tenant.as_str(), state.as_str());
    }
    text
}

fn receipt_text(receipt: &DeletionReceipt) -> String {
    let DeletionReceipt { tenant, at, erased } = receipt;
    let mut text = format!("{tenant} is deleted: {} rows, {}", erased.total(), at.to_rfc3339());
    for (table, rows) in &erased.rows {
        let _ = write!(text, "\n  {table:40} {rows:>10}");
    }
    text
}

fn receipt_json(receipt: &DeletionReceipt) -> Json {
    let DeletionReceipt { tenant, at, erased } = receipt;
    json!({
        "deleted": tenant.as_str(),
        "at": at.to_rfc3339(),
        "rows": erased.total(),
        "tables": erased.rows,
    })
}
