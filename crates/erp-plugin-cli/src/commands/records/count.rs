//! `erp-plugin records count`: how many there are.

use anyhow::Result;
use serde_json::json;

use super::query;
use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Count the records that fulfil a filter
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records count inventory.item --filter '{\"on_hand\":0}' --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Which records; all without it
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let filter = query::filter(arguments.filter.as_ref())?;
    let opened = arguments.target.to_read(settings).await?;
    let count = opened.records().count(&opened.entity, &filter).await?;
    if arguments.target.json {
        output::print_json(&json!({ "count": count }))?;
    } else {
        output::print(&format!("{count}\n"))?;
    }
    Ok(Exit::Done)
}
