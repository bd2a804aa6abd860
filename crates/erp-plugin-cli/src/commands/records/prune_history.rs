//! `erp-plugin records prune-history`: changes that the entity's manifest does not keep any longer go for good, as a
//! line in a crontab.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;
use crate::values::grouped;

/// Remove for good the changes that are kept no longer
///
/// How long an entity's history is kept, its plugin says: history = { keep-days = 3650 } under [entities.<name>] in
/// plugin.toml. What is older goes, in transactions of at most 1,000 changes each, until none is left; prints how many
/// there were. There is no way back. A user needs the permission to purge.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records prune-history inventory.item --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let opened = arguments.target.to_write(settings).await?;
    let mut pruned: u64 = 0;
    loop {
        let more = opened.records().prune_history(&opened.entity).await;
        // What is gone already is gone, and said.
        match more.with_context(|| format!("{} changes were removed before this", grouped(pruned)))? {
            0 => break,
            more => pruned += more,
        }
    }
    if arguments.target.json {
        output::print_json(&json!({ "pruned": pruned }))?;
    } else {
        output::print(&format!("{} changes removed\n", grouped(pruned)))?;
    }
    Ok(Exit::Done)
}
