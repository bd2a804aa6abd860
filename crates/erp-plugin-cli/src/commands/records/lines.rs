//! The records of a file, one after the other, with the line that each stands on.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use anyhow::{Context as _, Result, bail};
use erp_plugin::schema::{EntitySchema, Field, SYSTEM_FIELDS};
use erp_plugin::{HostError, escape_control};
use serde_json::{Map, Value as Json};

use super::cell;
use super::csv::{BYTE_ORDER_MARK, Reader, Row};
use super::format::Format;

/// A record to insert.
pub(super) struct Line {
    /// The line of the file that it begins on, from 1.
    pub(super) number: u64,
    /// Its fields, or why it is none.
    pub(super) data: Result<Map<String, Json>, String>,
}

/// Reads records. Fields that the host sets are left out, and noted.
pub(super) struct Lines<'a> {
    rows: Rows<'a>,
    /// Which of the host's own fields the file has.
    pub(super) left_out: BTreeSet<&'static str>,
}

enum Rows<'a> {
    Jsonl {
        input: Box<dyn BufRead>,
        number: u64,
    },
    /// For each column the field that it is of, or `None` for one of the host's own.
    Csv {
        reader: Reader<Box<dyn BufRead>>,
        columns: Vec<Option<&'a Field>>,
    },
}

impl<'a> Lines<'a> {
    /// Begins to read; of a table, its first row.
    pub(super) fn open(
        input: Box<dyn BufRead>,
        format: Format,
        entity: &str,
        schema: Option<&'a EntitySchema>,
    ) -> Result<Self> {
        let mut left_out = BTreeSet::new();
        let rows = match format {
            Format::Jsonl => Rows::Jsonl { input, number: 0 },
            Format::Csv => {
                let schema = schema.ok_or_else(|| undeclared(entity))?;
                let mut reader = Reader::new(input);
                let columns = match reader.next().context("cannot read the first row")? {
                    Some(row) => columns(row, schema, &mut left_out)?,
                    None => Vec::new(),
                };
                Rows::Csv { reader, columns }
            }
        };
        Ok(Self { rows, left_out })
    }

    /// The next record; lines with nothing on them are none.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        match &mut self.rows {
            Rows::Jsonl { input, number } => {
                let mut bytes = Vec::new();
                while bytes.trim_ascii().is_empty() {
                    bytes.clear();
                    *number += 1;
                    if input.read_until(b'\n', &mut bytes)? == 0 {
                        return Ok(None);
                    }
                }
                let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).filter(|_| *number == 1).unwrap_or(&bytes);
                Ok(Some(Line { number: *number, data: object(bytes, &mut self.left_out) }))
            }
            Rows::Csv { reader, columns } => {
                let Some(Row { line, cells }) = reader.next()? else { return Ok(None) };
                let data = cells.and_then(|cells| {
                    if cells.len() != columns.len() {
                        return Err(format!(
                            "the row has {} cells, the first row {}",
                            cells.len(),
                            columns.len()
                        ));
                    }
                    let mut data = Map::new();
                    for (cell, field) in cells.into_iter().zip(columns) {
                        let Some(field) = field else { continue };
                        data.extend(cell::read(cell, field)?.map(|value| (field.name.to_string(), value)));
                    }
                    Ok(data)
                });
                Ok(Some(Line { number: line, data }))
            }
        }
    }
}

/// Why a table of an entity without declared fields cannot be.
pub(super) fn undeclared(entity: &str) -> HostError {
    HostError::invalid(format!("{entity} has no declared fields to make columns of; use --format jsonl"))
}

fn object(bytes: &[u8], left_out: &mut BTreeSet<&'static str>) -> Result<Map<String, Json>, String> {
    let value = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        // The line is the file's own, which is named already.
        let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        format!("this is not JSON: {what}, column {}", error.column())
    })?;
    let Json::Object(mut data) = value else {
        return Err("this is JSON and no object; a line takes one object, the fields of a record".to_owned());
    };
    left_out.extend(SYSTEM_FIELDS.into_iter().filter(|name| data.remove(*name).is_some()));
    Ok(data)
}

/// What each column is, by the first row of a table.
fn columns<'a>(
    row: Row,
    schema: &'a EntitySchema,
    left_out: &mut BTreeSet<&'static str>,
) -> Result<Vec<Option<&'a Field>>> {
    let cells = row.cells.map_err(|why| HostError::invalid(format!("the first row: {why}")))?;
    let mut columns: Vec<Option<&Field>> = Vec::with_capacity(cells.len());
    for cell in cells {
        let name = cell.text.trim();
        let column = schema.field(name);
        if let Some(own) = SYSTEM_FIELDS.into_iter().find(|own| *own == name) {
            left_out.insert(own);
        } else if column.is_none() {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name.as_str()).collect();
            bail!(HostError::invalid(format!(
                "the first row names {:?}, which is no field of {}; it takes the names of fields, separated by commas: {}",
                escape_control(name, 100),
                schema.name,
                known.join(", ")
            )));
        } else if columns.contains(&column) {
            bail!(HostError::invalid(format!("the first row names \"{name}\" twice")));
        }
        columns.push(column);
    }
    Ok(columns)
}
