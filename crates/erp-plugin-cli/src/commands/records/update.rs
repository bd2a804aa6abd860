//! `erp-plugin records update`: fields of one record.

use anyhow::Result;
use erp_plugin::Version;

use super::target::Target;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{input, output};

/// Change fields of a record
///
/// The fields that are given are set, null clears one, and the others stay. The version is the one that was read: if
/// somebody has changed the record since, it is left as it is, and the error names its version now. Prints the record.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records update inventory.item 019ab3c4-9c1e-7d54-8a8e-0d6f0a1b2c3d --version 3 \\
      '{\"on_hand\":12,\"category\":null}' --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The record's id
    #[arg(value_name = "ID")]
    id: String,
    /// The version that the change is made to
    #[arg(long, value_name = "N", value_parser = version)]
    version: Version,
    /// An object with the fields to change; @ and the file that holds it, or - for standard input
    #[arg(value_name = "DATA|@FILE|-")]
    data: String,
}

fn version(text: &str) -> Result<Version, &'static str> {
    text.parse().ok().and_then(Version::new).ok_or("a version is a number from 1, as get and query show it")
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let id = arguments.target.id(&arguments.id)?;
    let data = input::json_or_stdin(&arguments.data)?;
    let opened = arguments.target.to_write(settings).await?;
    let record = opened.records().update(&opened.entity, id, &data, arguments.version).await?;
    output::print_json(&record)?;
    Ok(Exit::Done)
}
