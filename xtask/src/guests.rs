//! What building plugins and building fixtures have in common: where the results go, and how they are shown.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::repository;

/// A component that was built.
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) contract: String,
    pub(crate) size: usize,
    pub(crate) path: PathBuf,
}

/// Writes a component unless the file has these bytes already, so that its time tells when it last changed.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints what was built as a table.
pub(crate) fn print(built: &[Built]) {
    let width = built.iter().map(|built| built.name.len()).max().unwrap_or_default();
    for Built { name, contract, size, path } in built {
        let kibibytes = size.div_ceil(1024);
        println!("{name:width$}  {kibibytes:>5} KiB  {contract}  {}", repository::show(path));
    }
}
