//! A copy of the database in one file, taken while hosts work, and the way back.
//!
//! The copy is SQLite's own `VACUUM INTO`: one read transaction, so one moment between two commits, and nobody waits for
//! it. The result has no log beside it and no free pages. Either function writes a file beside its target, brings it to
//! the disk and gives it its name at the end, so that under that name there is never half a database.

use std::fs::{self, File};
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use erp_plugin_storage::{ErrorKind, StorageResult};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::connection::{file_error, folder_of, harden, inspect, open_file, sidecar};
use crate::error::{Error, Result};
use crate::migrations;

/// What a database may have beside it.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How long another process is waited for that is just recovering the source.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copies the database in `source` into a new file, as it is at one moment, also while hosts write to it. Returns when
/// the file is on the disk; it has the permissions of the source.
///
/// A file that is there already is never overwritten. Takes a while and the thread with it; call it where that is fine.
pub fn backup(source: &Path, target: &Path) -> StorageResult<()> {
    back_up(source, target).map_err(|error| error.at("backup"))
}

/// Puts the database in the file `backup` in the place of `target`. It is checked first: whose it is, whether this
/// release can work with it, and every page of it.
///
/// A target that is there is replaced only if `force` says so, never while any process has it open
/// ([`Busy`](ErrorKind::Busy)), and never if it is not a database of this system. What is left of its log goes with it.
/// Until the last moment, and after any error, it is as it was.
pub fn restore(backup: &Path, target: &Path, force: bool) -> StorageResult<()> {
    put_back(backup, target, force).map_err(|error| error.at("restore"))
}

fn back_up(source: &Path, target: &Path) -> Result<()> {
    must_be_there(source)?;
    inspect(source)?;
    must_not_be_there(target, "name another file")?;
    let connection = open_file(source, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    // VACUUM attaches what it writes.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    connection.busy_timeout(PATIENCE)?;
    migrations::check(&connection)?;
    let partial = Partial::new(target)?;
    let permissions = fs::metadata(source).map_err(|error| io(source, &error))?.permissions();
    fs::set_permissions(&partial.0, permissions).map_err(|error| io(&partial.0, &error))?;
    let path =
        partial.0.to_str().ok_or_else(|| file_error(ErrorKind::Io, target, "is a name that is not UTF-8"))?;
    connection.execute("VACUUM INTO ?1", [path])?;
    must_not_be_there(target, "name another file")?;
    partial.becomes(target)
}

fn put_back(backup: &Path, target: &Path, force: bool) -> Result<()> {
    must_be_there(backup)?;
    inspect(backup)?;
    if sidecar(backup, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
        return Err(file_error(
            ErrorKind::Io,
            backup,
            "has a log beside it, so it is no backup but a database; make a backup of it and restore that",
        ));
    }
    if !force {
        must_not_be_there(target, "stop its host and say that it is to be replaced, or name another file")?;
    }
    let partial = Partial::new(target)?;
    // What is checked is what is going to be used, not what somebody may still write to.
    fs::copy(backup, &partial.0).map_err(|error| io(backup, &error))?;
    check(&partial.0, backup)?;
    let lock = take(target)?;
    for suffix in SIDECARS {
        let path = sidecar(target, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != IoErrorKind::NotFound => return Err(io(&path, &error)),
            _ => {}
        }
    }
    partial.becomes(target)?;
    drop(lock);
    Ok(())
}

/// Checks a database that is to be used, and that is nobody else's yet.
fn check(path: &Path, named: &Path) -> Result<()> {
    let connection = open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    // So that nothing is left beside it: the copy of a host's own file says that it has a log.
    connection.query_row("PRAGMA journal_mode = delete", (), |_| Ok(()))?;
    migrations::check(&connection)?;
    let found: String = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(file_error(ErrorKind::Corrupt, named, found)) }
}

/// Makes sure that nobody has the database open that is to be replaced, and that nobody opens it meanwhile: as long as the
/// connection lives. `None` where there is nothing, or nothing that SQLite can open.
fn take(target: &Path) -> Result<Option<Connection>> {
    if !is_there(target)? {
        return Ok(None);
    }
    match inspect(target) {
        Ok(()) => {}
        // A damaged one is what backups are for.
        Err(error) if error.kind() == ErrorKind::Corrupt => {}
        Err(error) => return Err(error),
    }
    let locked = || -> Result<(Connection, String)> {
        let connection = open_file(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        harden(&connection)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        // Every connection shares a lock on a database with a log, so only the last can give the log up.
        let mode = connection.query_row("PRAGMA journal_mode = delete", (), |row| row.get(0))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok((connection, mode))
    };
    match locked() {
        Ok((connection, mode)) if mode == "delete" => Ok(Some(connection)),
        Ok(_) => Err(in_use(target)),
        Err(error) if error.kind() == ErrorKind::Busy => Err(in_use(target)),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Foreign) => Ok(None),
        Err(error) => Err(error),
    }
}

fn in_use(target: &Path) -> Error {
    file_error(ErrorKind::Busy, target, "is open in another process; stop it, then restore")
}

/// A file in the making, beside the one that it is to become. Dropped before that, it goes.
struct Partial(PathBuf);

impl Partial {
    fn new(target: &Path) -> Result<Self> {
        let target = std::path::absolute(target).map_err(|error| io(target, &error))?;
        let path = sidecar(&target, ".partial");
        match File::create_new(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => Err(file_error(
                ErrorKind::Io,
                &path,
                "is there: another one is at work, or was killed; delete it if none is",
            )),
            Err(error) => Err(io(&path, &error)),
        }
    }

    /// Brings it to the disk, then under its name.
    fn becomes(self, target: &Path) -> Result<()> {
        let synced = File::open(&self.0).and_then(|file| file.sync_all());
        synced.map_err(|error| io(&self.0, &error))?;
        fs::rename(&self.0, target).map_err(|error| io(target, &error))?;
        let folder = folder_of(target);
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io(folder, &error))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After it got its name there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
        for suffix in SIDECARS {
            let _ = fs::remove_file(sidecar(&self.0, suffix));
        }
    }
}

fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| io(path, &error))
}

fn must_be_there(path: &Path) -> Result<()> {
    if is_there(path)? { Ok(()) } else { Err(file_error(ErrorKind::Io, path, "is not there")) }
}

fn must_not_be_there(path: &Path, way_out: &str) -> Result<()> {
    if is_there(path)? {
        return Err(file_error(ErrorKind::Io, path, format!("is there already; {way_out}")));
    }
    Ok(())
}

fn io(path: &Path, error: &std::io::Error) -> Error {
    file_error(ErrorKind::Io, path, error.to_string())
}
