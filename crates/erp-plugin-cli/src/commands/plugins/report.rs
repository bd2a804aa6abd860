//! What the commands about plugins print.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use erp_plugin::portable::Contents;
use erp_plugin::{ArchivedPlugin, PluginState, PurgedPlugin, TenantId};
use serde_json::{Value as Json, json};

use crate::commands::schema::report::{archived_json, archived_text};
use crate::output::{HEADING, styled};
use crate::values::grouped;

/// The tenants that are named in a line, and so many more are counted.
const SHOWN: usize = 3;

pub(super) fn table(states: &[PluginState]) -> String {
    if states.is_empty() {
        return "no plugins; `erp-plugin schema apply` installs one\n".to_owned();
    }
    let rows: Vec<[String; 3]> = states
        .iter()
        .map(|state| {
            let version = state.active.as_ref().map_or_else(|| "archived".to_owned(), ToString::to_string);
            [state.name.to_string(), version, format!("{}{}", tenants(&state.enabled_in), elsewhere(state))]
        })
        .collect();
    let width = |column: usize, heading: &str| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0).max(heading.len())
    };
    let (name, version) = (width(0, "plugin"), width(1, "version"));
    let mut text = styled(HEADING, format!("{:name$}  {:version$}  enabled in", "plugin", "version"));
    text.push('\n');
    for [own, runs, enabled] in &rows {
        let _ = writeln!(text, "{own:name$}  {runs:version$}  {enabled}");
    }
    text
}

/// Where other versions run.
fn elsewhere(state: &PluginState) -> String {
    let mut versions: BTreeMap<&semver::Version, Vec<TenantId>> = BTreeMap::new();
    for (tenant, version) in &state.elsewhere {
        versions.entry(version).or_default().push(tenant.clone());
    }
    versions.iter().map(|(version, own)| format!("; {version} in {}", tenants(own))).collect()
}

pub(super) fn state_json(state: &PluginState) -> Json {
    json!({
        "plugin": state.name.as_str(),
        "version": state.active.as_ref().map(ToString::to_string),
        "versions": state.versions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "enabled_in": names(&state.enabled_in),
        "elsewhere": state.elsewhere.iter().map(|(tenant, version)| json!({ "tenant": tenant.as_str(), "version": version.to_string() })).collect::<Vec<_>>(),
    })
}

pub(super) fn archived_plugin_text(archived: &ArchivedPlugin, exported: &Contents, folder: &str) -> String {
    let name = &archived.name;
    let version = archived.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let mut text = format!("{name}{version} is archived: {} rows in {folder}", grouped(exported.rows()));
    if !archived.disabled_in.is_empty() {
        let _ = write!(text, "\n  disabled in {}", tenants(&archived.disabled_in));
    }
    for kept in &archived.kept {
        let _ = write!(text, "\n  kept: {}", archived_text(kept));
    }
    text
}

pub(super) fn archived_plugin_json(archived: &ArchivedPlugin, exported: &Contents) -> Json {
    json!({
        "archived": archived.name.as_str(),
        "version": archived.version.as_ref().map(ToString::to_string),
        "disabled_in": names(&archived.disabled_in),
        "kept": archived.kept.iter().map(archived_json).collect::<Vec<_>>(),
        "rows": exported.rows(),
        "files": exported.files,
    })
}

pub(super) fn purged_text(purged: &PurgedPlugin) -> String {
    let PurgedPlugin { name, dropped, rows, versions } = purged;
    let mut text = format!("{name} is purged: {} other rows, {versions} of its versions", grouped(*rows));
    for kept in dropped {
        let _ = write!(text, "\n  dropped: {}", archived_text(kept));
    }
    text
}

pub(super) fn purged_json(purged: &PurgedPlugin) -> Json {
    json!({
        "purged": purged.name.as_str(),
        "dropped": purged.dropped.iter().map(archived_json).collect::<Vec<_>>(),
        "rows": purged.rows,
        "versions": purged.versions,
    })
}

fn tenants(all: &[TenantId]) -> String {
    let shown = names(all).into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(SHOWN) {
        _ if all.is_empty() => "no tenant".to_owned(),
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

fn names(tenants: &[TenantId]) -> Vec<&str> {
    tenants.iter().map(TenantId::as_str).collect()
}
