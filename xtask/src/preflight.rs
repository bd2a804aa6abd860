//! What must be there before a build starts, so that its absence is one line and not a page of a linker's output.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use erp_plugin_package::{TARGET, install_target, target_is_installed};

use crate::repository;

/// What a first build of everything takes, with room to spare.
#[cfg(unix)]
const DISK_NEEDED: u64 = 4 << 30;

/// Before building plugins. A missing target is installed.
pub(crate) fn guests() -> Result<()> {
    let plugins = repository::plugins();
    if !target_is_installed(&plugins)? {
        eprintln!("installing the Rust target {TARGET}");
        install_target(&plugins)?;
    }
    Ok(())
}

/// Before building the host: SQLite is C, and the first build is large.
pub(crate) fn host() -> Result<()> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    // It may be several words: "ccache gcc".
    let mut words = compiler.split_whitespace();
    let found = Command::new(words.next().unwrap_or("cc"))
        .args(words)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        bail!(
            "there is no C compiler (`{compiler}`), which building SQLite takes; install one, \
             for example: apt-get install build-essential, or xcode-select --install"
        );
    }
    // This program itself lies in that folder; the command line does after a first build of everything.
    if !repository::target("debug/erp-plugin").exists() {
        check_disk(&repository::root())?;
    }
    Ok(())
}

#[cfg(unix)]
fn check_disk(folder: &Path) -> Result<()> {
    let disk = rustix::fs::statvfs(folder).with_context(|| format!("free space of {}", folder.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < DISK_NEEDED {
        bail!(
            "{} has {} MiB free, and a first build takes up to {} MiB; make room, or clone to another disk",
            folder.display(),
            free >> 20,
            DISK_NEEDED >> 20
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_disk(_folder: &Path) -> Result<()> {
    Ok(())
}
