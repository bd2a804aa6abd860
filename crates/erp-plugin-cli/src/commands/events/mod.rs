//! `erp-plugin events`: what was published, what became of it, and what failed for good.
//!
//! Whoever has the database is the operator, so no right is asked.

mod letters;
mod report;

use std::time::Duration;

use anyhow::{Result, bail};
use erp_plugin::event::EventPattern;
use erp_plugin::{EventFilter, EventId, EventType, HostError, PluginHost, TenantId};
use serde_json::{Value as Json, json};

use super::target::Target;
use crate::database::Database;
use crate::exit::Exit;
use crate::identity;
use crate::settings::Settings;
use crate::{host, input, output};

/// What these commands are about.
const WHAT: &str = "events";
/// How often it is looked for new events.
const LOOK: Duration = Duration::from_millis(250);

/// Publish events, watch them, and deal with those that failed for good
///
/// An event is delivered to each plugin that subscribes to it, in order, by `erp-plugin host run` or a host that is embedded. A
/// delivery that fails is tried again; after the last attempt it is a dead letter, which stays until it is sent again or
/// dropped, while what comes after it goes on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin events publish order.created '{\"no\":\"SO-1\"}' --tenant acme --db erp.db
  erp-plugin events list --type 'order.*' --db erp.db
  erp-plugin events dead --db erp.db
  erp-plugin events retry --plugin inventory --db erp.db")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Publish(Publish),
    List(List),
    Show(Show),
    Tail(Tail),
    Backlog(Backlog),
    Dead(letters::Dead),
    Retry(letters::Retry),
    Drop(letters::Drop),
}

/// Publish an event of the platform's own
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin events publish order.created '{\"no\":\"SO-1\"}' --tenant acme --db erp.db
  erp-plugin events publish order.created @order.json --tenant acme --key SO-1 --user ada --db erp.db")]
struct Publish {
    /// The event's type, such as order.created
    #[arg(value_name = "TYPE")]
    event: EventType,
    /// The payload: JSON, @ and the file that holds it, or - for standard input
    #[arg(value_name = "DATA")]
    payload: String,
    /// The tenant
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
    /// Keep it in order with other events of this key only; without one, with all of the tenant
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    acting: identity::Arguments,
    #[command(flatten)]
    target: Target,
}

/// List events that the dispatcher has seen, the newest at last
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events list --tenant acme --type 'order.*' --limit 50 --db erp.db")]
struct List {
    #[command(flatten)]
    which: Which,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    target: Target,
}

/// Show an event, what became of it, and what led to it
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events show 0198b3c2-5f2c-7a10-9e55-3f0c6a1b2c3d --tenant acme --db erp.db")]
struct Show {
    /// The event's id
    #[arg(value_name = "ID")]
    event: String,
    /// The tenant
    #[arg(long, value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    target: Target,
}

