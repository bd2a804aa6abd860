//! A look at the file of a database, for whoever looks after it: changes nothing, brings nothing up to date, and keeps no host
//! waiting.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use erp_plugin_storage::{ErrorKind, StorageResult};
use rusqlite::{Connection, OpenFlags};

use crate::connection::{file_error, folder_of, harden, inspect, open_file, sidecar};
use crate::error::{Error, Result};
use crate::migrations;

/// How long another process is waited for that is just recovering the file.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most faults of a damaged file that are told.
const SHOWN: u32 = 5;

/// What a file is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The version of the system's tables.
    pub version: i64,
    /// The version that this release makes of them.
    pub known_version: i64,
    /// What SQLite's quick check found wrong; empty when all is well.
    pub damage: Vec<String>,
    /// The size of the file.
    pub bytes: u64,
    /// The size of the log beside it.
    pub log_bytes: u64,
    /// What is free on its disk, for this user.
    pub free_bytes: u64,
    /// Who may read and write it: the nine bits of Unix.
    pub mode: u32,
}

/// Looks at a database that is there. Reads every page of it.
///
/// Refused is what [`SqliteStorage::open`](crate::SqliteStorage::open) would refuse.
pub fn examine(path: &Path) -> StorageResult<Examination> {
    look(path).map_err(|error| error.at("examine"))
}

fn look(path: &Path) -> Result<Examination> {
    let io = |error: std::io::Error| file_error(ErrorKind::Io, path, error.to_string());
    let metadata = fs::metadata(path).map_err(io)?;
    inspect(path)?;
    let connection = open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "query_only", true)?;
    let damage = damage(&connection)?;
    let (version, known_version) = match damage.is_empty() {
        true => migrations::versions(&connection)?,
        false => (0, 0),
    };
    let disk = rustix::fs::statvfs(folder_of(path)).map_err(|error| io(error.into()))?;
    Ok(Examination {
        version,
        known_version,
        damage,
        bytes: metadata.len(),
        log_bytes: fs::metadata(sidecar(path, "-wal")).map_or(0, |log| log.len()),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        mode: metadata.permissions().mode() & 0o777,
    })
}

fn damage(connection: &Connection) -> Result<Vec<String>> {
    let found = connection.prepare(&format!("PRAGMA quick_check({SHOWN})")).and_then(|mut check| {
        check.query_map((), |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    });
    match found.map_err(Error::from) {
        Ok(found) => Ok(found.into_iter().filter(|line| line != "ok").collect()),
        // Too damaged to be looked through.
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(vec![error.to_string()]),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, SqliteStorage};

    #[test]
    fn a_database_is_looked_at_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.db");
        assert_eq!(examine(&path).unwrap_err().kind, ErrorKind::Io);
        drop(SqliteStorage::open(&SqliteOptions::file(&path)).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let before = fs::read(&path).unwrap();
        let found = examine(&path).unwrap();
        assert_eq!(
            (found.version, found.damage.as_slice(), found.mode),
            (found.known_version, &[][..], 0o640)
        );
        assert!(found.bytes as usize == before.len() && found.free_bytes > 0, "{found:?}");
        assert!(fs::read(&path).unwrap() == before);
    }

    #[test]
    fn a_damaged_page_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erp.db");
        drop(SqliteStorage::open(&SqliteOptions::file(&path)).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2 / 4096 * 4096;
        bytes[half..half + 4096].fill(0xff);
        fs::write(&path, bytes).unwrap();
        assert!(!examine(&path).unwrap().damage.is_empty());
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(examine(&path).unwrap_err().kind, ErrorKind::Foreign);
    }
}
