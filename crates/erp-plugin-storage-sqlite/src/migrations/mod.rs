//! The system's own tables: makes them, and brings older ones up to date.

use erp_plugin_storage::ErrorKind;
use rusqlite::{Connection, TransactionBehavior};

use crate::connection::APPLICATION_ID;
use crate::error::{Error, Result};

struct Migration {
    /// The schema version that it leads to.
    version: i64,
    /// The schema version that a host must know at least to work with the result.
    oldest_host: i64,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, oldest_host: 1, sql: include_str!("0001_system.sql") }];

/// The schema version that this host knows.
fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Makes the tables in an empty database, or runs the migrations that it lacks. A database that is not ours, or too
/// new for us, is left as it is.
pub(crate) fn run(connection: &mut Connection) -> Result<()> {
    if state(connection)? == State::Current {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, now that no other process can change it.
    let from = match state(&transaction)? {
        State::Current => return Ok(()),
        State::Empty => {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            0
        }
        State::Older(version) => version,
    };
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > from) {
        transaction.execute_batch(migration.sql)?;
        transaction.execute("DELETE FROM system_schema", ())?;
        transaction.execute(
            "INSERT INTO system_schema (version, oldest_host) VALUES (?1, ?2)",
            (migration.version, migration.oldest_host),
        )?;
    }
    Ok(transaction.commit()?)
}

/// Refuses what this host could not open, and what holds nothing of ours. Changes nothing.
pub(crate) fn check(connection: &Connection) -> Result<()> {
    match state(connection)? {
        State::Empty => Err(Error::Kind(ErrorKind::Foreign)),
        State::Older(_) | State::Current => Ok(()),
    }
}

/// The version of the tables, and the one that this host makes of them. Refuses what [`check`] does.
pub(crate) fn versions(connection: &Connection) -> Result<(i64, i64)> {
    let known = known();
    match state(connection)? {
        State::Empty => Err(Error::Kind(ErrorKind::Foreign)),
        State::Older(version) => Ok((version, known)),
        State::Current => Ok((known, known)),
    }
}

#[derive(PartialEq, Eq)]
enum State {
    Empty,
    Older(i64),
    /// This host can work with it as it is.
    Current,
}

fn state(connection: &Connection) -> Result<State> {
    let application: i32 = connection.query_row("PRAGMA application_id", (), |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if application == 0 && tables == 0 {
        return Ok(State::Empty);
    }
    if application != APPLICATION_ID {
        return Err(Error::Kind(ErrorKind::Foreign));
    }
    let (version, oldest_host): (i64, i64) =
        connection.query_row("SELECT version, oldest_host FROM system_schema", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if oldest_host > known() {
        return Err(Error::Kind(ErrorKind::TooNew));
    }
    Ok(if version < known() { State::Older(version) } else { State::Current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
            assert!(migration.oldest_host <= migration.version);
        }
    }

    #[test]
    fn a_database_is_made_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        run(&mut connection).unwrap();
        assert!(state(&connection).unwrap() == State::Current);
    }

    #[test]
    fn a_newer_database_is_used_unless_it_says_that_it_cannot_be() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection.execute("UPDATE system_schema SET version = 1000", ()).unwrap();
        run(&mut connection).unwrap();
        connection.execute("UPDATE system_schema SET oldest_host = 1000", ()).unwrap();
        assert_eq!(run(&mut connection).unwrap_err().kind(), ErrorKind::TooNew);
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(run(&mut connection).unwrap_err().kind(), ErrorKind::Foreign);
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }
}
