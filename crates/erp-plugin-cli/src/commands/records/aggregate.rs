//! `erp-plugin records aggregate`: figures over records, as a table.

use anyhow::Result;
use serde_json::Value as Json;

use super::query;
use super::target::Target;
use crate::exit::Exit;
use crate::output::{self, HEADING, foreign, styled};
use crate::settings::Settings;
use crate::{input, values};

/// Compute figures over the records that fulfil a filter
///
/// Counts, sums, averages, the least and the greatest, of all of them or by group. Sums are exact. With --json it prints
/// {"groups":[…],"has_more":…}.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin records aggregate inventory.item --db erp.db --tenant acme --figures \\
      '{\"group_by\":[\"category\"],\"figures\":{\"items\":{\"count\":true},\"pieces\":{\"sum\":\"on_hand\"}}}'

Figures: {\"count\":true}, {\"sum\":FIELD}, {\"avg\":FIELD}, {\"min\":FIELD}, {\"max\":FIELD}")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// What to compute: {"group_by":[FIELDS],"figures":{NAME:FIGURE},"limit":N}
    #[arg(long, value_name = "JSON|@FILE")]
    figures: String,
    /// Which records; all without it
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let figures = input::json(&arguments.figures, "--figures")?;
    let filter = query::filter(arguments.filter.as_ref())?;
    let opened = arguments.target.to_read(settings).await?;
    let answer = opened.records().aggregate(&opened.entity, &filter, &figures).await?;
    if arguments.target.json {
        output::print_json(&answer)?;
        return Ok(Exit::Done);
    }
    let groups = answer.get("groups").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    output::print(&table(&figures, groups))?;
    if answer.get("has_more") == Some(&Json::Bool(true)) {
        output::note(&format!(
            "there are more than these {} groups; ask for more with \"limit\" in --figures, or for fewer with --filter",
            values::grouped(groups.len() as u64)
        ));
    }
    Ok(Exit::Done)
}

/// Groups on the left, figures on the right, a line each.
fn table(figures: &Json, groups: &[Json]) -> String {
    let by: Vec<&str> = figures
        .get("group_by")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let computed =
        figures.get("figures").and_then(Json::as_object).into_iter().flat_map(|named| named.keys());
    let columns: Vec<&str> = by.iter().copied().chain(computed.map(String::as_str)).collect();
    let head = columns.iter().map(|name| foreign(name)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(groups.iter().map(|group| columns.iter().map(|name| shown(group.get(*name))).collect()))
        .collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < by.len() { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        text += &if index == 0 { styled(HEADING, line) } else { line.to_owned() };
        text.push('\n');
    }
    text
}

fn shown(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => "-".to_owned(),
        Some(Json::String(text)) => foreign(text),
        Some(other) => foreign(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_stand_on_the_left_and_figures_on_the_right() {
        let figures =
            json!({ "group_by": ["kind"], "figures": { "n": { "count": true }, "sum": { "sum": "x" } } });
        let groups = [
            json!({ "kind": "long one", "n": 3, "sum": "12.50" }),
            json!({ "kind": null, "n": 10, "sum": "0" }),
        ];
        let text = anstream::adapter::strip_str(&table(&figures, &groups)).to_string();
        assert_eq!(text, "kind       n    sum\nlong one   3  12.50\n-         10      0\n");
    }
}
