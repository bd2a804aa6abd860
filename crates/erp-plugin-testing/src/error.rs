//! Why a plugin was not loaded, and why a call gave no answer.

use erp_plugin_model::ids::InvalidName;
use erp_plugin_model::manifest::ManifestError;
use erp_plugin_model::{HostError, JobName};
use erp_plugin_runtime::{GuestFailure, LoadError};
use erp_plugin_storage::StorageError;

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The component is not one that a host takes.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A field refers to an entity of another plugin, and here there is no other.
    #[error(
        "field \"{field}\" of {entity} refers to {target}, which another plugin declares; test the two together on \
         erp_plugin::PluginHost"
    )]
    NeedsAnother {
        /// The field.
        field: String,
        /// Its entity.
        entity: String,
        /// What it refers to.
        target: String,
    },
    /// No database can be made on the server.
    #[error("no database for the test: {0}")]
    Server(String),
    /// With Postgres alone a test needs a server.
    #[error(
        "no database for the test: {0} does not name a Postgres whose user may create databases and roles; set it, or \
         use TestEngine::on_postgres, or enable the feature `sqlite`"
    )]
    NoServer(&'static str),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a call gave no answer. Everything it wrote is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// The guest trapped, or used up a limit.
    #[error(transparent)]
    Guest(#[from] GuestFailure),
    /// The guest answered ok, and the host could not commit.
    #[error("what the plugin did could not be committed: {0}")]
    Commit(HostError),
    /// No host would make this call: the event's type is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// No host would make this call: the plugin has no such job.
    #[error("the plugin declares no job {0}; add it under [[jobs]] in plugin.toml")]
    NoJob(JobName),
    /// No host would make this call: the event's payload is no JSON.
    #[error("the event's payload is not JSON: {0}")]
    Payload(#[from] serde_json::Error),
}
