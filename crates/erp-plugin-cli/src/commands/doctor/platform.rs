//! What is on the database: plugins, deliveries, workers, tenants.

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use erp_plugin::{
    Backlog, Clock as _, ComponentHealth, PluginHealth, PluginHost, SystemClock, TenantId, TenantState,
};

use super::Findings;
use crate::database::Database;
use crate::exit;
use crate::host;
use crate::settings::Settings;
use crate::values::{duration_text, grouped};

/// What waits for longer than this waits for somebody.
const LONG: TimeDelta = TimeDelta::minutes(1);
/// The most names of a list that are shown.
const SHOWN: usize = 10;

pub(super) async fn look(settings: &Settings, database: &Database, findings: &mut Findings) {
    let looked = async {
        let builder = host::builder(settings, database).await?;
        let host = builder.build().await.context("no host can start on it")?;
        let suspended = look_at_tenants(&host, findings).await?;
        look_at_plugins(&host, &suspended, findings).await?;
        look_at_deliveries(settings, &host, findings).await
    };
    if let Err(error) = looked.await {
        let fix = "mend what is said of the database above; docs/troubleshooting.md has what is said here";
        findings.problem("platform", exit::line(&error), fix);
    }
}

/// Returns those that are suspended.
async fn look_at_tenants(host: &PluginHost, findings: &mut Findings) -> Result<Vec<TenantId>> {
    const AREA: &str = "tenants";
    let states = host.tenant_states().await?;
    let all = count(states.len(), "tenant");
    let suspended: Vec<TenantId> = states
        .into_iter()
        .filter(|(_, state)| *state == TenantState::Suspended)
        .map(|(tenant, _)| tenant)
        .collect();
    if suspended.is_empty() {
        findings.ok(AREA, format!("{all}, none suspended"));
    } else {
        findings.warning(
            AREA,
            format!("{all}, suspended: {}", listed(suspended.iter())),
            "if that is over: erp-plugin tenants resume TENANT",
        );
    }
    Ok(suspended)
}

async fn look_at_plugins(host: &PluginHost, suspended: &[TenantId], findings: &mut Findings) -> Result<()> {
    const AREA: &str = "plugins";
    let plugins = host.examine().await?;
    if plugins.is_empty() {
        findings.ok(AREA, "none is installed");
    }
    for plugin in &plugins {
        let PluginHealth { name, version, component, tables_are_current, enabled_in, unfinished } = plugin;
        let other = "install another version, erp-plugin plugins upgrade FILE, or restore a backup";
        match component {
            ComponentHealth::Loads => findings.ok(
                AREA,
                format!("{name} {version} loads, enabled in {}", count(enabled_in.len(), "tenant")),
            ),
            ComponentHealth::Missing => {
                findings.problem(AREA, format!("the component of {name} {version} is missing"), other);
            }
            ComponentHealth::Damaged => findings.problem(
                AREA,
                format!("the component of {name} {version} is damaged: its bytes have another hash"),
                other,
            ),
            ComponentHealth::Refused(why) => findings.problem(
                AREA,
                format!("{name} {version} does not load in this host: {why}"),
                format!("give it what it needs in `[caps]`, or build it for this host: erp-plugin plugins upgrade FILE; or erp-plugin plugins rollback {name}"),
            ),
        }
        if !tables_are_current {
            findings.problem(
                AREA,
                format!("the tables of {name} are not as {version} declares them: a change of them was stopped, or goes on"),
                format!("give the upgrade or the rollback again; erp-plugin schema status {name} shows what there is"),
            );
        }
        for behind in unfinished {
            let what = format!(
                "{name} runs as {version}, and in {} only init of {} is done",
                behind.tenant, behind.version
            );
            let enable = format!("erp-plugin plugins enable {name} --tenant {}", behind.tenant);
            if suspended.contains(&behind.tenant) {
                findings.warning(
                    AREA,
                    format!("{what}; the tenant is suspended"),
                    format!("once it is resumed: {enable}"),
                );
            } else {
                findings.problem(AREA, what, enable);
            }
        }
    }
    Ok(())
}

async fn look_at_deliveries(settings: &Settings, host: &PluginHost, findings: &mut Findings) -> Result<()> {
    const AREA: &str = "deliveries";
    let Backlog { unnumbered, pending, dead, oldest } = host.events().backlog(None).await?;
    let waiting =
        format!("{} events without a number, {} deliveries that wait", grouped(unnumbered), grouped(pending));
    match oldest.map(|oldest| SystemClock.now() - oldest) {
        Some(age) if age > LONG => findings.warning(
            AREA,
            format!("{waiting}, the oldest for {}", rough(age)),
            "erp-plugin host run works them off, unless their tenant is suspended or their plugin disabled there",
        ),
        Some(_) => findings.ok(AREA, waiting),
        None => findings.ok(AREA, "nothing waits"),
    }
    if dead == 0 {
        findings.ok(AREA, "no dead letters");
    } else {
        findings.problem(
            AREA,
            format!("{} dead letters", grouped(dead)),
            "erp-plugin events dead shows why; erp-plugin events retry, or drop, deals with them",
        );
    }
    let lease = settings.options.worker.lease;
    let silent = host.events().silent_workers(lease).await?;
    if silent.is_empty() {
        findings.ok("workers", "all that have anything in hand give signs of life");
    } else {
        findings.problem(
            "workers",
            format!(
                "{} with deliveries in hand gave no sign of life for {}: {}",
                count(silent.len(), "worker"),
                duration_text(lease),
                listed(silent.iter())
            ),
            "erp-plugin host run takes over what they have in hand",
        );
    }
    Ok(())
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

fn listed<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A length of time as people say it.
fn rough(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} days"),
    }
}
