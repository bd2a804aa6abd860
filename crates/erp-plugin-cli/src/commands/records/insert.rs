//! `erp-plugin records insert`: one record, or several in one transaction.

use anyhow::Result;
use serde_json::Value as Json;

use super::target::Target;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{input, output};

/// Insert a record, or several
///
/// Prints the record with what the host has set: id, version, and who wrote it when. Of an array, 1 to 1,000 records,
/// it prints for each how it ended, {"ok":RECORD} or {"error":{"index":N,"code":…,"message":…}}; one that is refused
/// leaves the others. For more use `records import`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records insert inventory.item '{\"sku\":\"A-1\",\"name\":\"Anvil\"}' --db erp.db --tenant acme
  erp-plugin records insert inventory.item @items.json --db erp.db --tenant acme --user ada \\
      --permission inventory.item.insert")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// An object, or an array of objects; @ and the file that holds it, or - for standard input
    #[arg(value_name = "DATA|@FILE|-")]
    data: String,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let data = input::json_or_stdin(&arguments.data)?;
    let opened = arguments.target.to_write(settings).await?;
    if !data.is_array() {
        output::print_json(&opened.records().insert(&opened.entity, &data).await?)?;
        return Ok(Exit::Done);
    }
    let answer = opened.records().insert_many(&opened.entity, &data).await?;
    let items = answer.get("items").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    if arguments.target.json {
        output::print_json(&answer)?;
    } else {
        items.iter().try_for_each(output::print_json)?;
    }
    let refused = items.iter().any(|item| item.get("error").is_some());
    Ok(if refused { Exit::SomeRefused } else { Exit::Done })
}
