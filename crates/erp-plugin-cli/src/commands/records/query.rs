//! `erp-plugin records query`: a page of records.

use anyhow::Result;
use serde_json::{Map, Value as Json, json};

use super::target::Target;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::{input, output};

/// Show the records that fulfil a filter, a page at a time
///
/// Prints one record a line; where there are more, standard error says with which cursor to go on. With --json it prints
/// the page as one object: items, next_cursor, and total where it was asked for.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records query inventory.item --db erp.db --tenant acme
  erp-plugin records query inventory.item --db erp.db --tenant acme \\
      --filter '{\"on_hand\":{\"$lt\":5},\"discontinued\":false}' --sort -created_at,sku --limit 20 --total

Filters: {\"a\":1}, {\"a\":{\"$gt\":1,\"$lte\":9}}, {\"a\":{\"$in\":[1,2]}}, {\"a\":{\"$prefix\":\"x\"}}, {\"a\":null},
  {\"$or\":[…]}, {\"$not\":{…}}")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Which records; all without it
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
    /// In which order: up to four fields, with - before those that descend
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', allow_hyphen_values = true)]
    sort: Vec<String>,
    /// The most records, 1 to 1,000 [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Where the page before has ended; the filter and the order must be the same
    #[arg(long, value_name = "C", conflicts_with = "offset")]
    cursor: Option<String>,
    /// How many records to leave out
    #[arg(long, value_name = "N")]
    offset: Option<u64>,
    /// Count all that fulfil the filter, too
    #[arg(long)]
    total: bool,
}

/// A filter as an option gives it.
pub(super) fn filter(given: Option<&String>) -> Result<Json> {
    given.map_or_else(|| Ok(json!({})), |text| input::json(text, "--filter"))
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let filter = filter(arguments.filter.as_ref())?;
    let opened = arguments.target.to_read(settings).await?;
    let page = opened.records().query(&opened.entity, &filter, &arguments.page()).await?;
    if arguments.target.json {
        output::print_json(&page)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for record in page.get("items").and_then(Json::as_array).into_iter().flatten() {
        text += &output::json(record)?;
        text.push('\n');
    }
    output::print(&text)?;
    if let Some(total) = page.get("total") {
        output::note(&format!("{total} records in all"));
    }
    if let Some(cursor) = page.get("next_cursor").and_then(Json::as_str) {
        output::note(&format!("there are more; go on with --cursor {cursor}"));
    }
    Ok(Exit::Done)
}

impl Arguments {
    fn page(&self) -> Json {
        let mut page = Map::new();
        let mut put = |key: &str, value: Option<Json>| {
            page.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("sort", (!self.sort.is_empty()).then(|| json!(self.sort)));
        put("limit", self.limit.map(Json::from));
        put("cursor", self.cursor.clone().map(Json::from));
        put("offset", self.offset.map(Json::from));
        put("total", self.total.then_some(Json::Bool(true)));
        Json::Object(page)
    }
}
