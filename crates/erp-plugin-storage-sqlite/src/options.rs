//! How a database is opened.

use std::path::PathBuf;
use std::time::Duration;

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// When it is on the disk: what was acknowledged survives a power cut. The default, because it is about money.
    #[default]
    Full,
    /// When the operating system has it: what was acknowledged survives a crash of the process, but a power cut may
    /// take the last commits. The database stays consistent either way.
    Normal,
}

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) path: Option<PathBuf>,
    pub(crate) synchronous: Synchronous,
    pub(crate) readers: usize,
    pub(crate) group_window: Duration,
    pub(crate) group_max: usize,
    pub(crate) max_bytes: Option<u64>,
}

impl SqliteOptions {
    /// A database in a file, which is made if it is not there. Its folder must be.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), ..Self::memory() }
    }

    /// A database in memory, gone when the storage is dropped. It has one connection, so that reads wait for writes.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            path: None,
            synchronous: Synchronous::Full,
            readers: 4,
            group_window: Duration::from_millis(2),
            group_max: 16,
            max_bytes: None,
        }
    }

    /// When a commit counts as done.
    #[must_use]
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How many read transactions run at once; at least one, four unless said otherwise.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// For how long after its first member has finished a group takes further ones; 2 ms unless said otherwise. Zero
    /// gives each invocation a commit of its own.
    #[must_use]
    pub fn group_window(mut self, window: Duration) -> Self {
        self.group_window = window;
        self
    }

    /// How many invocations may share a commit; 16 unless said otherwise.
    #[must_use]
    pub fn group_max(mut self, members: usize) -> Self {
        self.group_max = members.max(1);
        self
    }

    /// The most bytes that the database file may take, rounded down to pages; no limit unless said otherwise. Past
    /// it a write fails as [`Full`](erp_plugin_storage::ErrorKind::Full), as on a full disk.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}
