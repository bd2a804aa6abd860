//! What every transaction has: a connection, a deadline, and the test after each error whether it still stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use erp_plugin_model::TenantId;
use erp_plugin_storage::{ErrorKind, Mode, StorageError, StorageResult, TransactionOptions};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::alarm::Alarm;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pool::{Lease, Pool};
use crate::readers::Reader;
use crate::writer::Writer;

/// The pause after which a database that another process holds is tried again: first, and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Where connections come from.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) writer: Arc<Pool<Writer>>,
    /// `None` in memory, where the writer's connection is the only one.
    pub(crate) readers: Option<Arc<Pool<Reader>>>,
}

enum Held {
    Writer(Lease<Writer>),
    Reader(Lease<Reader>),
}

/// A connection for the length of a transaction. Dropping it undoes the transaction and hands the connection on.
pub(crate) struct Session {
    held: Held,
    mode: Mode,
    time: Time,
    lost: bool,
}

/// How long a transaction has.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    deadline: Instant,
    must_end_by: Option<Instant>,
}

impl Time {
    /// Whether there is time for one more statement: work of several asks before each.
    pub(crate) fn check(self) -> Result<()> {
        let now = Instant::now();
        if self.must_end_by.is_some_and(|end| now >= end) {
            return Err(Error::Kind(ErrorKind::WriterHoldExceeded));
        }
        if now >= self.deadline {
            return Err(Error::Kind(ErrorKind::DeadlineExceeded));
        }
        Ok(())
    }
}

/// The answer to those who have ended their transaction; `None` when there is nothing to wait for.
pub(crate) struct Ending(Option<oneshot::Receiver<StorageResult<()>>>);

impl Ending {
    pub(crate) async fn wait(self) -> StorageResult<()> {
        match self.0 {
            None => Ok(()),
            Some(answer) => {
                answer.await.unwrap_or_else(|_| Err(StorageError::new(ErrorKind::TransactionLost, "commit")))
            }
        }
    }
}

impl Connections {
    /// Begins a transaction on behalf of a tenant.
    pub(crate) async fn begin(
        &self,
        tenant: &TenantId,
        options: TransactionOptions,
    ) -> StorageResult<Session> {
        match (&self.readers, options.mode) {
            (Some(readers), Mode::Read) => self.read(readers, tenant, options).await,
            _ => self.write(tenant, options).await,
        }
        .map_err(|error| error.at("begin"))
    }

    async fn read(
        &self,
        readers: &Arc<Pool<Reader>>,
        tenant: &TenantId,
        options: TransactionOptions,
    ) -> Result<Session> {
        let mut lease = readers.acquire(tenant, options.deadline).await?;
        let mut pause = FIRST_PAUSE;
        while let Err(error) = lease.begin() {
            wait_for_other_process(error, &mut pause, options.deadline).await?;
        }
        Ok(Session {
            held: Held::Reader(lease),
            mode: Mode::Read,
            time: Time { deadline: options.deadline, must_end_by: None },
            lost: false,
        })
    }

    async fn write(&self, tenant: &TenantId, options: TransactionOptions) -> Result<Session> {
        let mut lease = self.writer.acquire(tenant, options.deadline).await?;
        begin_writing(&mut lease, options.deadline).await?;
        let must_end_by = Instant::now().checked_add(options.writer_hold);
        Ok(Session {
            held: Held::Writer(lease),
            mode: options.mode,
            time: Time { deadline: options.deadline, must_end_by },
            lost: false,
        })
    }
}

async fn begin_writing(writer: &mut Writer, deadline: Instant) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = writer.begin() {
        wait_for_other_process(error, &mut pause, deadline).await?;
    }
    Ok(())
}

/// SQLite's own busy handler would keep the thread; this one keeps only the turn.
async fn wait_for_other_process(error: Error, pause: &mut Duration, deadline: Instant) -> Result<()> {
    let next = Instant::now() + *pause;
    if error.kind() != ErrorKind::Busy || next >= deadline {
        return Err(error);
    }
    tokio::time::sleep_until(next.into()).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    Ok(())
}

impl Session {
    /// When the transaction must have ended because it keeps other writers waiting.
    pub(crate) fn must_end_by(&self) -> Option<Instant> {
        self.time.must_end_by
    }

    /// Does a small read, on this thread.
    pub(crate) fn read<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> StorageResult<T> {
        self.check_time().map_err(|error| error.at(operation))?;
        let done = work(self.connection());
        self.checked(operation, done)
    }

