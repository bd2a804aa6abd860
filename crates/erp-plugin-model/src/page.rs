//! Which part of a query's records is wanted, and in what order.

use crate::filter::Column;
use crate::value::Value;

/// The page size of a query that names none.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most records of one page.
pub const MAX_LIMIT: u32 = 1000;
/// The most fields a sort may name, besides the `id` that ends every sort.
pub const MAX_SORT_KEYS: usize = 4;

/// One key of a sort. Absent values come last in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SortKey {
    /// The column: one of the host's own or a declared field. No storage sorts by a key of a dynamic entity's document
    /// ([`Column::Document`]): its values can have several types, whose common order differs between databases.
    pub column: Column,
    /// Whether greater values come first.
    pub descending: bool,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// With the first record, or after skipping some.
    Offset(u64),
    /// After the record that has these values, one for each sort key, the last being its `id`.
    After(Vec<Value>),
}

/// A page that has been checked against its entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The most records wanted, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// The order; its last key is always `id`, so that it is total.
    pub sort: Vec<SortKey>,
    /// Where to begin.
    pub start: Start,
    /// Whether all matching records are to be counted too.
    pub total: bool,
}
