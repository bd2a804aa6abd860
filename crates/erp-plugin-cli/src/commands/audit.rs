//! `erp-plugin audit`: who did what about plugins, tenants, configuration and roles.
//!
//! Whoever has the database is the operator, so no right is asked.

use std::fmt::Write as _;

use anyhow::Result;
use erp_plugin::{AuditEntry, AuditFilter, PluginName, TenantId};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Show who did what about plugins, tenants, configuration and roles, the newest first
///
/// What was done in a tenant goes with the tenant. Who changed which record is in `records history`. Commands note as who did
/// it what ERP_PLUGIN_OPERATOR says, else the name of the user who runs them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin audit --db erp.db
  erp-plugin audit --tenant acme --limit 20 --db erp.db
  erp-plugin plugins history inventory --db erp.db")]
pub(crate) struct Arguments {
    /// Only what was done in this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Only what was done about this plugin
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        self.target.json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let Arguments { tenant, plugin, limit, target } = arguments;
    let filter = AuditFilter {
        tenant: tenant.clone(),
        plugin: plugin.clone(),
        limit: *limit,
        ..AuditFilter::default()
    };
    show(settings, target, "an audit trail", filter).await?;
    Ok(Exit::Done)
}

/// Prints entries of a database; `what` is what one in memory has none of.
pub(super) async fn show(
    settings: &Settings,
    target: &Target,
    what: &str,
    filter: AuditFilter,
) -> Result<()> {
    let entries = target.host(settings, what).await?.audit(filter).await?;
    if target.json {
        return output::print_json(&json!({ "entries": entries.iter().map(entry_json).collect::<Vec<_>>() }));
    }
    let text: String = entries.iter().map(entry_text).collect();
    output::print(if text.is_empty() { "nothing was done\n" } else { &text })
}

/// `2026-01-31T12:00:00Z  ada  plugin.upgraded  inventory 0.1.0 → 0.2.0  in acme  why`
fn entry_text(entry: &AuditEntry) -> String {
    let AuditEntry { at, by, action, tenant, plugin, from, to, detail, .. } = entry;
    let mut text = format!("{}  {by}  {action}", at.format("%Y-%m-%dT%H:%M:%SZ"));
    let what: Vec<&str> = plugin.iter().map(PluginName::as_str).collect();
    let versions = match (from, to) {
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    };
    let what: Vec<&str> =
        what.into_iter().chain(Some(versions.as_str())).filter(|own| !own.is_empty()).collect();
    if !what.is_empty() {
        let _ = write!(text, "  {}", what.join(" "));
    }
    if let Some(tenant) = tenant {
        let _ = write!(text, "  in {tenant}");
    }
    if let Some(detail) = detail {
        let _ = write!(text, "  {}", output::foreign(detail));
    }
    text.push('\n');
    text
}

fn entry_json(entry: &AuditEntry) -> Json {
    json!({
        "id": entry.id.to_string(),
        "at": entry.at.to_rfc3339(),
        "by": entry.by.as_str(),
        "action": entry.action,
        "tenant": entry.tenant.as_ref().map(TenantId::as_str),
        "plugin": entry.plugin.as_ref().map(PluginName::as_str),
        "from": entry.from,
        "to": entry.to,
        "detail": entry.detail,
    })
}
