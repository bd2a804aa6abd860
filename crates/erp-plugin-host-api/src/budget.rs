//! What an invocation has used of what it may.

use erp_plugin_model::limits::{LimitExceeded, LimitKind};
use erp_plugin_model::usage::Usage;
use erp_plugin_model::{ErrorCode, HostError, Limits};

use crate::cost;
use crate::error::{CallError, CallResult, Fatal};

/// Counters against limits. The first time a kind runs over, the caller is told; the second time ends the
/// invocation, so that a guest cannot catch the error for ever.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    used: Usage,
    log_lines: u64,
    told: Vec<LimitKind>,
    fuel_debt: u64,
}

impl Budget {
    /// Nothing used.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, used: Usage::default(), log_lines: 0, told: Vec::new(), fuel_debt: 0 }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was used so far: all but fuel, time and memory, which the runtime measures.
    #[must_use]
    pub fn used(&self) -> Usage {
        self.used
    }

    /// Takes the fuel that the host's work has cost since the last call; the runtime takes it from the guest.
    pub fn take_fuel_debt(&mut self) -> u64 {
        std::mem::take(&mut self.fuel_debt)
    }

    /// A host call begins, with so many bytes going in.
    pub(crate) fn enter(&mut self, bytes: usize) -> CallResult<()> {
        self.used.host_calls += 1;
        self.fuel_debt += cost::CALL;
        self.check(LimitKind::HostCalls, self.used.host_calls)?;
        self.transfer(bytes)
    }

    /// Bytes go in or out of one host call.
    pub(crate) fn transfer(&mut self, bytes: usize) -> CallResult<()> {
        self.check(LimitKind::CallBytes, bytes as u64)?;
        self.transfer_cut(bytes)
    }

    /// Bytes go in of which only as many are kept as may be.
    pub(crate) fn transfer_cut(&mut self, bytes: usize) -> CallResult<()> {
        let bytes = bytes as u64;
        self.used.bytes += bytes;
        self.fuel_debt += bytes * cost::BYTE;
        self.check(LimitKind::TotalBytes, self.used.bytes)
    }

    /// Bytes go out that tell of a write: an excess cannot be answered, because the write would stand.
    pub(crate) fn transfer_written(&mut self, bytes: usize) -> CallResult<()> {
        let told = self.told.len();
        self.told.extend([LimitKind::CallBytes, LimitKind::TotalBytes]);
        let transferred = self.transfer(bytes);
        self.told.truncate(told);
        transferred
    }

    pub(crate) fn statement(&mut self) {
        self.fuel_debt += cost::STATEMENT;
    }

    /// Records were read. Checked after the fact: the query was told how many are left.
    pub(crate) fn rows_read(&mut self, rows: u64) {
        self.used.rows_read += rows;
        self.fuel_debt += rows * cost::ROW_READ;
    }

    /// The database looked at so many records.
    pub(crate) fn rows_scanned(&mut self, rows: u64) {
        self.fuel_debt += rows * cost::ROW_SCANNED;
    }

    /// How many records may still be read.
    pub(crate) fn rows_left(&self) -> u64 {
        self.limits.rows_read.saturating_sub(self.used.rows_read)
    }

    /// A record is about to be written.
    pub(crate) fn row_written(&mut self) -> CallResult<()> {
        self.rows_written(1)
    }

    /// So many records are about to be written; all of them, or the call is refused.
    pub(crate) fn rows_written(&mut self, rows: u64) -> CallResult<()> {
        let written = self.used.rows_written.saturating_add(rows);
        self.check(LimitKind::RowsWritten, written)?;
        self.used.rows_written = written;
        self.fuel_debt += rows * cost::ROW_WRITTEN;
        Ok(())
    }

    /// A change is noted in the history, with so many bytes.
    pub(crate) fn change_noted(&mut self, bytes: usize) {
        self.fuel_debt += cost::CHANGE + bytes as u64 * cost::BYTE;
    }

    /// How many records may still be written.
    pub(crate) fn writes_left(&self) -> u64 {
        self.limits.rows_written.saturating_sub(self.used.rows_written)
    }

    /// The error of a call that would read more records than it may.
    #[cold]
    pub(crate) fn too_many_rows(&mut self) -> CallError {
        self.exceeded(LimitKind::RowsRead, self.used.rows_read.saturating_add(1))
    }

    /// Refuses an answer that would be too long, before anything is done for it. Counts nothing.
    pub(crate) fn room_for(&mut self, bytes: usize) -> CallResult<()> {
        self.check(LimitKind::CallBytes, bytes as u64)?;
        self.check(LimitKind::TotalBytes, self.used.bytes.saturating_add(bytes as u64))
    }

    /// An event of this size is about to be published.
    pub(crate) fn event(&mut self, bytes: usize) -> CallResult<()> {
        self.check(LimitKind::EventBytes, bytes as u64)?;
        self.check(LimitKind::Events, self.used.events + 1)?;
        self.used.events += 1;
        self.fuel_debt += cost::EVENT;
        Ok(())
    }

    /// A log line is about to be kept; `false` when there have been enough.
    pub(crate) fn log_line(&mut self) -> bool {
        self.fuel_debt += cost::LOG_LINE;
        self.log_lines += 1;
        self.log_lines <= self.limits.log_lines
    }

    /// How many log lines there were beyond what is kept.
    pub(crate) fn log_lines_dropped(&self) -> u64 {
        self.log_lines.saturating_sub(self.limits.log_lines)
    }

    pub(crate) fn check(&mut self, kind: LimitKind, used: u64) -> CallResult<()> {
        if used <= self.limits.get(kind) { Ok(()) } else { Err(self.exceeded(kind, used)) }
    }

    #[cold]
    pub(crate) fn exceeded(&mut self, kind: LimitKind, used: u64) -> CallError {
        let exceeded = LimitExceeded { kind, used, allowed: self.limits.get(kind) };
        if self.told.contains(&kind) {
            return Fatal::Limit(exceeded).into();
        }
        self.told.push(kind);
        HostError::new(ErrorCode::LimitExceeded, exceeded.to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_excess_is_told_and_the_second_is_fatal() {
        let mut budget = Budget::new(Limits { host_calls: 1, ..Limits::default() });
        budget.enter(0).unwrap();
        assert!(
            matches!(budget.enter(0), Err(CallError::Answer(error)) if error.code == ErrorCode::LimitExceeded)
        );
        assert!(matches!(budget.enter(0), Err(CallError::Fatal(Fatal::Limit(limit))) if limit.used == 3));
    }

    #[test]
    fn one_byte_over_the_limit_of_a_call_is_refused_and_not_counted() {
        let mut budget = Budget::new(Limits { call_bytes: 10, ..Limits::default() });
        budget.enter(10).unwrap();
        assert!(matches!(budget.enter(11), Err(CallError::Answer(_))));
        assert_eq!(budget.used().bytes, 10);
    }

    #[test]
    fn the_hosts_work_costs_fuel() {
        let mut budget = Budget::new(Limits::default());
        budget.enter(100).unwrap();
        assert_eq!(budget.take_fuel_debt(), cost::CALL + 100 * cost::BYTE);
        assert_eq!(budget.take_fuel_debt(), 0);
    }
}
