//! `export.json`: what a folder has.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What the file says that it is.
pub(super) const FORMAT: &str = "erp-plugin export";
/// The form of the folder. It rises when an older release could not read it any more.
pub(super) const VERSION: u32 = 1;

/// What is in a folder, as `export.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// What it is: always the same text.
    pub format: String,
    /// The form of the folder.
    pub version: u32,
    /// When it was made, RFC 3339.
    pub exported_at: String,
    /// The tenant that it has; `None` in that of a plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantOf>,
    /// The plugins that were ever enabled in the tenant, or the one whose it is.
    pub plugins: Vec<PluginOf>,
    /// The entities of which it has anything.
    pub entities: Vec<EntityOf>,
    /// The files that have anything.
    pub files: Vec<FileOf>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantOf {
    /// Its id.
    pub id: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Whether it was suspended.
    pub suspended: bool,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOf {
    /// Its name.
    pub name: String,
    /// The version that ran, of an archived plugin the one that was installed last; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// An entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityOf {
    /// Its full name.
    pub name: String,
    /// Its schema; absent of a dynamic one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Json>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileOf {
    /// Its path in the folder, with a slash between two parts.
    pub file: String,
    /// What it has: an entity, or one of the system's own tables.
    pub table: String,
    /// How many rows, one a line.
    pub rows: u64,
    /// SHA-256 of all of it, in hexadecimal digits.
    pub sha256: String,
}

impl Contents {
    /// All rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }
}
