//! Which database a command works on: the setting `database`, and for Postgres `migration-url`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use erp_plugin::{HostError, StorageUrl};

use crate::settings::{self, Group, Settings};

/// The flags of every command that works on a database.
pub(crate) type Flags = settings::Flags<Both>;
/// The flag of a command that names its databases otherwise.
pub(crate) type OwnerFlag = settings::Flags<Owner>;

/// The database, and who owns the tables where that is somebody else.
#[derive(Clone)]
pub(crate) struct Both;

/// Who owns the tables.
#[derive(Clone)]
pub(crate) struct Owner;

impl Group for Both {
    fn has(flag: &str) -> bool {
        flag == "db" || Owner::has(flag)
    }
}

impl Group for Owner {
    fn has(flag: &str) -> bool {
        flag == "migration-url"
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

impl Database {
    /// The database that is set, if one is.
    pub(crate) fn set(settings: &Settings) -> Result<Option<Self>> {
        let options = &settings.options;
        options.database.as_deref().map(|named| Self::parse(named, options.migration_url.clone())).transpose()
    }

    /// The database, or one in memory, where there is such a thing.
    pub(crate) fn set_or_memory(settings: &Settings) -> Result<Self> {
        if cfg!(feature = "sqlite") {
            Ok(Self::set(settings)?.unwrap_or(Self::Memory))
        } else {
            Self::required(settings)
        }
    }

    /// The database, for a command that is about what is in it.
    pub(crate) fn required(settings: &Settings) -> Result<Self> {
        match Self::set(settings)? {
            Some(database) => Ok(database),
            None => bail!(HostError::invalid(format!(
                "no database is named; give --db {}, or set ERP_PLUGIN_DB, or `database` in erp-plugin.toml",
                if cfg!(feature = "sqlite") {
                    "FILE or postgres://HOST/DATABASE"
                } else {
                    "postgres://HOST/DATABASE"
                }
            ))),
        }
    }

    /// The database, for a command about something that one in memory cannot have.
    pub(crate) fn kept(settings: &Settings, what: &str) -> Result<Self> {
        match Self::required(settings)? {
            Self::Memory => {
                bail!(HostError::invalid(format!("a database in memory has no {what}; give a file or a URL")))
            }
            database => Ok(database),
        }
    }

    /// The same, where opening it must not make it.
    pub(crate) fn existing(settings: &Settings, what: &str) -> Result<Self> {
        let database = Self::kept(settings, what)?;
        database.must_be_there()?;
        Ok(database)
    }

    /// Reads a file's path, or a URL.
    pub(crate) fn parse(named: &str, migration_url: Option<String>) -> Result<Self> {
        if is_postgres(named) {
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

/// Whether this is a URL of Postgres.
pub(crate) fn is_postgres(named: &str) -> bool {
    named.starts_with("postgres:") || named.starts_with("postgresql:")
}

/// What is wrong with a URL of Postgres, as far as this program knows; the URL is not in it.
#[cfg(feature = "postgres")]
pub(crate) fn check_postgres(url: &str) -> Result<(), String> {
    erp_plugin::postgres::PostgresOptions::from_url(url).map(drop).map_err(|error| error.to_string())
}

/// Of one that was built without it there is nothing to know.
#[cfg(not(feature = "postgres"))]
pub(crate) fn check_postgres(_: &str) -> Result<(), String> {
    Ok(())
}

/// A database as seen from a folder, where it is a file that is named from there.
pub(crate) fn seen_from(folder: &Path, named: String) -> String {
    let (scheme, file) = match named.strip_prefix("sqlite:") {
        Some(file) => ("sqlite:", file),
        None => ("", named.as_str()),
    };
    match (is_postgres(&named) || file == ":memory:", folder.join(file).to_str()) {
        (false, Some(path)) => format!("{scheme}{path}"),
        _ => named,
    }
}

/// The options of a URL that tell nothing that is secret.
const SHOWN_OPTIONS: [&str; 8] = [
    "application_name",
    "connect_timeout",
    "host",
    "pool_size",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
];

/// A database as it may be shown: without a password, and without options that might be one.
pub(crate) fn shown(named: &str) -> String {
    let Some((scheme, rest)) = named.split_once("://").filter(|_| is_postgres(named)) else {
        return named.to_owned();
    };
    // A password may hold anything, if it was not written as it should have been.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let user = user.map(|user| match user.split_once([':', '/', '?']) {
        Some((name, _)) => format!("{name}:***@"),
        None => format!("{user}@"),
    });
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let options = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        if SHOWN_OPTIONS.contains(&name) { pair.to_owned() } else { "***".to_owned() }
    });
    let options = options.collect::<Vec<_>>().join("&");
    let mark = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{}{place}{mark}{options}", user.unwrap_or_default())
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

    #[test]
    fn a_password_is_not_shown_however_it_was_written() {
        for (url, expected) in [
            ("erp.db", "erp.db"),
            ("postgres://erp@h/d?sslmode=require", "postgres://erp@h/d?sslmode=require"),
            ("postgres://erp:secret@h:5432/d", "postgres://erp:***@h:5432/d"),
            ("postgres://erp:a@secret@h/d", "postgres://erp:***@h/d"),
            ("postgres://erp:a/b?secret@h/d", "postgres://erp:***@h/d"),
            ("postgresql://h/d?user=erp&password=secret&pool_size=4", "postgresql://h/d?***&***&pool_size=4"),
            ("postgres://h/d?p%61ssword=secret", "postgres://h/d?***"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
