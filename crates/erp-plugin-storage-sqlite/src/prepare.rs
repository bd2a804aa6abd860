//! Compiled statements. A connection keeps a number of them, found by their text; but how long a text is, guests decide
//! with their filters and updates. So a long one is compiled, used and thrown away.

use std::ops::{Deref, DerefMut};

use rusqlite::{CachedStatement, Connection, Result, Statement};

/// The longest text of a statement that is kept. Compiled, it takes several times as much.
const LONGEST_KEPT: usize = 8 << 10;

/// A compiled statement.
pub(crate) enum Prepared<'c> {
    /// It goes back to its connection.
    Kept(CachedStatement<'c>),
    /// It goes.
    Once(Statement<'c>),
}

/// Compiles a statement, or takes the one that the connection has kept.
pub(crate) fn prepare<'c>(connection: &'c Connection, sql: &str) -> Result<Prepared<'c>> {
    if sql.len() > LONGEST_KEPT {
        connection.prepare(sql).map(Prepared::Once)
    } else {
        connection.prepare_cached(sql).map(Prepared::Kept)
    }
}

impl<'c> Deref for Prepared<'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

impl<'c> DerefMut for Prepared<'c> {
    fn deref_mut(&mut self) -> &mut Statement<'c> {
        match self {
            Self::Kept(statement) => statement,
            Self::Once(statement) => statement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_statement_is_not_kept() {
        let connection = Connection::open_in_memory().unwrap();
        let of_length = |bytes: usize| format!("SELECT 1 --{}", "x".repeat(bytes - 11));
        let is_kept = |bytes| matches!(prepare(&connection, &of_length(bytes)).unwrap(), Prepared::Kept(_));
        assert!(is_kept(LONGEST_KEPT) && !is_kept(LONGEST_KEPT + 1));
        let found: i64 = prepare(&connection, &of_length(LONGEST_KEPT + 1))
            .unwrap()
            .query_row((), |row| row.get(0))
            .unwrap();
        assert_eq!(found, 1);
    }
}
