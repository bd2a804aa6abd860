//! Figures over records.

use erp_plugin_model::Value;
use erp_plugin_model::filter::Column;

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
