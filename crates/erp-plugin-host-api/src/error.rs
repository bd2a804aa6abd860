//! How a host call fails.

use erp_plugin_model::limits::LimitExceeded;
use erp_plugin_model::{ErrorCode, HostError};
use erp_plugin_storage::{ErrorKind, StorageError};

/// A failed host call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The caller is told, may go on, and the transaction is intact.
    #[error(transparent)]
    Answer(#[from] HostError),
    /// The invocation is over.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// What ends an invocation from within a host call.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A limit was reached again after the caller had been told.
    #[error("limit-exceeded: {0}")]
    Limit(LimitExceeded),
    /// The storage failed in a way that leaves nothing to go on with.
    #[error("{}", .0.to_host_error())]
    Storage(#[source] StorageError),
    /// The delivery or run that was being handled belongs to another claim by now.
    #[error("unavailable: what was being handled was claimed again meanwhile")]
    ClaimLost,
    /// A nested call lost the transaction.
    #[error("internal: the transaction did not come back from a nested call")]
    TransactionGone,
}

/// What host calls return.
pub type CallResult<T> = Result<T, CallError>;

impl From<StorageError> for CallError {
    fn from(error: StorageError) -> Self {
        Self::Fatal(Fatal::Storage(error))
    }
}

impl Fatal {
    /// The error as the invocation's caller sees it.
    #[must_use]
    pub fn to_host_error(&self) -> HostError {
        match self {
            Self::Limit(limit) => HostError::new(ErrorCode::LimitExceeded, limit.to_string()),
            Self::Storage(error) => error.to_host_error(),
            Self::ClaimLost => {
                HostError::new(ErrorCode::Unavailable, "what was being handled was claimed again meanwhile")
            }
            Self::TransactionGone => {
                HostError::new(ErrorCode::Internal, "the transaction did not come back from a nested call")
            }
        }
    }

    /// Whether another version of the plugin runs by now, which whoever runs the invocation again must look up.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Storage(error) if error.kind == ErrorKind::SchemaChanged)
    }

    /// Whether the whole invocation may be run again at once, in a fresh sandbox.
    #[must_use]
    pub fn may_rerun(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_transient())
    }
}
