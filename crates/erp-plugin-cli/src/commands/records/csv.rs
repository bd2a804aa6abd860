//! Tables as RFC 4180 has them: cells between commas, rows between line ends, quotes around what holds either.
//!
//! By hand, because an absent value and an empty text must stay apart: the one is nothing between two commas, the other
//! is `""` there, and the reader of the `csv` crate tells nobody which it was. Nor does its writer quote one cell and not
//! its neighbour.

use std::io::{self, BufRead};

/// A row that is longer is a quote that was never closed.
const LONGEST_ROW: usize = 16 << 20;

/// What spreadsheets put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A cell of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Whether it stood in quotes.
    pub(super) quoted: bool,
}

/// A row, and the line that it begins on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) line: u64,
    /// The cells, or what is wrong with it. The next row is read all the same.
    pub(super) cells: Result<Vec<Cell>, String>,
}

/// Appends a cell, and the comma before it if the row has begun.
pub(super) fn write_cell(row: &mut String, is_first: bool, cell: Option<&str>) {
    if !is_first {
        row.push(',');
    }
    let Some(text) = cell else { return };
    // Some readers drop blanks at the ends of what is not quoted.
    let has_blank_end = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    if text.is_empty() || has_blank_end || text.contains(['"', ',', '\r', '\n']) {
        row.push('"');
        *row += &text.replace('"', "\"\"");
        row.push('"');
    } else {
        *row += text;
    }
}

/// Reads rows.
pub(super) struct Reader<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: 0 }
    }

    /// The next row; lines with nothing on them are left out.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        let mut line = Vec::new();
        while line.trim_ascii().is_empty() {
            if !self.next_line(&mut line)? {
                return Ok(None);
            }
        }
        let first = self.line;
        let mut parser = Parser::default();
        let mut length = 0;
        loop {
            length += line.len();
            let fed = match parser.feed(&line) {
                Ok(()) if parser.at == At::Quoted && length > LONGEST_ROW => {
                    Err("a quote is opened and not closed within 16 MiB")
                }
                fed => fed,
            };
            if let Err(why) = fed {
                return Ok(Some(Row { line: first, cells: Err(why.to_owned()) }));
            }
            if parser.at != At::Quoted {
                return Ok(Some(Row { line: first, cells: parser.finish() }));
            }
            if !self.next_line(&mut line)? {
                let why =
                    "a quote is opened and never closed; what follows in the file belongs to it".to_owned();
                return Ok(Some(Row { line: first, cells: Err(why) }));
            }
        }
    }

    fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        self.line += 1;
        let read = self.input.read_until(b'\n', line)?;
        if self.line == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read > 0)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first byte of a cell.
    #[default]
    Start,
    Bare,
    Quoted,
    /// After a quote inside quotes: the end of the cell, or the first half of a quote.
    Quote,
}

/// A row as far as it was read.
#[derive(Default)]
struct Parser {
    cells: Vec<(Vec<u8>, bool)>,
    cell: Vec<u8>,
    at: At,
}

impl Parser {
    /// Takes a line with its end.
    fn feed(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        for &byte in content {
            match (self.at, byte) {
                (At::Start, b'"') => self.at = At::Quoted,
                (At::Start | At::Bare | At::Quote, b',') => self.end_cell(),
                (At::Start | At::Bare, byte) => {
                    if byte == b'"' {
                        return Err(
                            "a quote stands inside a cell without quotes; put the cell in quotes and double the one inside",
                        );
                    }
                    self.at = At::Bare;
                    self.cell.push(byte);
                }
                (At::Quoted, b'"') => self.at = At::Quote,
                (At::Quoted, byte) => self.cell.push(byte),
                (At::Quote, b'"') => {
                    self.at = At::Quoted;
                    self.cell.push(byte);
                }
                (At::Quote, _) => {
                    return Err("text follows the quote that closes a cell; double a quote inside a cell");
                }
            }
        }
        if self.at == At::Quoted {
            // The line's end is part of the cell, as it stands.
            self.cell.extend_from_slice(line.get(content.len()..).unwrap_or_default());
        }
        Ok(())
    }

    fn end_cell(&mut self) {
        self.cells.push((std::mem::take(&mut self.cell), self.at == At::Quote));
        self.at = At::Start;
    }

    fn finish(mut self) -> Result<Vec<Cell>, String> {
        self.end_cell();
        let text = |(index, (bytes, quoted))| match String::from_utf8(bytes) {
            Ok(text) => Ok(Cell { text, quoted }),
            Err(_) => Err(format!("cell {} is not UTF-8; save the file as UTF-8", index + 1)),
        };
        self.cells.into_iter().enumerate().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<Row> {
        let mut reader = Reader::new(text);
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    fn cells(text: &str) -> Vec<Option<String>> {
        let [row] = rows(text.as_bytes()).try_into().unwrap();
        let cell = |cell: Cell| (cell.quoted || !cell.text.is_empty()).then_some(cell.text);
        row.cells.unwrap().into_iter().map(cell).collect()
    }

    #[test]
    fn what_is_written_is_read_and_absent_is_not_empty() {
        let given = [
            Some("a"),
            None,
            Some(""),
            Some("say \"hi\", now"),
            Some("two\r\nlines\nand\r"),
            Some(" 库存 "),
            Some("\""),
            None,
        ];
        let mut row = String::new();
        for (index, cell) in given.iter().enumerate() {
            write_cell(&mut row, index == 0, *cell);
        }
        assert!(row.starts_with("a,,\"\",\"say \"\"hi\"\", now\",\"two"), "{row}");
        for end in ["", "\n", "\r\n"] {
            assert_eq!(cells(&format!("{row}{end}")), given.map(|cell| cell.map(str::to_owned)), "{end:?}");
        }
    }

    #[test]
    fn rows_know_their_first_line_and_a_bad_one_spoils_no_other() {
        let text = b"\xef\xbb\xbfa,b\r\n\r\n\"1\n2\",3\r\nx\"y,1\n\"p\"q,1\n\xff,1\nz,\"";
        let found = rows(text);
        let lines: Vec<_> = found.iter().map(|row| (row.line, row.cells.is_ok())).collect();
        assert_eq!(lines, [(1, true), (3, true), (5, false), (6, false), (7, false), (8, false)]);
        assert_eq!(found[0].cells.as_ref().unwrap()[0].text, "a");
        let why = |index: usize| found[index].cells.as_ref().unwrap_err().clone();
        assert!(why(2).contains("double the one inside") && why(3).contains("follows the quote"));
        assert!(why(4).contains("cell 1 is not UTF-8") && why(5).contains("never closed"));
    }
}
