//! `erp-plugin limits`: the table of what one invocation may use.

use anyhow::Result;
use erp_plugin::limits::TABLE;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::output::{self, HEADING, styled};

/// Show what one invocation may use
///
/// The defaults of every limit. A plugin asks for other values under [limits] in its plugin.toml; whoever runs the
/// host caps what it can get.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin limits

In plugin.toml, in pieces, bytes or milliseconds:
  [limits]
  fuel = 20000000
  memory = 33554432
  deadline = 1000")]
pub(crate) struct Arguments {
    /// Print one JSON object: each limit with its default in pieces, bytes or milliseconds
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    if arguments.json {
        let limits: Map<String, Value> =
            TABLE.iter().map(|row| (row.name.to_owned(), json!(row.default))).collect();
        output::print_json(&limits)?;
        return Ok(Exit::Done);
    }
    let mut text =
        styled(HEADING, format!("{:16}{:>12}  {}", "limit", "default", "of one invocation")) + "\n";
    for row in TABLE {
        text += &format!("{:16}{:>12}  {}\n", row.name, row.kind.show(row.default), row.about);
    }
    output::print(&text)?;
    Ok(Exit::Done)
}
