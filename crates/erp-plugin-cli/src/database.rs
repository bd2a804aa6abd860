//! Which database a command works on: `--db`, and for Postgres `--migration-url`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use erp_plugin::{HostError, StorageUrl};

/// Where the URL of the tables' owner is looked for when no option names it.
const MIGRATION_URL: &str = "ERP_PLUGIN_MIGRATION_URL";
/// Where the database is looked for when no option names it.
const DATABASE: &str = "ERP_PLUGIN_DB";

/// The options of every command that works on a database.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Arguments {
    /// The database: a file, which is made if it is not there, or a URL such as postgres://erp@db.example/erp
    #[arg(long = "db", value_name = "FILE|URL")]
    database: Option<String>,
    #[command(flatten)]
    owner: Owner,
}

/// Who owns the tables, where that is somebody else.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Owner {
    /// For Postgres: the URL of a user who may act as the owner of the tables [env: ERP_PLUGIN_MIGRATION_URL]
    #[arg(long, value_name = "URL")]
    migration_url: Option<String>,
}

impl Owner {
    /// The URL that an option names, or the environment.
    pub(crate) fn url(&self) -> Option<String> {
        self.migration_url.clone().or_else(|| variable(MIGRATION_URL))
    }
}

/// A database that was named.
#[derive(Clone)]
pub(crate) enum Database {
    /// In memory, gone with the command.
    Memory,
    /// A file of SQLite's.
    File(PathBuf),
    /// Postgres, and the URL of the owner.
    Postgres { url: String, migration_url: Option<String> },
}

impl Arguments {
    /// The database that is named by an option, or by the environment.
    pub(crate) fn database(&self) -> Result<Option<Database>> {
        let named = self.database.clone().or_else(|| variable(DATABASE));
        named.map(|named| Database::parse(&named, self.migration_url())).transpose()
    }

    /// The database, or one in memory, where there is such a thing.
    pub(crate) fn database_or_memory(&self) -> Result<Database> {
        if cfg!(feature = "sqlite") {
            Ok(self.database()?.unwrap_or(Database::Memory))
        } else {
            self.required()
        }
    }

    /// The database, for a command that is about what is in it.
    pub(crate) fn required(&self) -> Result<Database> {
        match self.database()? {
            Some(database) => Ok(database),
            None => bail!(HostError::invalid(format!(
                "no database is named; give --db {}, or set {DATABASE}",
                if cfg!(feature = "sqlite") {
                    "FILE or postgres://HOST/DATABASE"
                } else {
                    "postgres://HOST/DATABASE"
                }
            ))),
        }
    }

    /// The database, for a command about something that one in memory cannot have.
    pub(crate) fn kept(&self, what: &str) -> Result<Database> {
        match self.required()? {
            Database::Memory => {
                bail!(HostError::invalid(format!("a database in memory has no {what}; give a file or a URL")))
            }
            database => Ok(database),
        }
    }

    /// The same, where opening it must not make it.
    pub(crate) fn existing(&self, what: &str) -> Result<Database> {
        let database = self.kept(what)?;
        database.must_be_there()?;
        Ok(database)
    }

    /// The URL of the owner of the tables.
    pub(crate) fn migration_url(&self) -> Option<String> {
        self.owner.url()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Database {
    /// Reads a file's path, or a URL.
    pub(crate) fn parse(named: &str, migration_url: Option<String>) -> Result<Self> {
        if named.starts_with("postgres:") || named.starts_with("postgresql:") {
            return Ok(Self::Postgres { url: named.to_owned(), migration_url });
        }
        Ok(match named.strip_prefix("sqlite:").unwrap_or(named) {
            ":memory:" => Self::Memory,
            "" => bail!(HostError::invalid("the database has no name; give a file or a URL")),
            // Not shown: who wrote a URL may have written a password into it.
            other if other.contains("://") => bail!(HostError::invalid(
                "this is no URL of a database; give a file, sqlite:FILE or postgres://HOST/DATABASE"
            )),
            file => Self::File(file.into()),
        })
    }

    /// For a command that only reads: a file that is not there would be made.
    pub(crate) fn must_be_there(&self) -> Result<(), HostError> {
        match self {
            Self::File(path) if !path.exists() => Err(HostError::not_found(format!(
                "there is no database {}; name another one",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether both name one file, or have one URL.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => {
                matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
            }
            (Self::Postgres { url: one, .. }, Self::Postgres { url: other, .. }) => one == other,
            _ => false,
        }
    }

    /// The database as the facade opens it.
    pub(crate) fn url(&self) -> Result<StorageUrl> {
        Ok(match self {
            Self::Memory => StorageUrl::new("sqlite::memory:"),
            Self::File(path) => StorageUrl::new(format!("sqlite:{}", utf8(path)?)),
            Self::Postgres { url, migration_url: None } => StorageUrl::new(url),
            Self::Postgres { url, migration_url: Some(owner) } => StorageUrl::new(url).migration_url(owner),
        })
    }
}

fn utf8(path: &Path) -> Result<&str, HostError> {
    path.to_str().ok_or_else(|| {
        HostError::invalid(format!("{} is not UTF-8; name the database otherwise", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(named: &str) -> Result<&'static str, String> {
        match Database::parse(named, None) {
            Ok(Database::Memory) => Ok("memory"),
            Ok(Database::File(_)) => Ok("file"),
            Ok(Database::Postgres { .. }) => Ok("postgres"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_database_is_a_file_or_a_url() {
        for (named, expected) in [
            ("erp.db", "file"),
            ("sqlite:erp.db", "file"),
            ("sqlite::memory:", "memory"),
            ("/tmp/a:b.db", "file"),
            ("postgres://h/d", "postgres"),
            ("postgresql://h/d", "postgres"),
        ] {
            assert_eq!(kind(named), Ok(expected), "{named}");
        }
        assert!(kind("").is_err() && kind("sqlite:").is_err());
        let error = kind("mysql://u:secret@h/d").unwrap_err();
        assert!(error.contains("no URL of a database") && !error.contains("secret"), "{error}");
    }
}
