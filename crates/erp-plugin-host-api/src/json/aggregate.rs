//! Figures out of JSON and back: `{"group_by":["status"],"figures":{"total":{"sum":"amount"}},"limit":100}`.

use erp_plugin_model::filter::Column;
use erp_plugin_model::parse::{MAX_SAFE_INTEGER, quote, write_wide_decimal};
use erp_plugin_model::schema::FieldType;
use erp_plugin_model::{FieldName, HostError};
use erp_plugin_storage::{AggregateOutcome, Figure, FigureValue, MAX_FIGURES, MAX_GROUP_COLUMNS};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::filter::{column, column_type};
use super::{verify, write};
use crate::fields::Seen;

/// The groups of an aggregate that names no limit, and the most that it may name.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
/// Digits that an average has beyond the field's own.
const MORE_DIGITS: u8 = 6;

/// What is to be computed, checked against its entity.
#[derive(Debug)]
pub(crate) struct Spec {
    group_by: Vec<Named>,
    figures: Vec<(String, Kind)>,
    pub(crate) limit: u32,
}

/// A column, as it was named.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    column: Column,
    field_type: FieldType,
}

#[derive(Debug)]
enum Kind {
    Count,
    Sum(Named),
    Avg(Named),
    Min(Named),
    Max(Named),
}

impl Spec {
    pub(crate) fn columns(&self) -> Vec<Column> {
        self.group_by.iter().map(|named| named.column.clone()).collect()
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |(_, kind): &(String, Kind)| match kind {
            Kind::Count => Figure::Count,
            Kind::Sum(of) | Kind::Avg(of) => Figure::Sum(of.column.clone()),
            Kind::Min(of) => Figure::Min(of.column.clone()),
            Kind::Max(of) => Figure::Max(of.column.clone()),
        };
        self.figures.iter().map(figure).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    #[serde(default)]
    group_by: Vec<String>,
    #[serde(default)]
    figures: Map<String, Json>,
    limit: Option<u64>,
}

/// Reads what is to be computed.
pub(crate) fn read(seen: Seen<'_>, bytes: &[u8]) -> Result<Spec, HostError> {
    let text = verify::json("aggregate", bytes)?;
    let RawSpec { group_by, figures, limit } =
        serde_json::from_str(text).map_err(|error| HostError::invalid(format!("aggregate: {error}")))?;
    if group_by.len() > MAX_GROUP_COLUMNS {
        return Err(HostError::invalid(format!(
            "aggregate: group_by has {} fields, {MAX_GROUP_COLUMNS} are allowed; group the rest in the plugin",
            group_by.len()
        )));
    }
    if figures.is_empty() || figures.len() > MAX_FIGURES {
        return Err(HostError::invalid(format!(
            "aggregate: figures has {} entries, it takes 1 to {MAX_FIGURES}, such as {{\"n\":{{\"count\":true}}}}",
            figures.len()
        )));
    }
    let limit = limit.unwrap_or(u64::from(DEFAULT_LIMIT));
    let limit =
        u32::try_from(limit).ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
            HostError::invalid(format!(
                "aggregate: limit must be 1 to {MAX_LIMIT}, not {limit}; narrow the filter for more groups"
            ))
        })?;
    let mut keys: Vec<Named> = Vec::with_capacity(group_by.len());
    for name in group_by {
        if keys.iter().any(|key| key.name == name) {
            return Err(HostError::invalid(format!("aggregate: group_by names {} twice", quote(&name))));
        }
        keys.push(ordered(seen, "group_by", name)?);
    }
    let mut named = Vec::with_capacity(figures.len());
    for (name, json) in figures {
        if FieldName::parse(&name).is_err() {
            return Err(HostError::invalid(format!(
                "aggregate: the figure {} must have a name like a field's: a-z, 0-9 and _, at most 30",
                quote(&name)
            )));
        }
        if keys.iter().any(|key| key.name == name) {
            return Err(HostError::invalid(format!(
                "aggregate: \"{name}\" is a figure and a field to group by; call the figure something else"
            )));
        }
        let kind = figure(seen, &name, &json)?;
        named.push((name, kind));
    }
    Ok(Spec { group_by: keys, figures: named, limit })
}

fn figure(seen: Seen<'_>, name: &str, json: &Json) -> Result<Kind, HostError> {
    let wrong = || {
        HostError::invalid(format!(
            "aggregate: the figure \"{name}\" must be one of {{\"count\":true}}, {{\"sum\":\"field\"}}, \
             {{\"avg\":\"field\"}}, {{\"min\":\"field\"}} and {{\"max\":\"field\"}}, not {}",
            quote(&json.to_string())
        ))
    };
    let Json::Object(map) = json else { return Err(wrong()) };
    let mut entries = map.iter();
    let (Some((of, operand)), None) = (entries.next(), entries.next()) else { return Err(wrong()) };
    match (of.as_str(), operand) {
        ("count", Json::Bool(true)) => Ok(Kind::Count),
        ("sum", Json::String(field)) => numbers(seen, name, field).map(Kind::Sum),
        ("avg", Json::String(field)) => numbers(seen, name, field).map(Kind::Avg),
        ("min", Json::String(field)) => ordered(seen, name, field.clone()).map(Kind::Min),
        ("max", Json::String(field)) => ordered(seen, name, field.clone()).map(Kind::Max),
        _ => Err(wrong()),
    }
}

