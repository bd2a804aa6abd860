//! The connection that writes, and group commit.
//!
//! A commit waits for the disk; under `synchronous=FULL` that is hundreds of times what an insert costs. So several
//! invocations share one: `BEGIN IMMEDIATE` opens a group, each invocation in it is a savepoint, and one COMMIT makes
//! all of them lasting. They run strictly one after another, so each sees what those before it wrote, and the order
//! in which they had the writer is the serial order.
//!
//! - No member is answered before the COMMIT is. If it fails, none was acknowledged.
//! - A member that fails is undone to its savepoint; the others do not notice. The record of what it was (journal)
//!   is written after that, so that it stays.
//! - COMMIT is never reached with a savepoint open: SQLite would commit the half-done member.
//! - An error may have rolled back the whole transaction (a full disk does). Whoever gets an error asks
//!   [`Writer::was_lost`]; the members before it are then told [`TransactionLost`](ErrorKind::TransactionLost).

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_storage::{ErrorKind, StorageError, StorageResult};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pool::{Lendable, LoanEnd};

/// When a group takes no further member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupRules {
    /// So long after its first member has finished.
    pub(crate) window: Duration,
    /// With so many members.
    pub(crate) max: usize,
}

/// A commit that took longer than this is one that other tasks should not wait for. To move them off the thread costs
/// more than a tenth of a millisecond's wait, which is what a fast disk needs.
const SHORT_COMMIT: Duration = Duration::from_millis(1);

/// The connection that writes.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) alarm: Alarm,
    rules: GroupRules,
    /// How long the disk took the last time, which is the best guess for the next.
    last_commit: Duration,
    group: Option<Group>,
    /// Whether a savepoint is open.
    member: bool,
}

/// The open transaction, and those who have finished in it and wait for its commit.
#[derive(Default)]
struct Group {
    begun: usize,
    first_finished: Option<Instant>,
    members: Vec<oneshot::Sender<StorageResult<()>>>,
}

impl Writer {
    pub(crate) fn new(connection: Connection, alarm: Alarm, rules: GroupRules) -> Self {
        Self { connection, alarm, rules, last_commit: SHORT_COMMIT, group: None, member: false }
    }

    /// Begins a member, in the open group or in a new one. `Busy` when another process holds the database.
    pub(crate) fn begin(&mut self) -> Result<()> {
        if self.group.is_none() {
            self.execute("BEGIN IMMEDIATE")?;
            self.group = Some(Group::default());
        }
        self.execute("SAVEPOINT member")?;
        self.member = true;
        if let Some(group) = &mut self.group {
            group.begun += 1;
        }
        Ok(())
    }

    /// Ends the member, keeping what it wrote and what `journal` writes. The answer comes with the group's commit.
    pub(crate) fn keep(
        &mut self,
        journal: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<oneshot::Receiver<StorageResult<()>>> {
        let kept = journal(&self.connection).and_then(|()| self.execute("RELEASE member"));
        self.finish(kept)
    }

    /// Ends the member, keeping nothing but what `journal` writes. The answer comes with the group's commit.
    pub(crate) fn undo(
        &mut self,
        journal: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<oneshot::Receiver<StorageResult<()>>> {
        let undone = self
            .execute("ROLLBACK TO member")
            .and_then(|()| journal(&self.connection))
            .and_then(|()| self.execute("RELEASE member"));
        self.finish(undone)
    }

    fn finish(&mut self, ended: Result<()>) -> Result<oneshot::Receiver<StorageResult<()>>> {
        if let Err(error) = ended {
            self.drop_member();
            return Err(error);
        }
        self.member = false;
        let Some(group) = &mut self.group else { return Err(Error::Kind(ErrorKind::TransactionLost)) };
        let (sender, answer) = oneshot::channel();
        group.members.push(sender);
        group.first_finished.get_or_insert_with(Instant::now);
        Ok(answer)
    }

    /// After an error: whether SQLite has rolled back the whole transaction. If so, its members are told.
    pub(crate) fn was_lost(&mut self) -> bool {
        if self.group.is_some() && self.connection.is_autocommit() {
            self.lose_group();
        }
        self.group.is_none()
    }

    /// Undoes the open member, if there is one, as if it had never begun.
    fn drop_member(&mut self) {
        if !std::mem::take(&mut self.member) || self.was_lost() {
            return;
        }
        let undone = self.execute("ROLLBACK TO member").and_then(|()| self.execute("RELEASE member"));
        if undone.is_err() && !self.was_lost() {
            // What the transaction holds is not known any more.
            self.lose_group();
        }
    }

    fn lose_group(&mut self) {
        self.member = false;
        if !self.connection.is_autocommit() {
            // If even this fails, the next BEGIN does, and says why.
            let _ = self.execute("ROLLBACK");
        }
        for member in self.group.take().into_iter().flat_map(|group| group.members) {
            let _ = member.send(Err(StorageError::new(ErrorKind::TransactionLost, "commit")));
        }
    }

    fn group_is_full(&self) -> bool {
        self.group.as_ref().is_some_and(|group| {
            group.begun >= self.rules.max
                || group.first_finished.is_some_and(|first| first.elapsed() >= self.rules.window)
        })
    }

    fn end_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        if group.members.is_empty() {
            // Nobody wants to know; a commit might write pages that were changed and changed back.
            let _ = self.execute("ROLLBACK");
            return;
        }
        let begun = Instant::now();
        let outcome = self.execute("COMMIT");
        self.last_commit = begun.elapsed();
        if outcome.is_err() && !self.connection.is_autocommit() {
            let _ = self.execute("ROLLBACK");
        }
        let outcome = outcome.map_err(Arc::new);
        for member in group.members {
            let _ = member.send(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(commit_failed(error)),
            });
        }
    }

    fn execute(&self, sql: &'static str) -> Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }
}

/// What each member of a group is told when its COMMIT fails: the fault if it is one that lasts, else that the
/// transaction is lost.
fn commit_failed(error: &Arc<Error>) -> StorageError {
    let kind = match error.kind() {
        kind @ (ErrorKind::Full | ErrorKind::ReadOnly | ErrorKind::Io | ErrorKind::Corrupt) => kind,
        _ => ErrorKind::TransactionLost,
    };
    StorageError::with_source(kind, "commit", Arc::clone(error))
}

impl Lendable for Writer {
    fn settle(&mut self, somebody_waits: bool, end: LoanEnd) {
        self.drop_member();
        if self.group.is_none() || (somebody_waits && !self.group_is_full()) {
            return;
        }
        match end {
            LoanEnd::InTask if self.last_commit >= SHORT_COMMIT => blocking(|| self.end_group()),
            LoanEnd::InTask | LoanEnd::InDrop => self.end_group(),
        }
    }
}

#[cfg(test)]
mod tests;
