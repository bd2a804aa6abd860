//! The semantics of filters and sorts once more, in the plainest Rust: what the backends are compared with.

use std::cmp::Ordering;

use erp_plugin_model::filter::{Column, Comparison, Filter};
use erp_plugin_model::fold::fold;
use erp_plugin_model::page::SortKey;
use erp_plugin_model::schema::SystemField;
use erp_plugin_model::{RecordId, Value};

/// A record of a declared entity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: RecordId,
    pub(crate) version: i64,
    pub(crate) values: Vec<Value>,
}

impl Record {
    fn value(&self, column: &Column) -> Value {
        match column {
            Column::System(SystemField::Id) => Value::Uuid(self.id.0),
            Column::System(SystemField::Version) => Value::Integer(self.version),
            Column::Field(position) => self.values[*position].clone(),
            other => panic!("the model has no {other:?}"),
        }
    }
}

/// Whether a record fulfils a filter.
pub(crate) fn matches(filter: &Filter, record: &Record) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().all(|filter| matches(filter, record)),
        Filter::Any(filters) => filters.iter().any(|filter| matches(filter, record)),
        Filter::Not(filter) => !matches(filter, record),
        Filter::Compare(column, comparison, with) => {
            let value = record.value(column);
            !value.is_null() && compares(*comparison, order(&value, with))
        }
        Filter::In(column, values) => values.contains(&record.value(column)),
        Filter::Prefix(column, prefix) => {
            matches!(record.value(column), Value::Text(text) if text.starts_with(prefix.as_str()))
        }
        Filter::FoldedEq(position, folded) => {
            matches!(&record.values[*position], Value::Text(text) if fold(text) == *folded)
        }
        Filter::FoldedPrefix(position, folded) => {
            matches!(&record.values[*position], Value::Text(text) if fold(text).starts_with(folded.as_str()))
        }
        Filter::Absent(column) => record.value(column).is_null(),
    }
}

fn compares(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Eq => order.is_eq(),
        Comparison::Ne => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::Lte => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::Gte => order.is_ge(),
    }
}

/// The order of two values of one type. Rust compares texts by their UTF-8 bytes, which is by code point.
pub(crate) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Integer(a), Value::Integer(b)) | (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        _ => panic!("{a:?} and {b:?} have no order"),
    }
}

/// Puts records in the order of a sort: absent values last in both directions.
pub(crate) fn sort(records: &mut [Record], keys: &[SortKey]) {
    records.sort_by(|a, b| {
        keys.iter()
            .map(|key| {
                let (a, b) = (a.value(&key.column), b.value(&key.column));
                match (a.is_null(), b.is_null()) {
                    (false, false) if key.descending => order(&b, &a),
                    (false, false) => order(&a, &b),
                    (a, b) => a.cmp(&b),
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
}
