//! `erp-plugin records import`: the records of a file, inserted.
//!
//! In batches, each a transaction of its own. A line that is refused is named and the others are kept: a file of a
//! hundred thousand lines is not read in one go without a slip, and whoever has put the slips right imports those lines
//! alone.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use erp_plugin::{ErrorCode, Records};
use serde_json::{Value as Json, json};

use super::format::Format;
use super::lines::Lines;
use super::target::Target;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;
use crate::values::grouped;

/// Insert the records of a file
///
/// Reads what `records export` writes, and files of your own: JSON Lines, an object on each line, or CSV, whose first row
/// names fields; it need not name all of them. The host sets id, version and the rest of its own fields, so those in the
/// file are left out, and an absent value becomes the field's default.
///
/// A line that is refused is named on standard error, and the others are kept. Importing a file again inserts it again,
/// except what a unique field refuses.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records import inventory.item items.csv --db erp.db --tenant acme
  zcat items.jsonl.gz | erp-plugin records import inventory.item - --db erp.db --tenant acme

In CSV an empty cell is absent and \"\" is an empty text; a boolean is true or false, a json field is JSON. An apostrophe
before = + - @ or a tab is taken off, as `records export` puts it there.

Exit codes:
  0  all records are in
  1  the file cannot be read, or the host says no to all of it
  2  the command line is wrong
  4  some lines were refused; the others are in")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// The file, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// The format; without it csv for a file whose name ends so, else jsonl
    #[arg(long, value_enum, value_name = "jsonl|csv", hide_possible_values = true)]
    format: Option<Format>,
    /// The most records of one transaction, 1 to 1,000
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let input = open(&arguments.file)?;
    let opened = arguments.target.to_write(settings).await?;
    let format = Format::of(arguments.format, Some(&arguments.file));
    let place = || match arguments.file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => arguments.file.display().to_string(),
    };
    let mut lines = Lines::open(input, format, &opened.entity, opened.schema.as_ref()).with_context(place)?;
    let mut import = Import {
        records: opened.records(),
        entity: &opened.entity,
        inserted: 0,
        refused: 0,
        untold: Vec::new(),
    };
    let mut batch = Vec::new();
    while let Some(line) = lines.next().with_context(|| format!("cannot read {}", place()))? {
        match line.data {
            Ok(data) => batch.push((line.number, Json::Object(data))),
            Err(why) => import.refuse(line.number, ErrorCode::InvalidInput.as_str(), why),
        }
        if batch.len() >= usize::from(arguments.batch) {
            import.insert(std::mem::take(&mut batch)).await?;
        }
    }
    import.insert(batch).await?;

    if !lines.left_out.is_empty() {
        let names: Vec<&str> = lines.left_out.iter().copied().collect();
        output::note(&format!("the host sets {}; what the file says of them was left out", names.join(", ")));
    }
    let Import { inserted, refused, .. } = import;
    if arguments.target.json {
        output::print_json(&json!({ "inserted": inserted, "refused": refused }))?;
    } else {
        output::print(&format!("{} records inserted, {} refused\n", grouped(inserted), grouped(refused)))?;
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::SomeRefused })
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// What has become of the file so far.
struct Import<'a> {
    records: Records<'a>,
    entity: &'a str,
    inserted: u64,
    refused: u64,
    /// Lines of the present batch that were refused, with code and reason.
    untold: Vec<(u64, String, String)>,
}

impl Import<'_> {
    fn refuse(&mut self, line: u64, code: &str, why: String) {
        self.refused += 1;
        self.untold.push((line, code.to_owned(), why));
    }

    /// Names the lines that were refused, in the order of the file.
    fn tell(&mut self) {
        self.untold.sort_by_key(|(line, ..)| *line);
        for (line, code, why) in self.untold.drain(..) {
            output::refused(line, &code, &why);
        }
    }

    /// Inserts a batch. What the host refuses as a whole (too large, too slow, nested too deep) it gets again by halves, so
    /// that only the line at fault is refused in the end.
    async fn insert(&mut self, batch: Vec<(u64, Json)>) -> Result<()> {
        let mut waiting = vec![batch];
        while let Some(mut part) = waiting.pop() {
            if part.is_empty() {
                continue;
            }
            let data = part.iter().map(|(_, data)| data.clone()).collect();
            let error = match self.records.insert_many(self.entity, &data).await {
                Ok(answer) => {
                    self.take(&part, &answer);
                    continue;
                }
                Err(error) => error,
            };
            let code = error.code();
            let (first, last) = (part.first().map(|(line, _)| *line), part.last().map(|(line, _)| *line));
            if !matches!(code, ErrorCode::LimitExceeded | ErrorCode::InvalidInput) {
                let lines = format!("lines {} to {}", first.unwrap_or_default(), last.unwrap_or_default());
                let before = grouped(self.inserted);
                self.tell();
                return Err(error).context(format!("{lines} are not in, {before} records before them are"));
            }
            if let (1, Some(line)) = (part.len(), first) {
                let text = crate::exit::line(&error.into());
                self.refuse(line, code.as_str(), text);
                continue;
            }
            let rest = part.split_off(part.len() / 2);
            waiting.extend([rest, part]);
        }
        self.tell();
        Ok(())
    }

    /// Takes note of how each of them ended.
    fn take(&mut self, part: &[(u64, Json)], answer: &Json) {
        let items = answer.get("items").and_then(Json::as_array).into_iter().flatten();
        for ((line, _), item) in part.iter().zip(items) {
            match item.get("error") {
                None => self.inserted += 1,
                Some(error) => {
                    let text = |key: &str| error.get(key).and_then(Json::as_str).unwrap_or_default();
                    self.refuse(*line, text("code"), text("message").to_owned());
                }
            }
        }
    }
}
