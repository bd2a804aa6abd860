//! Opens the connections.
//!
//! Why they are as they are; ratios of medians, rusqlite 0.41.1, 2 cores, ext4:
//!
//! - One connection writes and hands itself on inside the process. SQLite allows one writer anyway; a second
//!   connection would find that out by polling.
//! - WAL: readers keep their snapshot while the writer writes, and a commit is one fsync instead of two.
//! - Statements run on the thread of the task. A hop to a thread of its own costs more than an insert takes.
//! - `foreign_keys` is off: a reference is checked against *live* records of the *same tenant*, which no foreign key
//!   of SQLite can say.
//! - No memory map: a file that another process cuts short would kill this one with a signal.
//! - `trusted_schema` is off and defensive mode on: the file may have passed through other hands.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use erp_plugin_storage::ErrorKind;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::alarm::Alarm;
use crate::error::{Error, Result};
use crate::migrations;
use crate::options::{SqliteOptions, Synchronous};
use crate::readers::Reader;
use crate::writer::{GroupRules, Writer};

/// "ERPP", in the header of every file that is ours.
pub(crate) const APPLICATION_ID: i32 = 0x4552_5050;

/// Statements that a connection keeps compiled: some ten for each entity in use.
const STATEMENTS: usize = 512;
/// How long opening waits for another process. Transactions wait asynchronously, by their own deadline.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);
/// Kibibytes of pages that a connection keeps.
const PAGE_CACHE: i64 = -16 * 1024;
/// The write-ahead log is cut to this size after a checkpoint.
const WAL_BYTES: i64 = 64 << 20;
/// The longest value, and with it the largest component.
const LONGEST_VALUE: i32 = 256 << 20;
/// The longest statement: 500 filter values and 200 columns stay far below.
const LONGEST_SQL: i32 = 1 << 20;

/// Opens the writer, and makes or migrates the database. Nothing is changed in a file that is not ours.
pub(crate) fn open_writer(options: &SqliteOptions) -> Result<Writer> {
    let mut connection = match &options.path {
        None => Connection::open_in_memory()?,
        Some(path) => {
            inspect(path)?;
            open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?
        }
    };
    harden(&connection)?;
    connection.busy_timeout(OPEN_PATIENCE)?;
    if let Some(path) = &options.path
        && connection.is_readonly("main")?
    {
        return Err(file_error(ErrorKind::ReadOnly, path, "is read-only"));
    }
    migrations::run(&mut connection)?;
    if let Some(path) = &options.path {
        let mode: String = connection.query_row("PRAGMA journal_mode = wal", (), |row| row.get(0))?;
        if mode != "wal" {
            return Err(file_error(
                ErrorKind::Io,
                path,
                "cannot be used with a write-ahead log; a network drive cannot hold the database",
            ));
        }
    }
    tune(&connection, options)?;
    if let Some(bytes) = options.max_bytes {
        limit_size(&connection, bytes)?;
    }
    connection.busy_timeout(Duration::ZERO)?;
    let alarm = Alarm::install(&mut connection)?;
    Ok(Writer::new(connection, alarm, GroupRules { window: options.group_window, max: options.group_max }))
}

/// Opens a reader of a database that the writer has opened before.
pub(crate) fn open_reader(path: &Path, options: &SqliteOptions) -> Result<Reader> {
    let mut connection = open_file(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    harden(&connection)?;
    tune(&connection, options)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.busy_timeout(Duration::ZERO)?;
    let alarm = Alarm::install(&mut connection)?;
    Ok(Reader { connection, alarm })
}

/// Limits the size of the database file.
pub(crate) fn limit_size(connection: &Connection, bytes: u64) -> Result<()> {
    let page: u32 = connection.query_row("PRAGMA page_size", (), |row| row.get(0))?;
    let pages = u32::try_from((bytes / u64::from(page)).max(1)).unwrap_or(u32::MAX - 1);
    // The answer is the limit that now holds: never below what the file has already.
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), (), |_| Ok(()))?;
    Ok(())
}

pub(crate) fn open_file(path: &Path, flags: OpenFlags) -> Result<Connection> {
    // Absolute, because SQLite is built to take what begins with `file:` for a URI, whatever the flags say.
    let path =
        std::path::absolute(path).map_err(|error| file_error(ErrorKind::Io, path, error.to_string()))?;
    // Without a mutex: a connection is lent to one task at a time.
    Ok(Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
}

pub(crate) fn harden(connection: &Connection) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // "x" is an identifier and never quietly the text x.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST_SQL)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    Ok(())
}

fn tune(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let synchronous = match options.synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", PAGE_CACHE)?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_BYTES}"), (), |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Looks at the file without SQLite, which might already write to what it opens: recover a journal, make a log.
pub(crate) fn inspect(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(file_error(ErrorKind::Io, folder, "is no folder; make it first"));
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file_error(ErrorKind::Io, path, error.to_string())),
    };
    let io = |error: std::io::Error| file_error(ErrorKind::Io, path, error.to_string());
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(file_error(ErrorKind::Io, path, "is a folder"));
    }
    if metadata.len() > 0 {
        let mut header = Vec::with_capacity(100);
        file.by_ref().take(100).read_to_end(&mut header).map_err(io)?;
        check_header(path, &header, metadata.len())?;
    }
    // SQLite asks the operating system, which lets a privileged process write where the operator has said no.
    if metadata.permissions().readonly() {
        return Err(file_error(ErrorKind::ReadOnly, path, "is read-only"));
    }
    Ok(())
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn check_header(path: &Path, header: &[u8], len: u64) -> Result<()> {
    // A first start that was cut short leaves half a file and the journal that empties it again.
    if sidecar(path, "-journal").exists() {
        return Ok(());
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(file_error(ErrorKind::Foreign, path, "is no SQLite database"));
    }
    let number = |at: usize, size: usize| {
        header
            .get(at..at + size)
            .map(|bytes| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (Some(page_size), Some(pages), Some(application)) = (number(16, 2), number(28, 4), number(68, 4))
    else {
        return Err(file_error(ErrorKind::Corrupt, path, "is cut short within its header"));
    };
    if i64::try_from(application) != Ok(i64::from(APPLICATION_ID)) {
        return Err(file_error(ErrorKind::Foreign, path, "is the SQLite database of another program"));
    }
    let page_size = if page_size == 1 { 65_536 } else { page_size };
    // With a log beside it the file may be behind; without one it must be whole.
    let log = sidecar(path, "-wal").metadata().map_or(0, |log| log.len());
    if log == 0 && len < page_size * pages {
        return Err(file_error(
            ErrorKind::Corrupt,
            path,
            format!("is cut short: it has {len} bytes of {}", page_size * pages),
        ));
    }
    Ok(())
}

pub(crate) fn sidecar(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn file_error(kind: ErrorKind, path: &Path, reason: impl Into<String>) -> Error {
    Error::File { kind, path: path.to_owned(), reason: reason.into() }
}
