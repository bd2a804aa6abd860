//! What the host's work costs a guest, in fuel, so that a cheap guest cannot buy dear work.
//!
//! One unit is about a nanosecond of the host's work, as fuel is about a nanosecond of a guest's. Measured with the
//! benches `p06_host_call`, `p07_insert` and `p11_query` and rounded up; only the proportions matter.

/// Any host call.
pub(crate) const CALL: u64 = 100;
/// A byte that goes in or out.
pub(crate) const BYTE: u64 = 2;
/// A statement, beside its rows.
pub(crate) const STATEMENT: u64 = 2_000;
/// A record that the database looked at, whether the caller gets it or not: a search that finds nothing among a million
/// is dear work too. Half of the 40 ns that it takes to compare a column, for the figure is an estimate.
pub(crate) const ROW_SCANNED: u64 = 20;
/// A record read.
pub(crate) const ROW_READ: u64 = 1_000;
/// A record written.
pub(crate) const ROW_WRITTEN: u64 = 4_000;
/// A change noted in the history, beside its bytes.
pub(crate) const CHANGE: u64 = 2_000;
/// An event published.
pub(crate) const EVENT: u64 = 4_000;
/// A log line.
pub(crate) const LOG_LINE: u64 = 1_000;
