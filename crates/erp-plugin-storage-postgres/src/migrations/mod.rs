//! The system's own tables: their SQL, by version.

use crate::connection::{Roles, quote};

/// A step from one schema version to the next.
pub(crate) struct Migration {
    /// The schema version that it leads to.
    pub(crate) version: i64,
    /// The schema version that a host must know at least to work with the result.
    pub(crate) oldest_host: i64,
    sql: &'static str,
}

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, oldest_host: 1, sql: include_str!("0001_system.sql") }];

/// The schema version that this host knows.
pub(crate) fn known() -> i64 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

impl Migration {
    /// The SQL, with the names of the roles.
    pub(crate) fn sql(&self, roles: &Roles) -> String {
        self.sql
            .replace("{owner}", &quote(&roles.owner))
            .replace("{app}", &quote(&roles.app))
            .replace("{worker}", &quote(&roles.worker))
    }
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
    fn the_roles_are_named_in_full() {
        let roles = Roles { owner: "o".to_owned(), app: "a".to_owned(), worker: "w".to_owned() };
        for migration in MIGRATIONS {
            let sql = migration.sql(&roles);
            assert!(!["{owner}", "{app}", "{worker}"].iter().any(|name| sql.contains(name)), "{sql}");
        }
    }
}
