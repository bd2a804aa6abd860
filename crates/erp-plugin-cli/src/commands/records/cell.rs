//! A field's value as the cell of a table, and back.
//!
//! A spreadsheet runs a cell that begins with one of `= + - @` (or a wide form of them, or a tab or line end before one) as a
//! formula, whoever wrote it. Text that does is written with an apostrophe before it, which a spreadsheet takes as "this
//! is text". Reading takes that apostrophe off, and no other: so text that would itself be read so gets one more.

use std::borrow::Cow;

use erp_plugin::schema::{Field, FieldType};
use serde_json::Value as Json;

use super::csv::Cell;

const MARK: char = '\'';
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The cell of a value; `None` of one that is absent.
pub(super) fn write<'a>(value: &'a Json, field_type: Option<&FieldType>) -> Option<Cow<'a, str>> {
    match (field_type, value) {
        (_, Json::Null) => None,
        (Some(FieldType::Json), value) => Some(value.to_string().into()),
        (Some(field_type), Json::String(text)) if is_text(field_type) => Some(marked(text)),
        (_, Json::String(text)) => Some(text.into()),
        (_, value) => Some(value.to_string().into()),
    }
}

/// The value of a cell; `None` of one that says nothing. What the host can judge is left to the host.
pub(super) fn read(cell: Cell, field: &Field) -> Result<Option<Json>, String> {
    let Cell { text, quoted } = cell;
    // Only a text can be empty. Some programs put quotes around everything.
    if text.is_empty() && !(quoted && is_text(&field.field_type)) {
        return Ok(None);
    }
    Ok(Some(match &field.field_type {
        field_type if is_text(field_type) => unmarked(text).into(),
        // A spreadsheet writes them in capitals.
        FieldType::Boolean if text.eq_ignore_ascii_case("true") => true.into(),
        FieldType::Boolean if text.eq_ignore_ascii_case("false") => false.into(),
        FieldType::Json => serde_json::from_str(&text).map_err(|error| {
            format!("field \"{}\" is not JSON: {error}; text stands in quotes there", field.name)
        })?,
        _ => text.into(),
    }))
}

/// Whether its values are somebody's own words.
fn is_text(field_type: &FieldType) -> bool {
    matches!(
        field_type,
        FieldType::String | FieldType::Text | FieldType::Enum { .. } | FieldType::NumberSeries { .. }
    )
}

/// Whether text begins with a mark that reading takes off.
fn is_marked(text: &str) -> bool {
    text.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(MARK) || rest.starts_with(FORMULA))
}

fn marked(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) || is_marked(text) { format!("{MARK}{text}").into() } else { text.into() }
}

fn unmarked(text: String) -> String {
    match text.strip_prefix(MARK) {
        Some(rest) if is_marked(&text) => rest.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_as_a_formula_and_every_text_comes_back() {
        let texts = [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("\t=1", "'\t=1"),
            ("\n=1", "'\n=1"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("''", "'''"),
            ("'", "'"),
            ("'tis", "'tis"),
            ("", ""),
            ("a=1", "a=1"),
        ];
        for (text, cell) in texts {
            assert_eq!(marked(text), cell, "{text:?}");
            assert!(!cell.starts_with(FORMULA));
            assert_eq!(unmarked(cell.to_owned()), text, "{text:?}");
        }
    }

    #[test]
    fn numbers_have_no_mark_and_json_stands_as_it_is() {
        let json = serde_json::json!({ "a": "=1" });
        assert_eq!(write(&json, Some(&FieldType::Json)).unwrap(), r#"{"a":"=1"}"#);
        assert_eq!(write(&Json::from(""), Some(&FieldType::Json)).unwrap(), r#""""#);
        let decimal = FieldType::Decimal { precision: 9, scale: 2 };
        assert_eq!(write(&Json::from("-1.50"), Some(&decimal)).unwrap(), "-1.50");
        assert_eq!(write(&Json::Null, Some(&FieldType::Json)), None);
    }
}
