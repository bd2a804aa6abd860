//! `erp-plugin records history`: who changed what.

use anyhow::Result;
use serde_json::{Map, Value as Json};

use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// Show who changed what, the newest first, a page at a time
///
/// Of all records of an entity, or of one, deleted and purged ones included. Prints one change a line; where there are
/// more, standard error says with which cursor to go on. With --json it prints the page as one object: items and
/// next_cursor. A user needs the permission to read the entity.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records history inventory.item --db erp.db --tenant acme --limit 20
  erp-plugin records history inventory.item --db erp.db --tenant acme --by ada --verb delete --since 2026-01-31T00:00:00Z
  erp-plugin records history inventory.item 019ab3c4-9c1e-7d54-8a8e-0d6f0a1b2c3d --db erp.db --tenant acme")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The record's id; of all records without it
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Only those by this user, or by a plugin: plugin:NAME
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// Only those of this kind: insert, update, restore or delete
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// Only those at this moment or later: 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The most changes, 1 to 1,000 [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Where the page before has ended; all but the limit must be the same
    #[arg(long, value_name = "C")]
    cursor: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let id = arguments.id.as_ref().map(|id| arguments.target.id(id)).transpose()?;
    let opened = arguments.target.to_read(settings).await?;
    let mut page = Map::new();
    page.extend(arguments.limit.map(|limit| ("limit".to_owned(), Json::from(limit))));
    for (key, value) in [
        ("by", &arguments.by),
        ("verb", &arguments.verb),
        ("since", &arguments.since),
        ("until", &arguments.until),
        ("cursor", &arguments.cursor),
    ] {
        page.extend(value.clone().map(|value| (key.to_owned(), Json::from(value))));
    }
    let page = opened.records().history(&opened.entity, id, &Json::Object(page)).await?;
    if arguments.target.json {
        output::print_json(&page)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for change in page.get("items").and_then(Json::as_array).into_iter().flatten() {
        text += &output::json(change)?;
        text.push('\n');
    }
    output::print(&text)?;
    if let Some(cursor) = page.get("next_cursor").and_then(Json::as_str) {
        output::note(&format!("there are more; go on with --cursor {cursor}"));
    }
    Ok(Exit::Done)
}
