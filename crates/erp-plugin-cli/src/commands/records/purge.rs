//! `erp-plugin records purge`: what was deleted long ago goes for good. The operator's rule of how long deleted records
//! are kept, as a line in a crontab.

use anyhow::{Context as _, Result};
use erp_plugin::{Clock as _, HostError, SystemClock};
use serde_json::json;

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;
use crate::values::{self, Moment, grouped};

/// Remove for good what was deleted before a moment
///
/// In transactions of at most 1,000 records each, until none is left; prints how many there were. There is no way back.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records purge inventory.item --deleted-before 90d --db erp.db --tenant acme
  erp-plugin records purge inventory.item --deleted-before 2026-01-31 --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// How long ago, such as 90d or 12h, or when: a day (its beginning, in UTC) or a time such as 2026-01-31T09:30:00Z
    #[arg(long, value_name = "D", value_parser = values::moment)]
    deleted_before: Moment,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let before = arguments.deleted_before.seen_from(SystemClock.now()).ok_or_else(|| {
        HostError::invalid("--deleted-before is longer ago than any record; give less, such as 90d")
    })?;
    let opened = arguments.target.to_write(settings).await?;
    let mut purged: u64 = 0;
    loop {
        let more = opened.records().purge(&opened.entity, before).await;
        // What is gone already is gone, and said.
        match more.with_context(|| format!("{} records were purged before this", grouped(purged)))? {
            0 => break,
            more => purged += more,
        }
    }
    if arguments.target.json {
        output::print_json(&json!({ "purged": purged }))?;
    } else {
        output::print(&format!("{} records purged\n", grouped(purged)))?;
    }
    Ok(Exit::Done)
}
