//! A row as a JSON object: a column without a value is left out. Values look as they do in the API.

use std::collections::HashMap;

use erp_plugin_model::parse::{self, MAX_SAFE_INTEGER, write_decimal};
use erp_plugin_model::schema::MAX_PRECISION;
use erp_plugin_model::time::{write_date, write_rfc3339};
use erp_plugin_model::{EntitySchema, FieldType, Value};
use serde_json::value::RawValue;

use crate::transfer::{Column, Row, TenantTable};

/// The columns of a table by the names that an export has for them: fields have their own, wherever they are stored.
pub(super) fn columns(table: TenantTable<'_>) -> Vec<Column> {
    let mut columns = table.columns();
    if let Some(schema) = table.schema() {
        let first = columns.len() - schema.fields().len();
        for (column, field) in columns.iter_mut().skip(first).zip(schema.fields()) {
            column.name = field.name.to_string();
        }
    }
    columns
}

/// A number series names its field by the column, which an export does not know.
pub(super) fn name_field(series: &mut Row, schemas: &[EntitySchema]) {
    change_field(series, schemas, |schema, column| {
        let field = schema.fields().iter().find(|field| field.column() == column)?;
        Some(field.name.to_string())
    });
}

/// The other way round, as the field is stored here.
pub(super) fn find_column(series: &mut Row, schemas: &[EntitySchema]) {
    change_field(series, schemas, |schema, name| Some(schema.field(name)?.column().to_owned()));
}

fn change_field(
    series: &mut Row,
    schemas: &[EntitySchema],
    change: impl Fn(&EntitySchema, &str) -> Option<String>,
) {
    let [Value::Text(entity), Value::Text(field), ..] = series.as_mut_slice() else { return };
    let schema = schemas.iter().find(|schema| schema.name.to_string() == *entity);
    if let Some(changed) = schema.and_then(|schema| change(schema, field)) {
        *field = changed;
    }
}

/// A row on one line, without the end of it.
pub(super) fn write(columns: &[Column], row: &[Value]) -> String {
    let mut line = String::from("{");
    for (column, value) in columns.iter().zip(row) {
        if value.is_null() {
            continue;
        }
        if line.len() > 1 {
            line.push(',');
        }
        line.push_str(&quoted(&column.name));
        line.push(':');
        line.push_str(&text_of(column, value));
    }
    line.push('}');
    line
}

fn text_of(column: &Column, value: &Value) -> String {
    let mut text = Vec::new();
    match value {
        Value::Null => return "null".to_owned(),
        Value::Text(own) => return quoted(own),
        Value::Integer(number) if number.unsigned_abs() <= MAX_SAFE_INTEGER => return number.to_string(),
        Value::Integer(number) => return format!("\"{number}\""),
        Value::Boolean(truth) => return truth.to_string(),
        Value::Number(number) => return number.to_string(),
        Value::Uuid(id) => return format!("\"{id}\""),
        // A line's end in JSON is a space between two parts of it, never a part of a text.
        Value::Json(own) => return own.replace(['\n', '\r'], " "),
        Value::Decimal(units) => {
            let scale = if let FieldType::Decimal { scale, .. } = &column.field_type { *scale } else { 0 };
            write_decimal(*units, scale, &mut text);
        }
        Value::Date(date) => write_date(*date, &mut text),
        Value::DateTime(time) => write_rfc3339(*time, &mut text),
    }
    format!("\"{}\"", String::from_utf8_lossy(&text))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A row out of a line, or what is wrong with it.
pub(super) fn read(columns: &[Column], line: &str) -> Result<Row, String> {
    let mut values: HashMap<String, &RawValue> =
        serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    let row = columns.iter().map(|column| match values.remove(&column.name) {
        None => Ok(Value::Null),
        Some(raw) => value(column, raw.get()).map_err(|reason| format!("\"{}\" {reason}", column.name)),
    });
    let row = row.collect::<Result<Row, String>>()?;
    match values.keys().min() {
        None => Ok(row),
        Some(name) => Err(format!("has \"{name}\", which is no column of it")),
    }
}

fn value(column: &Column, raw: &str) -> Result<Value, String> {
    if column.field_type == FieldType::Json {
        return Ok(Value::Json(raw.to_owned()));
    }
    let value = serde_json::from_str(raw).map_err(|error| format!("is no JSON: {error}"))?;
    // A deleted record keeps what its field would not take any more: only how it is stored matters.
    let stored = match &column.field_type {
        FieldType::Enum { .. } => FieldType::Text,
        FieldType::Decimal { scale, .. } => FieldType::Decimal { precision: MAX_PRECISION, scale: *scale },
        other => other.clone(),
    };
    parse::json(&stored, &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let column = |name: &str, field_type| Column { name: name.to_owned(), field_type };
        let columns = [
            column("text", FieldType::String),
            column("large", FieldType::Integer),
            column("price", FieldType::Decimal { precision: 12, scale: 2 }),
            column("flag", FieldType::Boolean),
            column("day", FieldType::Date),
            column("at", FieldType::DateTime),
            column("id", FieldType::Uuid),
            column("data", FieldType::Json),
            column("none", FieldType::String),
        ];
        let row = vec![
            Value::Text("a \"b\"\n\u{1}名".to_owned()),
            Value::Integer(i64::MIN),
            Value::Decimal(-5),
            Value::Boolean(true),
            Value::Date("1996-07-04".parse().unwrap()),
            Value::DateTime("2026-01-31T09:30:00.000001Z".parse().unwrap()),
            Value::Uuid("0198c0de-0000-7000-8000-000000000001".parse().unwrap()),
            Value::Json("{\"n\": 123456789012345678901234567890}".to_owned()),
            Value::Null,
        ];
        let line = write(&columns, &row);
        assert!(!line.contains('\n') && !line.contains("none"), "{line}");
        assert_eq!(read(&columns, &line).unwrap(), row);
        let pretty = write(&columns[7..8], &[Value::Json("{\n\"n\":1}".to_owned())]);
        assert_eq!(pretty, "{\"data\":{ \"n\":1}}");
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let columns = [Column { name: "n".to_owned(), field_type: FieldType::Integer }];
        for (line, expected) in [
            ("", "is no JSON object"),
            ("[1]", "is no JSON object"),
            ("{\"n\":\"x\"}", "\"n\" must be a 64-bit integer, not \"x\""),
            ("{\"n\":1,\"m\":2}", "has \"m\", which is no column of it"),
        ] {
            let reason = read(&columns, line).unwrap_err();
            assert!(reason.starts_with(expected), "{line}: {reason}");
        }
    }
}
