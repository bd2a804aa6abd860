//! What every statement on an entity's records works with: the tenant, the table, and what its statements have in
//! common.

use erp_plugin_model::{Field, RecordId, TenantId};
use erp_plugin_storage::layout::required_constraint;
use erp_plugin_storage::{Entity, RecordSink, SinkFlow, Stamp, Violation};
use rusqlite::ffi::{SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::{Connection, Statement, StatementStatus};

use crate::error::{Error, Result};
use crate::prepare::{Prepared, prepare};
use crate::row::StoredRow;
use crate::schema;
use crate::statements::{self, Reference, Statements};

/// Steps of SQLite's machine for one record that is looked at and left: to find its tenant, whether it is deleted, one
/// field, and the next record.
const STEPS_A_ROW: u64 = 8;

/// A tenant's records of an entity.
#[derive(Clone, Copy)]
pub(crate) struct Table<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) tenant: &'c TenantId,
    pub(crate) entity: &'c Entity,
    pub(crate) statements: &'c Statements,
}

impl<'c> Table<'c> {
    pub(crate) fn of(connection: &'c Connection, tenant: &'c TenantId, entity: &'c Entity) -> Result<Self> {
        Ok(Self { connection, tenant, entity, statements: statements::of(entity)? })
    }

    /// Prepares a statement on the records there are. `None` for a dynamic entity whose table is not there (yet): it
    /// has none.
    pub(crate) fn prepare(self, sql: &str) -> Result<Option<Prepared<'c>>> {
        let schema = self.entity.schema();
        match prepare(self.connection, sql) {
            Ok(statement) => Ok(Some(statement)),
            Err(_) if schema.is_dynamic() && !schema::has_table(self.connection, &schema.name.table())? => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Binds the parameters of every statement on one record.
    pub(crate) fn bind(self, statement: &mut Statement<'_>, id: RecordId) -> Result<()> {
        statement.raw_bind_parameter(1, self.tenant.as_str())?;
        statement.raw_bind_parameter(2, &id.0.as_bytes()[..])?;
        Ok(())
    }

    /// Runs a statement whose rows are records, and gives them to the sink.
    pub(crate) fn feed(self, statement: &mut Statement<'_>, feed: &mut Feed<'_>) -> Result<()> {
        let mut rows = statement.raw_query();
        // On after the limit: a statement that also writes has to be stepped to its end.
        while let Some(row) = rows.next()? {
            if feed.rows == feed.limit {
                feed.more = true;
                break;
            }
            feed.rows += 1;
            let row = StoredRow { row, types: &self.statements.types };
            if feed.sink.record(&row).map_err(Error::Sink)? == SinkFlow::Stop {
                feed.stopped = true;
                break;
            }
        }
        Ok(())
    }

    /// Whether a reference names a live record of the tenant.
    pub(crate) fn refers(self, reference: &Reference, id: RecordId) -> Result<bool> {
        let mut statement = match prepare(self.connection, &reference.exists) {
            Ok(statement) => statement,
            // An entity that is not installed has no records.
            Err(_) if !schema::has_table(self.connection, &reference.table)? => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.bind(&mut statement, id)?;
        let found = statement.raw_query().next()?.is_some();
        Ok(found)
    }

    /// What a failed write broke; any other failure as it was.
    pub(crate) fn violation(self, error: rusqlite::Error) -> Result<Violation> {
        let field = match &error {
            rusqlite::Error::SqliteFailure(failure, Some(message))
                if failure.extended_code == SQLITE_CONSTRAINT_UNIQUE =>
            {
                // "UNIQUE constraint failed: t.tenant_id, t.sku": the columns of the index, the tenant's first.
                message.rsplit('.').next().and_then(|column| {
                    self.entity.schema().fields().iter().find(|field| field.column() == column)
                })
            }
            rusqlite::Error::SqliteFailure(failure, _)
                if failure.extended_code == SQLITE_CONSTRAINT_PRIMARYKEY =>
            {
                return Err(Error::Misuse("an id that a record of this tenant already has"));
            }
            rusqlite::Error::SqliteFailure(failure, Some(message))
                if failure.extended_code == SQLITE_CONSTRAINT_CHECK
                    && message.ends_with(schema::DOCUMENT_BYTES) =>
            {
                return Ok(Violation::DocumentTooLong);
            }
            rusqlite::Error::SqliteFailure(failure, Some(message))
                if failure.extended_code == SQLITE_CONSTRAINT_CHECK =>
            {
                // "CHECK constraint failed: sku__required"
                let broken = |field: &&Field| message.ends_with(&format!(" {}", required_constraint(field)));
                let field = self.entity.schema().fields().iter().find(broken);
                return field
                    .map(|field| Violation::Required(field.name.clone()))
                    .ok_or(Error::Sqlite(error));
            }
            _ => None,
        };
        field.map(|field| Violation::Unique(field.name.clone())).ok_or(Error::Sqlite(error))
    }
}

/// Binds when and by whom, from this parameter on.
pub(crate) fn bind_stamp(statement: &mut Statement<'_>, first: usize, stamp: Stamp<'_>) -> Result<()> {
    statement.raw_bind_parameter(first, stamp.at.timestamp_micros())?;
    statement.raw_bind_parameter(first + 1, stamp.by)?;
    Ok(())
}

/// Records on their way to a sink, out of one statement or several.
pub(crate) struct Feed<'s> {
    limit: u32,
    sink: &'s mut dyn RecordSink,
    pub(crate) rows: u32,
    /// Whether there was a row beyond the limit.
    pub(crate) more: bool,
    /// Whether the sink wanted no more.
    pub(crate) stopped: bool,
}

impl<'s> Feed<'s> {
    pub(crate) fn new(limit: u32, sink: &'s mut dyn RecordSink) -> Self {
        Self { limit, sink, rows: 0, more: false, stopped: false }
    }

    /// How many rows a statement is to have: one more than is wanted, which tells whether more follow.
    pub(crate) fn wanted(&self) -> u32 {
        (self.limit - self.rows.min(self.limit)).saturating_add(1)
    }

    /// Whether further rows would change anything.
    pub(crate) fn goes_on(&self) -> bool {
        !self.more && !self.stopped
    }
}

/// Counts a statement's steps from here on: one that was interrupted has left its own.
pub(crate) fn restart_steps(statement: &Statement<'_>) {
    statement.reset_status(StatementStatus::VmStep);
}

/// About how many records a statement has looked at.
pub(crate) fn rows_scanned(statement: &Statement<'_>) -> u64 {
    // A counter of 32 bits that SQLite lets run over.
    u64::from(statement.reset_status(StatementStatus::VmStep).cast_unsigned()) / STEPS_A_ROW
}
