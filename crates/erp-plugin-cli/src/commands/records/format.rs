//! The formats of whole files.

use std::path::Path;

/// How records stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// JSON Lines: a whole record on each line
    Jsonl,
    /// A table for spreadsheets, RFC 4180
    Csv,
}

impl Format {
    /// The one that was asked for; else what the file is called after; else JSON Lines.
    pub(super) fn of(asked: Option<Self>, file: Option<&Path>) -> Self {
        let is_csv = || file?.extension().map(|extension| extension.eq_ignore_ascii_case("csv"));
        asked.unwrap_or_else(|| if is_csv() == Some(true) { Self::Csv } else { Self::Jsonl })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_its_format_by_its_name() {
        for (asked, file, expected) in [
            (None, Some("items.CSV"), Format::Csv),
            (None, Some("items.jsonl"), Format::Jsonl),
            (None, Some("csv"), Format::Jsonl),
            (None, None, Format::Jsonl),
            (Some(Format::Jsonl), Some("items.csv"), Format::Jsonl),
        ] {
            assert_eq!(Format::of(asked, file.map(Path::new)), expected, "{file:?}");
        }
    }
}
