//! What goes wrong inside this crate, and the one place where it becomes a [`StorageError`].

use erp_plugin_storage::{ErrorKind, StorageError};
use tokio_postgres::error::SqlState;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What the policies answer when no tenant is set.
const NO_TENANT: &str = "ER001";
/// What `require_version` answers where the plugin is not enabled at the version.
const ANOTHER_VERSION: &str = "ER002";

/// A fault, before anybody has said what was being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Postgres said so, or the connection to it.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection could be had.
    #[error("no connection: {0}")]
    Pool(String),
    /// A URL does not lead where it must, or its user may not do what it is for.
    #[error("{0}")]
    Url(String),
    /// TLS is not set up as the URL says.
    #[error("TLS: {0}")]
    Tls(String),
    /// A stored value is not what this crate writes there.
    #[error("the stored {0} is not one that this host writes")]
    Unreadable(&'static str),
    /// The host asked for what cannot be.
    #[error("{0}")]
    Misuse(&'static str),
    /// The caller's sink failed.
    #[error(transparent)]
    Sink(StorageError),
    /// The kind says it all.
    #[error("{0:?}")]
    Kind(ErrorKind),
}

impl Error {
    /// The error as the traits tell it.
    pub(crate) fn at(self, operation: &'static str) -> StorageError {
        match self {
            Self::Sink(error) => error,
            Self::Kind(kind) => StorageError::new(kind, operation),
            other => StorageError::with_source(other.kind(), operation, other),
        }
    }

    /// The kind of fault.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Postgres(error) => postgres_kind(error),
            Self::Pool(_) | Self::Url(_) | Self::Tls(_) => ErrorKind::Unavailable,
            Self::Unreadable(_) => ErrorKind::Corrupt,
            Self::Misuse(_) => ErrorKind::Bug,
            Self::Sink(error) => error.kind,
            Self::Kind(kind) => *kind,
        }
    }

    /// Whether the transaction is gone with it: Postgres ends one at its first error.
    pub(crate) fn ends_transaction(&self) -> bool {
        match self {
            Self::Postgres(_) | Self::Pool(_) | Self::Url(_) | Self::Tls(_) => true,
            Self::Kind(kind) => *kind == ErrorKind::TransactionLost,
            Self::Unreadable(_) | Self::Misuse(_) | Self::Sink(_) => false,
        }
    }

    /// Whether the server cannot be asked any more.
    pub(crate) fn ends_connection(&self) -> bool {
        match self {
            // Those of class 57P are sent as the last word.
            Self::Postgres(error) => error.code().is_none_or(|state| state.code().starts_with("57P")),
            _ => false,
        }
    }

    /// The constraint that what is written, or what is there, does not keep to.
    pub(crate) fn check_violation(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                error.as_db_error()?.constraint()
            }
            _ => None,
        }
    }

    /// The index or constraint of a value that is taken.
    pub(crate) fn unique_violation(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                error.as_db_error()?.constraint()
            }
            _ => None,
        }
    }
}

fn postgres_kind(error: &tokio_postgres::Error) -> ErrorKind {
    let Some(state) = error.code() else {
        // Nothing was committed: a commit that is not answered is looked into where it happens.
        return ErrorKind::TransactionLost;
    };
    let code = state.code();
    match code.get(..2).unwrap_or_default() {
        // Serialization failure, deadlock.
        "40" => ErrorKind::TransactionLost,
        // A password, a database or a role that is not there.
        "08" | "28" | "3D" => ErrorKind::Unavailable,
        // No such schema or table: none of ours was made.
        "3F" => ErrorKind::NeedsMigration,
        // A table or a column that another version of the plugin has put aside.
        "42" if matches!(code, "42P01" | "42703") => ErrorKind::SchemaChanged,
        // A statement that was prepared for a column of another type.
        "0A" if error.as_db_error().is_some_and(|error| error.routine() == Some("RevalidateCachedQuery")) => {
            ErrorKind::SchemaChanged
        }
        "53" if code == "53100" => ErrorKind::Full,
        "53" => ErrorKind::Unavailable,
        "55" => ErrorKind::Busy,
        // The time-out of a statement is what is left of the deadline.
        "57" if code == "57014" => ErrorKind::DeadlineExceeded,
        "57" => ErrorKind::TransactionLost,
        "58" => ErrorKind::Io,
        "XX" if matches!(code, "XX001" | "XX002") => ErrorKind::Corrupt,
        // A standby, or a database that was set read-only.
        "25" if code == "25006" => ErrorKind::ReadOnly,
        // Failed before, in a statement whose answer nobody waited for.
        "25" if code == "25P02" => ErrorKind::TransactionLost,
        "25" if code == "25P03" => ErrorKind::DeadlineExceeded,
        _ if code == ANOTHER_VERSION => ErrorKind::SchemaChanged,
        _ if code == NO_TENANT => ErrorKind::Bug,
        _ => ErrorKind::Bug,
    }
}
