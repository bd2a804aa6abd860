//! The folder of a server: short, since the path of a Unix socket has 103 bytes at most, and reachable for the user
//! that runs the server. In memory, if there is room and the data need not last: a database is three hundred files, and
//! the tests make a thousand databases, which takes a file system on a disk as long as all that is done in them.

use std::env;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::statvfs;
use tempfile::TempDir;

use super::Durability;
use super::account::Account;

/// What macOS takes, the shorter of the two.
const SOCKET_PATH_MAX: usize = 103;

const PREFIX: &str = "erp-pg-";

/// What stands behind the folder's own path: random letters, and the socket's name.
const REST: usize = "xxxxxx/.s.PGSQL.5432".len();

/// Where Linux has a file system in memory.
const IN_MEMORY: &str = "/dev/shm";

/// The room that has to be left there. Containers are often given 64 MiB.
const ROOM: u64 = 3 << 30;

/// Makes a folder that only we, and the server's user, may enter: its server believes everybody who does.
pub(super) fn make(account: Option<&Account>, durability: Durability) -> Result<TempDir> {
    let in_memory =
        (durability == Durability::Off && has_room(Path::new(IN_MEMORY))).then(|| IN_MEMORY.into());
    let parents: Vec<PathBuf> =
        in_memory.into_iter().chain([env::temp_dir(), PathBuf::from("/tmp")]).collect();
    let fits = |parent: &Path| is_short(parent) && (account.is_none() || is_open(parent));
    let parents = parents.iter().filter_map(|parent| parent.canonicalize().ok());
    let Some(parent) = parents.into_iter().find(|parent| fits(parent)) else {
        bail!(
            "the folder for temporary files has too long a path for a socket, or the server's user may not enter it; \
             set TMPDIR to a short path that everybody may enter"
        );
    };
    let folder = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&parent)
        .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
    if let Some(account) = account {
        chown(folder.path(), Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give {} to the server's user", folder.path().display()))?;
    }
    Ok(folder)
}

fn has_room(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) >= ROOM)
}

fn is_short(parent: &Path) -> bool {
    parent.as_os_str().len() + "/".len() + PREFIX.len() + REST <= SOCKET_PATH_MAX
}

/// Whether every user may go through it and all that it lies in.
fn is_open(folder: &Path) -> bool {
    folder
        .ancestors()
        .all(|folder| folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_below_a_long_path_would_have_no_name() {
        let rest = PREFIX.len() + REST + 1;
        assert!(is_short(Path::new(&"x".repeat(SOCKET_PATH_MAX - rest))));
        assert!(!is_short(Path::new(&"x".repeat(SOCKET_PATH_MAX - rest + 1))));
    }

    #[test]
    fn a_closed_folder_closes_what_is_below_it() {
        let closed = tempfile::tempdir().unwrap();
        let below = closed.path().join("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(!is_open(&below));
        assert!(is_open(Path::new("/")));
    }
}
