//! What goes wrong inside this crate, and the one place where it becomes a [`StorageError`].

use std::path::PathBuf;

use erp_plugin_storage::{ErrorKind, StorageError};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_DIRECTORY;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A fault, before anybody has said what was being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite said so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
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
    /// A file cannot be opened for a reason that SQLite was not asked about.
    #[error("{path}: {reason}", path = .path.display())]
    File { kind: ErrorKind, path: PathBuf, reason: String },
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
            Self::Sqlite(error) => sqlite_kind(error),
            Self::Unreadable(_) => ErrorKind::Corrupt,
            Self::Misuse(_) => ErrorKind::Bug,
            Self::Sink(error) => error.kind,
            Self::Kind(kind) | Self::File { kind, .. } => *kind,
        }
    }
}

fn sqlite_kind(error: &rusqlite::Error) -> ErrorKind {
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return match error {
            rusqlite::Error::SqlInputError { .. } if is_gone(error) => ErrorKind::SchemaChanged,
            // A text that is not UTF-8, a column of another type: nothing that this crate wrote.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => ErrorKind::Corrupt,
            _ => ErrorKind::Bug,
        };
    };
    match failure.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            ErrorKind::Busy
        }
        ErrorCode::DiskFull => ErrorKind::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => ErrorKind::ReadOnly,
        ErrorCode::CannotOpen if failure.extended_code == SQLITE_READONLY_DIRECTORY => ErrorKind::ReadOnly,
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::NoLargeFileSupport => ErrorKind::Io,
        ErrorCode::DatabaseCorrupt => ErrorKind::Corrupt,
        ErrorCode::NotADatabase => ErrorKind::Foreign,
        ErrorCode::OutOfMemory => ErrorKind::Unavailable,
        // Only reads are ever interrupted, and only by their deadline.
        ErrorCode::OperationInterrupted => ErrorKind::DeadlineExceeded,
        _ if is_gone(error) => ErrorKind::SchemaChanged,
        _ => ErrorKind::Bug,
    }
}

/// Whether a table or a column is not there: another version of the plugin has put it aside. SQLite has no code for it.
fn is_gone(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    ["no such column", "no such table", "has no column named"].iter().any(|part| text.contains(part))
}
