//! `erp-plugin records export`: all records of an entity as a file.
//!
//! Page by page, each a transaction of its own: a database with much in it is not held up, and a record that is changed
//! meanwhile is in the file as it was before or after. They come in the order of their ids, so none comes twice, and none
//! that is there all the while is left out.

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use erp_plugin::schema::{Field, SystemField};
use erp_plugin::{ErrorCode, HostError};
use serde_json::{Map, Value as Json, json};
use tempfile::NamedTempFile;

use super::format::Format;
use super::target::Target;
use super::{cell, csv, lines, query};
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;
use crate::values::grouped;

/// The records of a page, where they have room in one.
const PAGE: u64 = 1_000;

/// Write all records that fulfil a filter to a file
///
/// As JSON Lines, the whole record on each line, or as CSV (RFC 4180, UTF-8): id, version, created_at, created_by,
/// updated_at, updated_by, then the declared fields by name. There an absent value is an empty cell, an empty
/// text is "", a json field is JSON, and text that a spreadsheet would run as a formula (it begins with = + - @ or a tab)
/// has an apostrophe before it. `records import` reads both back.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records export inventory.item --db erp.db --tenant acme > items.jsonl
  erp-plugin records export inventory.item --db erp.db --tenant acme --filter '{\"on_hand\":0}' -o sold-out.csv")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) target: Target,
    /// Which records; all without it
    #[arg(long, value_name = "JSON|@FILE")]
    filter: Option<String>,
    /// The format; without it csv for a file whose name ends so, else jsonl
    #[arg(long, value_enum, value_name = "jsonl|csv", hide_possible_values = true)]
    format: Option<Format>,
    /// The file, which is there once it is whole; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let filter = query::filter(arguments.filter.as_ref())?;
    let format = Format::of(arguments.format, arguments.output.as_deref());
    let opened = arguments.target.to_read(settings).await?;
    let table = match (format, &opened.schema) {
        (Format::Jsonl, _) => None,
        (Format::Csv, Some(schema)) => {
            let hidden = opened.records().unreadable_fields(&opened.entity).await?;
            let fields = schema.fields().iter().filter(|field| !hidden.contains(&field.name));
            Some(Table { fields: fields.collect() })
        }
        (Format::Csv, None) => return Err(lines::undeclared(&opened.entity).into()),
    };
    let mut sink = Sink::open(arguments.output.as_deref())?;
    let records = opened.records();
    let (mut limit, mut cursor, mut count) = (PAGE, Json::Null, 0_u64);
    if let Some(table) = &table
        && !sink.line(&table.head(), "\r\n")?
    {
        return Ok(Exit::Done);
    }
    loop {
        let mut page = Map::from_iter([("limit".to_owned(), Json::from(limit))]);
        if !cursor.is_null() {
            page.insert("cursor".to_owned(), cursor.clone());
        }
        let mut answer = match records.query(&opened.entity, &filter, &Json::Object(page)).await {
            Ok(answer) => answer,
            // Large records: fewer of them on a page.
            Err(error) if error.code() == ErrorCode::LimitExceeded && limit > 1 => {
                limit /= 2;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for record in answer.get("items").and_then(Json::as_array).into_iter().flatten() {
            let goes_on = match &table {
                Some(table) => sink.line(&table.row(record), "\r\n")?,
                None => sink.line(&output::json(record)?, "\n")?,
            };
            if !goes_on {
                return Ok(Exit::Done);
            }
            count += 1;
        }
        cursor = answer.get_mut("next_cursor").map(Json::take).unwrap_or_default();
        if cursor.is_null() {
            break;
        }
    }
    sink.finish()?;
    if let Some(path) = &arguments.output {
        if arguments.target.json {
            output::print_json(&json!({ "exported": count }))?;
        } else {
            output::print(&format!("{} records in {}\n", grouped(count), path.display()))?;
        }
    }
    Ok(Exit::Done)
}

/// The rows of an entity's table, with the fields that whoever exports it may see.
struct Table<'a> {
    fields: Vec<&'a Field>,
}

impl Table<'_> {
    fn head(&self) -> String {
        let own = SystemField::ALL.into_iter().map(|field| Some(field.as_str().into()));
        row(own.chain(self.fields.iter().map(|field| Some(field.name.as_str().into()))))
    }

    fn row(&self, record: &Json) -> String {
        let value = |name: &str| record.get(name).unwrap_or(&Json::Null);
        let own = SystemField::ALL.into_iter().map(|field| cell::write(value(field.as_str()), None));
        let fields = self.fields.iter();
        row(own.chain(fields.map(|field| cell::write(value(field.name.as_str()), Some(&field.field_type)))))
    }
}

fn row<'a>(cells: impl Iterator<Item = Option<std::borrow::Cow<'a, str>>>) -> String {
    let mut row = String::new();
    for (index, cell) in cells.enumerate() {
        csv::write_cell(&mut row, index == 0, cell.as_deref());
    }
    row
}

/// Where the lines go.
enum Sink {
    /// A file beside the one that was named, whose place it takes when it is whole.
    File { file: BufWriter<NamedTempFile>, path: PathBuf },
    /// As it is: `anstream` would take out of the records what looks like a colour.
    Stdout(BufWriter<io::Stdout>),
    /// What somebody looks at must not move the cursor.
    Terminal,
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let stdout = io::stdout();
            return Ok(if stdout.is_terminal() {
                Self::Terminal
            } else {
                Self::Stdout(BufWriter::new(stdout))
            });
        };
        // A file takes the place of what is there, and must not of a device.
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            bail!(HostError::invalid(format!(
                "{} is no file; name another, or leave --output out for standard output",
                path.display()
            )));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file =
            NamedTempFile::new_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self::File { file: BufWriter::new(file), path: path.to_owned() })
    }

    /// Writes a line; `false` when its reader has gone away (`| head`).
    fn line(&mut self, line: &str, end: &str) -> Result<bool> {
        let put = |out: &mut dyn Write| {
            out.write_all(line.as_bytes())?;
            out.write_all(end.as_bytes())
        };
        match self {
            Self::File { file, path } => {
                put(file).with_context(|| format!("cannot write {}", path.display()))?;
                Ok(true)
            }
            Self::Stdout(out) => still_read(put(out)),
            Self::Terminal => {
                output::print(&format!("{}\n", erp_plugin::escape_control(line, usize::MAX)))?;
                Ok(true)
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::File { file, path } => {
                let kept = || -> io::Result<()> {
                    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                    file.as_file().sync_all()?;
                    file.persist(&path)?;
                    Ok(())
                };
                kept().with_context(|| format!("cannot write {}", path.display()))
            }
            Self::Stdout(mut out) => still_read(out.flush()).map(drop),
            Self::Terminal => Ok(()),
        }
    }
}

fn still_read(written: io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
