//! `erp-plugin records restore`: one record that was deleted.

use anyhow::Result;

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Bring a deleted record back
///
/// Refused when another record has one of its unique values by now, or what it refers to is gone. What was deleted along
/// with it stays deleted. Prints the record.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records restore inventory.item 019ab3c4-9c1e-7d54-8a8e-0d6f0a1b2c3d --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The record's id
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let id = arguments.target.id(&arguments.id)?;
    let opened = arguments.target.to_write(settings).await?;
    output::print_json(&opened.records().restore(&opened.entity, id).await?)?;
    Ok(Exit::Done)
}
