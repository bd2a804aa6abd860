//! Is the compiler's standard library for WebAssembly there?

use std::path::Path;
use std::process::{Command, Stdio};

use crate::BuildError;

/// What plugins are built for: WebAssembly with no operating system. The `wasip1` and `wasip2` targets would
/// import WASI, which no host of ours has.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Whether the toolchain that Cargo would use in `folder` can build for [`TARGET`].
pub fn target_is_installed(folder: &Path) -> Result<bool, BuildError> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| BuildError::Program { program: "rustc".to_owned(), source })?;
    let library_folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(library_folder.trim()).is_dir())
}

/// Installs [`TARGET`] for the toolchain that Cargo would use in `folder`.
pub fn install_target(folder: &Path) -> Result<(), BuildError> {
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(folder)
        .status()
        .map_err(|source| BuildError::Program { program: "rustup".to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(BuildError::TargetNotInstalled) }
}
