//! `erp-plugin backup` and `erp-plugin restore`: a file of SQLite's, while hosts work on it, and the way back.

use std::path::PathBuf;

use anyhow::{Result, bail};
use erp_plugin::HostError;

use crate::database::{self, Database};
use crate::exit::Exit;
use crate::settings::Settings;

/// Copy a database of SQLite's into a new file, while hosts work on it
///
/// The file is the state between two commits. For Postgres use its own tools: docs/operating.md says how.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin backup --db erp.db backup-2026-01-31.db")]
pub(crate) struct BackupArguments {
    #[command(flatten)]
    _database: database::Flags,
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Put a backup in the place of a database of SQLite's
///
/// The backup is checked first, all of it. A database that is there is replaced only with --force, and never while a host
/// has it open.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin restore --db erp.db backup-2026-01-31.db --force")]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    _database: database::Flags,
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the database that is there
    #[arg(long)]
    force: bool,
}

pub(crate) fn backup(arguments: &BackupArguments, settings: &Settings) -> Result<Exit> {
    let source = file(settings)?;
    sqlite::backup(&source, &arguments.file)?;
    Ok(Exit::Done)
}

pub(crate) fn restore(arguments: &RestoreArguments, settings: &Settings) -> Result<Exit> {
    let target = file(settings)?;
    sqlite::restore(&arguments.file, &target, arguments.force)?;
    Ok(Exit::Done)
}

fn file(settings: &Settings) -> Result<PathBuf> {
    match Database::required(settings)? {
        Database::File(path) => Ok(path),
        Database::Memory => {
            bail!(HostError::invalid("a database in memory has no file; name one with --db FILE"))
        }
        Database::Postgres { .. } => bail!(HostError::invalid(
            "this is for a file of SQLite's; for Postgres use pg_basebackup or pg_dump, as docs/operating.md says"
        )),
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    pub(super) use erp_plugin::sqlite::{backup, restore};
}

#[cfg(not(feature = "sqlite"))]
mod sqlite {
    use std::path::Path;

    use erp_plugin::OpenError;

    fn left_out() -> Result<(), OpenError> {
        Err(OpenError::LeftOut { backend: "SQLite", feature: "sqlite" })
    }

    pub(super) fn backup(_: &Path, _: &Path) -> Result<(), OpenError> {
        left_out()
    }

    pub(super) fn restore(_: &Path, _: &Path, _: bool) -> Result<(), OpenError> {
        left_out()
    }
}
