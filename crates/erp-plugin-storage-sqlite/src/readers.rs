//! Connections that only read, each from a snapshot of its own.

use rusqlite::Connection;

use crate::alarm::Alarm;
use crate::error::Result;
use crate::pool::{Lendable, LoanEnd};

/// A connection that only reads.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) alarm: Alarm,
}

impl Reader {
    /// Takes a snapshot. `Busy` in the moment in which another process recovers or closes the database.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.connection.prepare_cached("BEGIN")?.raw_execute()?;
        // BEGIN alone takes none: the first read does.
        let mut read = self.connection.prepare_cached("SELECT version FROM system_schema")?;
        let snapshot = read.query_row((), |_| Ok(()));
        drop(read);
        if snapshot.is_err() {
            self.end();
        }
        Ok(snapshot?)
    }

    fn end(&mut self) {
        if !self.connection.is_autocommit() {
            // A read transaction has nothing to lose.
            let _ = self.connection.prepare_cached("ROLLBACK").and_then(|mut end| end.raw_execute());
        }
    }
}

impl Lendable for Reader {
    fn settle(&mut self, _somebody_waits: bool, _end: LoanEnd) {
        self.end();
    }
}