    /// Does a small write, on this thread.
    pub(crate) fn write<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> StorageResult<T> {
        if !self.mode.writes() {
            return Err(Error::Misuse("a write in a read transaction").at(operation));
        }
        self.read(operation, work)
    }

    /// Does a write that may take long: it keeps the thread with notice. Nothing stops it half-way, so what it does
    /// has its own limit.
    pub(crate) fn write_long<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> StorageResult<T> {
        self.write(operation, |connection| blocking(|| work(connection)))
    }

    /// Does a write of many small statements: it keeps the thread with notice. Nothing stops a write half-way, so the
    /// work asks between its statements whether there is time for the next.
    pub(crate) fn write_each<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection, Time) -> Result<T>,
    ) -> StorageResult<T> {
        let time = self.time;
        self.write_long(operation, |connection| work(connection, time))
    }

    /// Makes tables, which only a transaction that was begun to do so may.
    pub(crate) fn migrate<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> StorageResult<T> {
        if self.mode != Mode::Migrate {
            let misuse = Error::Misuse("a table made in a transaction that was not begun to make any");
            return Err(misuse.at(operation));
        }
        self.write_long(operation, work)
    }

    /// Does a read that may take long: it keeps the thread with notice, and stops at the deadline.
    pub(crate) fn scan<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> StorageResult<T> {
        self.check_time().map_err(|error| error.at(operation))?;
        let Time { deadline, must_end_by } = self.time;
        let deadline = must_end_by.map_or(deadline, |end| end.min(deadline));
        let (connection, alarm) = self.connection_and_alarm();
        let done = blocking(|| alarm.around(deadline, || work(connection)));
        let done = match done {
            // The alarm went off; say which of the two times it was.
            Err(Error::Sqlite(error))
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) =>
            {
                Err(self.check_time().err().unwrap_or(Error::Sqlite(error)))
            }
            done => done,
        };
        self.checked(operation, done)
    }

    /// Ends the transaction and keeps what it wrote, and what `journal` writes.
    pub(crate) fn keep(mut self, journal: impl FnOnce(&Connection) -> Result<()>) -> StorageResult<Ending> {
        self.check_time().map_err(|error| error.at("commit"))?;
        match self.held {
            Held::Reader(lease) => {
                lease.give_back();
                Ok(Ending(None))
            }
            Held::Writer(mut lease) => {
                let answer = lease.keep(journal).map_err(|error| error.at("commit"))?;
                lease.give_back();
                Ok(Ending(Some(answer)))
            }
        }
    }

    /// Ends the transaction and keeps nothing.
    pub(crate) fn undo(self) {
        match self.held {
            Held::Reader(lease) => lease.give_back(),
            Held::Writer(lease) => lease.give_back(),
        }
    }

    /// Ends the transaction and keeps nothing but what `journal` writes, even past its time and when it was lost.
    pub(crate) async fn undo_but(
        self,
        journal: impl FnOnce(&Connection) -> Result<()> + Send,
    ) -> StorageResult<Ending> {
        let Held::Writer(mut lease) = self.held else {
            return Err(Error::Misuse("a journal in a read transaction").at("rollback"));
        };
        if self.lost {
            begin_writing(&mut lease, self.time.deadline).await.map_err(|error| error.at("rollback"))?;
        }
        let answer = lease.undo(journal).map_err(|error| error.at("rollback"))?;
        lease.give_back();
        Ok(Ending(Some(answer)))
    }

    /// Whether this session could write a journal.
    pub(crate) fn holds_writer(&self) -> bool {
        matches!(self.held, Held::Writer(_))
    }

    fn check_time(&mut self) -> Result<()> {
        if self.lost {
            return Err(Error::Kind(ErrorKind::TransactionLost));
        }
        self.time.check()
    }

    fn checked<T>(&mut self, operation: &'static str, done: Result<T>) -> StorageResult<T> {
        done.map_err(|error| {
            self.lost = match &mut self.held {
                Held::Writer(lease) => lease.was_lost(),
                Held::Reader(lease) => lease.connection.is_autocommit(),
            };
            error.at(operation)
        })
    }

    fn connection(&self) -> &Connection {
        self.connection_and_alarm().0
    }

    fn connection_and_alarm(&self) -> (&Connection, &Alarm) {
        match &self.held {
            Held::Writer(lease) => (&lease.connection, &lease.alarm),
            Held::Reader(lease) => (&lease.connection, &lease.alarm),
        }
    }
}
