//! Where things lie in the checkout, and beside it.

use std::env;
use std::env::consts::EXE_EXTENSION;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Cargo says where this crate lies when it runs it; a copied binary falls back on where it was built.
    let own =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.parent().map_or(own.clone(), Path::to_owned)
}

/// The workspace of the example plugins.
pub(crate) fn plugins() -> PathBuf {
    root().join("plugins")
}

/// A folder below `target`. The results of this program always lie there, wherever Cargo builds: tests and the
/// demo look for them.
pub(crate) fn target(name: &str) -> PathBuf {
    root().join("target").join(name)
}

/// A program that Cargo built, wherever that is: `CARGO_TARGET_DIR` and `.cargo/config.toml` have a say.
pub(crate) fn built(program: &str) -> Result<PathBuf> {
    let manifest = root().join("Cargo.toml");
    let metadata =
        MetadataCommand::new().manifest_path(manifest).no_deps().exec().context("cargo metadata")?;
    Ok(metadata.target_directory.join("debug").join(program).with_extension(EXE_EXTENSION).into())
}

/// The environment variable that says where the Northwind data are.
pub(crate) const NORTHWIND: &str = "ERP_PLUGIN_NORTHWIND";

/// The Northwind data, which do not belong to the project: where the environment says, else beside the checkout.
pub(crate) fn northwind() -> Option<PathBuf> {
    let folder =
        env::var_os(NORTHWIND).map_or_else(|| root().join("../shared/data/northwind"), PathBuf::from);
    folder.join("orders.jsonl").is_file().then_some(folder)
}

/// A path for people: relative to the root where it lies below it.
pub(crate) fn show(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
