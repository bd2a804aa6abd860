//! What a tenant takes along when it moves to another platform, and what a plugin leaves when it is archived: a folder
//! of JSON Lines, an object a row, with `export.json`, which says what is in it.
//!
//! A tenant is read in one snapshot, so nobody has to stop for it, and is taken in by a platform on which the same versions
//! of its plugins run. Whatever it had there it has here: records with ids, versions and times, deleted ones as well,
//! history, events and deliveries where they stood, number series, configuration, roles, log and usage. Only what updates
//! of plugins put aside stays behind.
//!
//! A folder is there once it is whole. What it is read for is checked against the SHA-256 of each file before anything is
//! written.

mod contents;
mod error;
mod export;
mod folder;
mod import;
mod json;

pub use contents::{Contents, EntityOf, FileOf, PluginOf, TenantOf};
pub use error::PortableError;
pub use export::{export_plugin, export_tenant};
pub use import::{Imported, import_tenant};
