//! Why an export or an import stopped.

use std::io;
use std::path::PathBuf;

use erp_plugin_model::{ErrorCode, HostError};

use crate::StorageError;

/// Why an export or an import stopped. An export leaves nothing under the name that it was given. An import has taken
/// back what it wrote, unless that failed as well: then the tenant is there, suspended, to be deleted.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was to be done with it.
        doing: &'static str,
        /// The file, or the folder.
        path: PathBuf,
        /// Why it cannot.
        source: io::Error,
    },
    /// What was asked for cannot be, and why.
    #[error("{}", .0.message)]
    Refused(HostError),
}

impl PortableError {
    /// The error's code, as an API would send it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Storage(error) => error.to_host_error().code,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => ErrorCode::NotFound,
            Self::File { .. } => ErrorCode::Unavailable,
            Self::Refused(error) => error.code,
        }
    }

    pub(super) fn invalid(message: String) -> Self {
        Self::Refused(HostError::invalid(message))
    }

    pub(super) fn not_found(message: String) -> Self {
        Self::Refused(HostError::not_found(message))
    }
}