/// A column whose values have an order.
fn ordered(seen: Seen<'_>, what: &str, name: String) -> Result<Named, HostError> {
    let column = column(seen, &name)?;
    match column_type(seen.schema, &column) {
        None => Err(HostError::invalid(format!(
            "aggregate: {what} names {}: of a dynamic entity only counts can be had, by id, version, created_at, \
             created_by, updated_at and updated_by; declare the field in plugin.toml",
            quote(&name)
        ))),
        Some(field_type) if !field_type.is_ordered() && matches!(column, Column::Field(_)) => {
            Err(HostError::invalid(format!(
                "aggregate: {what} names \"{name}\": a {} field has no order; use a string or another type",
                field_type.as_str()
            )))
        }
        Some(field_type) => {
            let field_type = field_type.into_owned();
            Ok(Named { name, column, field_type })
        }
    }
}

/// A column of numbers.
fn numbers(seen: Seen<'_>, what: &str, name: &str) -> Result<Named, HostError> {
    let named = ordered(seen, what, name.to_owned())?;
    match named.field_type {
        FieldType::Integer | FieldType::Decimal { .. } => Ok(named),
        ref other => Err(HostError::invalid(format!(
            "aggregate: {what} adds up \"{name}\", a {} field; only integer and decimal fields can be",
            other.as_str()
        ))),
    }
}

/// The answer.
pub(crate) fn write(spec: &Spec, outcome: &AggregateOutcome) -> Vec<u8> {
    let mut out = Vec::from(b"{\"groups\":[");
    for (index, group) in outcome.groups.iter().enumerate() {
        let before = if index == 0 { "{" } else { ",{" };
        out.extend_from_slice(before.as_bytes());
        let start = out.len();
        for (named, value) in spec.group_by.iter().zip(&group.key) {
            write::key(&named.name, &mut out);
            write::value(&named.field_type, value.as_ref(), &mut out);
        }
        for ((name, kind), value) in spec.figures.iter().zip(&group.figures) {
            write::key(name, &mut out);
            write_figure(kind, value, &mut out);
        }
        // The comma before the first key.
        if out.len() > start {
            out.remove(start);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"has_more\":");
    out.extend_from_slice(if outcome.has_more { b"true" } else { b"false" });
    out.push(b'}');
    out
}

fn write_figure(kind: &Kind, value: &FigureValue, out: &mut Vec<u8>) {
    match (kind, value) {
        (_, FigureValue::Count(count)) => {
            out.extend_from_slice(itoa::Buffer::new().format(*count).as_bytes());
        }
        (Kind::Avg(_), FigureValue::Sum { of: 0, .. }) => out.extend_from_slice(b"null"),
        (Kind::Avg(named), FigureValue::Sum { sum, of }) => {
            let scale = scale(&named.field_type) + MORE_DIGITS;
            out.push(b'"');
            write_wide_decimal(average(*sum, *of), scale, out);
            out.push(b'"');
        }
        (Kind::Sum(named), FigureValue::Sum { sum, .. }) => {
            let is_text = matches!(named.field_type, FieldType::Decimal { .. })
                || sum.unsigned_abs() > u128::from(MAX_SAFE_INTEGER);
            let quote: &[u8] = if is_text { b"\"" } else { b"" };
            out.extend_from_slice(quote);
            write_wide_decimal(*sum, scale(&named.field_type), out);
            out.extend_from_slice(quote);
        }
        (Kind::Min(named) | Kind::Max(named), FigureValue::Value(value)) => {
            write::value(&named.field_type, value.as_ref(), out);
        }
        // No storage answers with another figure than it was asked for.
        _ => out.extend_from_slice(b"null"),
    }
}

fn scale(field_type: &FieldType) -> u8 {
    if let FieldType::Decimal { scale, .. } = field_type { *scale } else { 0 }
}

/// A sum over so many values, in millionths of its unit, rounded half to even.
fn average(sum: i128, of: u64) -> i128 {
    let of = u128::from(of.max(1));
    let wide = sum.unsigned_abs().saturating_mul(10_u128.pow(u32::from(MORE_DIGITS)));
    let (whole, rest) = (wide / of, wide % of);
    let up = match (rest * 2).cmp(&of) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => whole % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    let rounded = i128::try_from(whole + u128::from(up)).unwrap_or(i128::MAX);
    if sum < 0 { -rounded } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_rounded_half_to_even() {
        for (sum, of, expected) in [
            (0, 3, 0),
            (1, 3, 333_333),
            (2, 3, 666_667),
            (-2, 3, -666_667),
            (1, 2_000_000, 0),
            (3, 2_000_000, 2),
            (-1, 2_000_000, 0),
            (-3, 2_000_000, -2),
            (5, 2_000_000, 2),
            (i128::from(i64::MAX) * 5, 5, i128::from(i64::MAX) * 1_000_000),
        ] {
            assert_eq!(average(sum, of), expected, "{sum} / {of}");
        }
    }
}
