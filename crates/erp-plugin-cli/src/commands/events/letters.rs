//! `erp-plugin events dead|retry|drop`: what failed for good.

use anyhow::{Result, bail};
use erp_plugin::event::EventPattern;
use erp_plugin::{Clock as _, DeadLetterFilter, HostError, PluginName, SystemClock, TenantId};
use serde_json::{Value as Json, json};

use super::{WHAT, event_id, pattern, report};
use crate::commands::target::Target;
use crate::output;
use crate::settings::Settings;
use crate::values::{self, Moment, grouped};

/// List dead letters, the oldest event first
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events dead --plugin inventory --since 2h --db erp.db")]
pub(super) struct Dead {
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Send dead letters again: each is the next of its stream, with all its attempts before it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin events retry --event 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --db erp.db
  erp-plugin events retry --plugin inventory --type 'order.*' --db erp.db
  erp-plugin events retry --all --db erp.db")]
pub(super) struct Retry {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Drop dead letters: nobody gets them any more
///
/// The events themselves stay until they are pruned, and `events show` tells what was dropped.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events drop --event 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --plugin inventory --db erp.db")]
pub(super) struct Drop {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    pub(super) target: Target,
}

/// Which dead letters a command changes: it says which.
#[derive(clap::Args)]
struct Chosen {
    #[command(flatten)]
    which: Which,
    /// All there are
    #[arg(long, conflicts_with_all = ["tenant", "plugin", "type", "event", "since", "until"])]
    all: bool,
}

/// Which dead letters are meant: those to which all of this applies.
#[derive(clap::Args)]
struct Which {
    /// Of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Of this plugin, or subscriber of the platform's own
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<PluginName>,
    /// Of this type, or of those that begin so: order.*
    #[arg(long = "type", id = "type", value_name = "TYPE", value_parser = pattern)]
    pattern: Option<EventPattern>,
    /// Of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// That failed for the last time at or after this: 2h, 2026-01-31 or 2026-01-31T09:30:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    since: Option<Moment>,
    /// That failed for the last time before this
    #[arg(long, value_name = "WHEN", value_parser = values::moment)]
    until: Option<Moment>,
}

impl Which {
    fn filter(&self) -> Result<DeadLetterFilter> {
        let Self { tenant, plugin, pattern, event, since, until } = self;
        let now = SystemClock.now();
        Ok(DeadLetterFilter {
            tenant: tenant.clone(),
            plugin: plugin.clone(),
            pattern: pattern.clone(),
            event: event.as_deref().map(event_id).transpose()?,
            since: since.and_then(|moment| moment.seen_from(now)),
            until: until.and_then(|moment| moment.seen_from(now)),
        })
    }
}

impl Chosen {
    fn filter(&self, verb: &str) -> Result<DeadLetterFilter> {
        let Self { which: Which { tenant, plugin, pattern, event, since, until }, all } = self;
        let says_nothing = tenant.is_none()
            && plugin.is_none()
            && pattern.is_none()
            && event.is_none()
            && since.is_none()
            && until.is_none();
        if says_nothing && !all {
            bail!(HostError::invalid(format!(
                "say which dead letters to {verb}: --event, --plugin, --type, --tenant, --since, --until, or --all"
            )));
        }
        self.which.filter()
    }
}

pub(super) async fn list(settings: &Settings, target: &Target, arguments: &Dead) -> Result<()> {
    let host = target.host(settings, WHAT).await?;
    let letters = host.events().dead_letters(arguments.which.filter()?, None, arguments.limit).await?;
    if target.json {
        let letters: Vec<Json> = letters.iter().map(report::letter_json).collect();
        return output::print_json(&json!({ "dead": letters }));
    }
    output::print(&report::letters(&letters))
}

pub(super) async fn retry(settings: &Settings, target: &Target, arguments: &Retry) -> Result<()> {
    let filter = arguments.chosen.filter("send again")?;
    let sent = target.host(settings, WHAT).await?.events().resend(filter).await?;
    target.done(&format!("{} dead letters are sent again", grouped(sent)), json!({ "retried": sent }))
}

pub(super) async fn drop(settings: &Settings, target: &Target, arguments: &Drop) -> Result<()> {
    let filter = arguments.chosen.filter("drop")?;
    let dropped = target.host(settings, WHAT).await?.events().discard(filter).await?;
    target.done(&format!("{} dead letters are dropped", grouped(dropped)), json!({ "dropped": dropped }))
}
