//! Figures over records.

use erp_plugin_model::filter::Column;
use erp_plugin_model::{EntitySchema, FieldType, Value};

/// The most columns that records are grouped by.
pub const MAX_GROUP_COLUMNS: usize = 2;
/// The most figures of one aggregate.
pub const MAX_FIGURES: usize = 16;

/// What is to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Declared and system columns whose types have an order, at most [`MAX_GROUP_COLUMNS`]; none is one group of all.
    pub group_by: Vec<Column>,
    /// The figures of each group, at most [`MAX_FIGURES`].
    pub figures: Vec<Figure>,
    /// The most groups wanted.
    pub limit: u32,
}

impl Aggregate {
    /// What no backend computes of an entity's records, if this is it: a fault of the host.
    #[must_use]
    pub fn misuse(&self, schema: &EntitySchema) -> Option<&'static str> {
        let Self { group_by, figures, .. } = self;
        if group_by.len() > MAX_GROUP_COLUMNS || figures.len() > MAX_FIGURES {
            return Some("an aggregate of more columns or figures than there may be");
        }
        let has_no_order = |column: &Column| match column {
            Column::System(_) => false,
            Column::Field(position) => {
                schema.fields().get(*position).is_none_or(|field| !field.field_type.is_ordered())
            }
            Column::Document(_) => true,
        };
        let is_number = |column: &Column| match column {
            Column::System(field) => field.field_type() == FieldType::Integer,
            Column::Field(position) => schema.fields().get(*position).is_some_and(|field| {
                matches!(field.field_type, FieldType::Integer | FieldType::Decimal { .. })
            }),
            Column::Document(_) => false,
        };
        let wrong = |figure: &Figure| match figure {
            Figure::Count => false,
            Figure::Sum(column) => !is_number(column),
            Figure::Min(column) | Figure::Max(column) => has_no_order(column),
        };
        (group_by.iter().any(has_no_order) || figures.iter().any(wrong))
            .then_some("an aggregate of a column whose type has no order, or a sum of what is no number")
    }
}

/// A figure of a group. Absent values count for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// How many records.
    Count,
    /// The sum of an integer or decimal column, and of how many values: an average is one by the other.
    Sum(Column),
    /// The smallest value of a column whose type has an order.
    Min(Column),
    /// The largest value.
    Max(Column),
}

/// A figure's value.
#[derive(Clone, Debug, PartialEq)]
pub enum FigureValue {
    /// Of [`Figure::Count`].
    Count(u64),
    /// Of [`Figure::Sum`]: in the column's smallest unit, over so many values. Wider than the column, so that no sum
    /// of its values is too large.
    Sum {
        /// The sum; 0 of no values.
        sum: i128,
        /// How many values were not absent.
        of: u64,
    },
    /// Of [`Figure::Min`] and [`Figure::Max`]; [`Value::Null`] of no values.
    Value(Value),
}

/// The figures of the records that have the same values in the columns to group by.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// One value for each column to group by.
    pub key: Vec<Value>,
    /// One for each figure.
    pub figures: Vec<FigureValue>,
}

/// What an aggregate came to.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateOutcome {
    /// The groups, in the order of their keys.
    pub groups: Vec<Group>,
    /// Whether there are more groups than were wanted.
    pub has_more: bool,
    /// As [`QueryOutcome::rows_scanned`](crate::QueryOutcome::rows_scanned).
    pub rows_scanned: u64,
}
