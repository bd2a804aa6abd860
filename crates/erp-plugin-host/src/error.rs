//! Why something asked of the host was not done.

use erp_plugin_model::ids::InvalidName;
use erp_plugin_model::manifest::ManifestError;
use erp_plugin_model::{ErrorCode, HostError};
use erp_plugin_runtime::LoadError;
use erp_plugin_storage::StorageError;

use crate::schema::Obstacles;

/// What the host answers with.
pub type HostResult<T> = Result<T, HostFailure>;

/// Why something asked of the host was not done. Nothing of it was kept, but for the log and the usage of an invocation
/// that failed, and for `init` when only `on-tenant-created` failed after it.
#[derive(Debug, thiserror::Error)]
pub enum HostFailure {
    /// The component cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A name or id has the wrong form.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The host says no, or an invocation was rolled back.
    #[error(transparent)]
    Refused(#[from] HostError),
    /// A plugin's lifecycle call failed.
    #[error("{plugin}: {export} failed: {error}")]
    Lifecycle {
        /// The plugin.
        plugin: String,
        /// The export.
        export: &'static str,
        /// What it failed with.
        error: HostError,
    },
    /// The plugin's tables cannot become what its version declares, as they are or without consent. Nothing was done.
    #[error("{0}")]
    Schema(Box<Obstacles>),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Too much is asked for at once, or in this minute: nothing was done, and it may be tried again.
    #[error(transparent)]
    Busy(HostError),
    /// The host is shutting down.
    #[error("the host is shutting down; nothing was done")]
    ShuttingDown,
}

impl HostFailure {
    /// The error's code, as an API would send it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Load(_) | Self::Manifest(_) | Self::Name(_) => ErrorCode::InvalidInput,
            Self::Refused(error) | Self::Busy(error) | Self::Lifecycle { error, .. } => error.code,
            Self::Schema(_) => ErrorCode::Rejected,
            Self::Storage(error) => error.to_host_error().code,
            Self::ShuttingDown => ErrorCode::Unavailable,
        }
    }
}
