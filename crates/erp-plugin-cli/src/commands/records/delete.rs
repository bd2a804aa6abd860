//! `erp-plugin records delete`: one record, softly.

use anyhow::Result;
use serde_json::json;

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Delete a record
///
/// Nobody sees it from now on, and its unique values are free. `records restore` brings it back, until `records purge`
/// removes it for good. What refers to it goes by its own rule: the deletion is refused, the reference cleared, or the
/// other record deleted too.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records delete inventory.item 019ab3c4-9c1e-7d54-8a8e-0d6f0a1b2c3d --db erp.db --tenant acme")]
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
    opened.records().delete(&opened.entity, id).await?;
    if arguments.target.json {
        output::print_json(&json!({ "deleted": id.to_string() }))?;
    } else {
        output::print(&format!("deleted {} {id}\n", opened.entity))?;
    }
    Ok(Exit::Done)
}
