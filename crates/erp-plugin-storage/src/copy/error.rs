//! Why a copy stopped.

use erp_plugin_model::manifest::ManifestError;
use erp_plugin_model::{EntityRef, TenantId};

use crate::StorageError;

/// Why a copy stopped. What was copied until then stays, and the same copy begun again goes on there.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source failed.
    #[error("the source cannot be read")]
    Source(#[source] StorageError),
    /// The target failed.
    #[error("the target cannot be read or written")]
    Target(#[source] StorageError),
    /// The target holds what the source does not. Nothing was written.
    #[error(
        "the target holds {what}{}, which the source does not have so; copy into an empty database, or into one that \
         an earlier copy of this source has begun to fill",
        of(.tenant.as_ref())
    )]
    TargetDiffers {
        /// Whose it is; `None` for what belongs to no tenant.
        tenant: Option<TenantId>,
        /// What it is: a table and a key.
        what: String,
    },
    /// The source says of a table what this release cannot read.
    #[error("the source's definition of {entity} cannot be read; copy with the release that wrote it")]
    Schema {
        /// The entity.
        entity: EntityRef,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A component that a version names is not there.
    #[error("the source has no component of {version}; install that version again, then copy")]
    NoComponent {
        /// Plugin and version.
        version: String,
    },
}

fn of(tenant: Option<&TenantId>) -> String {
    tenant.map_or_else(String::new, |tenant| format!(" of tenant {tenant}"))
}