/// Print events as they come, until it is stopped
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events tail --type 'order.*' --json --db erp.db")]
struct Tail {
    #[command(flatten)]
    which: Which,
    /// Begin with the events after this number; without one, with those that come from now on
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// Count what is still to be done: events without a number, deliveries that wait, dead letters
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin events backlog --db erp.db")]
struct Backlog {
    /// Of this tenant only
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    #[command(flatten)]
    target: Target,
}

/// Which events are meant.
#[derive(clap::Args)]
struct Which {
    /// Of this tenant only
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Of this type, or of those that begin so: order.*
    #[arg(long = "type", value_name = "TYPE", value_parser = pattern)]
    pattern: Option<EventPattern>,
}

impl Which {
    fn filter(&self, after: Option<i64>) -> EventFilter {
        EventFilter { tenant: self.tenant.clone(), pattern: self.pattern.clone(), after }
    }
}

fn pattern(text: &str) -> Result<EventPattern, String> {
    EventPattern::parse(text).map_err(|rule| format!("it must be {rule}"))
}

fn event_id(text: &str) -> Result<EventId, HostError> {
    EventId::parse(text)
        .ok_or_else(|| HostError::invalid(format!("{text:?} is no id of an event; `events list` shows them")))
}

impl Arguments {
    fn target(&self) -> &Target {
        match &self.verb {
            Verb::Publish(arguments) => &arguments.target,
            Verb::List(arguments) => &arguments.target,
            Verb::Show(arguments) => &arguments.target,
            Verb::Tail(arguments) => &arguments.target,
            Verb::Backlog(arguments) => &arguments.target,
            Verb::Dead(arguments) => &arguments.target,
            Verb::Retry(arguments) => &arguments.target,
            Verb::Drop(arguments) => &arguments.target,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.target().json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let target = arguments.target();
    match &arguments.verb {
        Verb::Publish(arguments) => publish(settings, target, arguments).await?,
        Verb::List(List { which, limit, .. }) => {
            let host = target.host(settings, WHAT).await?;
            let mut events = host.events().list(which.filter(None), true, *limit).await?;
            events.reverse();
            if target.json {
                let events: Vec<Json> = events.iter().map(report::event_json).collect();
                output::print_json(&json!({ "events": events }))?;
            } else {
                output::print(&report::table(&events))?;
            }
        }
        Verb::Show(Show { event, tenant, .. }) => {
            let id = event_id(event)?;
            let found = target.host(settings, WHAT).await?.events().get(tenant.as_str(), id).await?;
            let Some(found) = found else {
                bail!(HostError::not_found(format!("{tenant} has no event {id}; it may have been pruned")));
            };
            target.done(&report::details(&found), report::details_json(&found))?;
        }
        Verb::Tail(arguments) => tail(&target.host(settings, WHAT).await?, arguments).await?,
        Verb::Backlog(Backlog { tenant, .. }) => {
            let host = target.host(settings, WHAT).await?;
            let backlog = host.events().backlog(tenant.as_ref().map(TenantId::as_str)).await?;
            target.done(&report::backlog(&backlog), report::backlog_json(&backlog))?;
        }
        Verb::Dead(arguments) => letters::list(settings, target, arguments).await?,
        Verb::Retry(arguments) => letters::retry(settings, target, arguments).await?,
        Verb::Drop(arguments) => letters::drop(settings, target, arguments).await?,
    }
    Ok(Exit::Done)
}

async fn publish(settings: &Settings, target: &Target, arguments: &Publish) -> Result<()> {
    let Publish { event, payload, tenant, key, acting, .. } = arguments;
    let payload = input::json_or_stdin(payload)?;
    let (identity, rights) = acting.identity(tenant)?;
    let builder = host::without_calls(settings, &Database::existing(settings, WHAT)?).await?;
    let host = builder.authorizer(rights).build().await?;
    match key {
        Some(key) => host.publish_in_order(identity, event.as_str(), key, &payload).await?,
        None => host.publish(identity, event.as_str(), &payload).await?,
    }
    target.done(
        &format!("{event} is published in {tenant}"),
        json!({ "published": event.as_str(), "tenant": tenant.as_str() }),
    )
}

async fn tail(host: &PluginHost, arguments: &Tail) -> Result<()> {
    const PAGE: u32 = 500;
    let Tail { which, after, limit, target } = arguments;
    let newest = match after {
        Some(after) => *after,
        None => {
            let newest = host.events().list(EventFilter::default(), true, 1).await?;
            newest.first().and_then(|event| event.number).unwrap_or(0)
        }
    };
    let (mut after, mut shown) = (newest, 0);
    loop {
        let events = host.events().list(which.filter(Some(after)), false, PAGE).await?;
        for event in &events {
            if limit.is_some_and(|limit| shown >= limit) {
                return Ok(());
            }
            if target.json {
                output::print_json(&report::event_json(event))?;
            } else {
                output::print(&report::line(event))?;
            }
            after = event.number.unwrap_or(after);
            shown += 1;
        }
        if limit.is_some_and(|limit| shown >= limit) {
            return Ok(());
        }
        if events.len() < PAGE as usize {
            tokio::time::sleep(LOOK).await;
        }
    }
}
