//! A fault of the storage, as every backend tells it.

use std::error::Error;

use erp_plugin_model::{ErrorCode, HostError};

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Somebody else holds what is needed; waiting longer may help.
    Busy,
    /// The caller's deadline passed while waiting.
    DeadlineExceeded,
    /// The transaction held the embedded database's writer for too long.
    WriterHoldExceeded,
    /// The transaction is gone with everything in it: a lost group or a serialization failure. The whole invocation
    /// may be run again.
    TransactionLost,
    /// The connection is gone. If that was during a commit, nobody knows what became of it.
    Unavailable,
    /// No space is left.
    Full,
    /// The database cannot be written.
    ReadOnly,
    /// Reading or writing failed.
    Io,
    /// The database is damaged.
    Corrupt,
    /// What was opened is no database of this system.
    Foreign,
    /// The database was made by a newer release that this one cannot work with.
    TooNew,
    /// The database lacks tables that this release works with.
    NeedsMigration,
    /// A table or column is not there any more, or the version that a transaction requires does not run: another one does
    /// by now, or none. Whoever looks again at what runs may try again.
    SchemaChanged,
    /// Making tables takes the role that owns them, and the storage was not told how to act in it.
    OwnerMissing,
    /// The backend refuses what it should never have been asked: a fault of the host.
    Bug,
}

impl ErrorKind {
    /// Whether the same work, begun again at once, may succeed: nothing of it was kept, and nobody has to do anything
    /// first but look again at what runs. So [`DeadlineExceeded`](Self::DeadlineExceeded) is not (the next attempt has no time either),
    /// [`WriterHoldExceeded`](Self::WriterHoldExceeded) is not (the next attempt takes as long), and nor is
    /// [`Unavailable`](Self::Unavailable): when the connection went during a commit, nobody knows whether anything
    /// was kept.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy | Self::TransactionLost | Self::SchemaChanged)
    }
}

/// A fault: kind, what was being done, and the backend's own error as source. `Display` never shows the source,
/// which may hold SQL or a path.
#[derive(Debug, thiserror::Error)]
#[error("storage: {operation}: {}", describe(*.kind))]
pub struct StorageError {
    /// The kind.
    pub kind: ErrorKind,
    /// What was being done: `commit`, `insert`, `open`.
    pub operation: &'static str,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What every storage operation returns.
pub type StorageResult<T> = Result<T, StorageError>;

impl StorageError {
    /// A fault without a deeper cause.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str) -> Self {
        Self { kind, operation, source: None }
    }

    /// A fault with the backend's own error.
    pub fn with_source(
        kind: ErrorKind,
        operation: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, source: Some(source.into()) }
    }

    /// Whether the same work may succeed if begun again: [`ErrorKind::is_transient`].
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind.is_transient()
    }

    /// The error as a caller outside may see it.
    #[must_use]
    pub fn to_host_error(&self) -> HostError {
        let code = match self.kind {
            ErrorKind::WriterHoldExceeded | ErrorKind::DeadlineExceeded => ErrorCode::LimitExceeded,
            ErrorKind::Bug | ErrorKind::Corrupt | ErrorKind::Foreign | ErrorKind::TooNew => {
                ErrorCode::Internal
            }
            ErrorKind::Busy
            | ErrorKind::TransactionLost
            | ErrorKind::Unavailable
            | ErrorKind::Full
            | ErrorKind::ReadOnly
            | ErrorKind::NeedsMigration
            | ErrorKind::OwnerMissing
            | ErrorKind::SchemaChanged
            | ErrorKind::Io => ErrorCode::Unavailable,
        };
        HostError::new(code, describe(self.kind))
    }
}

fn describe(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Busy => "the database is busy; try again",
        ErrorKind::DeadlineExceeded => "the deadline passed while waiting for the database",
        ErrorKind::WriterHoldExceeded => {
            "the database's writer was held for too long; do less between the first write and the end"
        }
        ErrorKind::TransactionLost => "the transaction was lost; try again",
        ErrorKind::Unavailable => "the database cannot be reached",
        ErrorKind::Full => "no space is left for the database; free some and try again",
        ErrorKind::ReadOnly => "the database is read-only; check its permissions",
        ErrorKind::Io => "reading or writing the database failed",
        ErrorKind::Corrupt => "the database is damaged; restore it from a backup",
        ErrorKind::Foreign => "this is no database of erp-plugin; name another file, or a new one",
        ErrorKind::TooNew => "the database was made by a newer erp-plugin; update the host",
        ErrorKind::NeedsMigration => {
            "the database lacks tables of this release; run erp-plugin db init, or db migrate if it has older ones"
        }
        ErrorKind::SchemaChanged => "another version of the plugin was installed meanwhile; try again",
        ErrorKind::OwnerMissing => {
            "making tables takes the database's owner, and no migration URL was given; give one"
        }
        ErrorKind::Bug => "internal error",
    }
}
