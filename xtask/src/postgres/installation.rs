//! Which Postgres of those on this machine: the newest, if it is new enough. Distributions put its server beside the
//! PATH rather than on it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::VARIABLE;

/// The oldest release that will do.
const OLDEST: u32 = 14;

/// Where packages put their programs: a folder, the beginning of the names in it, and the way on from there.
const PLACES: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/usr/local", "pgsql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The programs of one Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    /// The folder of `postgres` and `initdb`, and mostly of the client programs.
    pub(super) programs: PathBuf,
    /// The release, such as 17.
    version: u32,
}

/// There is no Postgres that will do. Its text says how to get one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Absent {
    too_old: Option<Installation>,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.too_old {
            None => write!(f, "no Postgres is installed")?,
            Some(Installation { programs, version }) => {
                write!(
                    f,
                    "Postgres {version} in {} is too old, {OLDEST} or newer is needed",
                    programs.display()
                )?;
            }
        }
        write!(
            f,
            "; apt-get install postgresql, or brew install postgresql@17, \
             or set {VARIABLE} to the URL of a role that may create databases and roles"
        )
    }
}

impl std::error::Error for Absent {}

/// Looks on the PATH and where packages put it.
pub(super) fn find() -> Result<Installation, Absent> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(PLACES.into_iter().flat_map(below));
    choose(folders.filter_map(|folder| installation(&folder)))
}

/// The newest, and of equal ones the first.
fn choose(found: impl Iterator<Item = Installation>) -> Result<Installation, Absent> {
    let newest = found.reduce(|best, next| if next.version > best.version { next } else { best });
    match newest {
        Some(newest) if newest.version >= OLDEST => Ok(newest),
        too_old => Err(Absent { too_old }),
    }
}

fn below((folder, prefix, rest): (&str, &str, &str)) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(rest))
        .collect();
    folders.sort();
    folders
}

/// The Postgres whose server and whose `initdb` are in a folder.
fn installation(folder: &Path) -> Option<Installation> {
    if !folder.is_absolute() || !has_server(folder) {
        return None;
    }
    // On a PATH there are often links to a few of the programs; the others lie where the links lead.
    let real = folder.join("postgres").canonicalize().ok()?;
    let programs = real.parent().filter(|real| has_server(real)).unwrap_or(folder).to_owned();
    let answer = Command::new(programs.join("postgres"))
        .arg("--version")
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let version = version(&String::from_utf8_lossy(&answer.stdout))?;
    Some(Installation { programs, version })
}

fn has_server(folder: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file())
}

/// The release in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18devel`, `… 9.6.24`.
fn version(answer: &str) -> Option<u32> {
    let (_, version) = answer.split_once("(PostgreSQL) ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(folder: &str, version: u32) -> Installation {
        Installation { programs: folder.into(), version }
    }

    #[test]
    fn the_newest_wins_and_of_equal_ones_the_first() {
        let found = [installed("/a", 15), installed("/b", 17), installed("/c", 17), installed("/d", 9)];
        assert_eq!(choose(found.into_iter()), Ok(installed("/b", 17)));
    }

    #[test]
    fn an_old_one_is_named_and_every_message_says_what_to_do() {
        let old =
            choose([installed("/usr/pgsql-9.6/bin", 9), installed("/usr/pgsql-13/bin", 13)].into_iter());
        let old = old.unwrap_err().to_string();
        assert!(
            old.starts_with("Postgres 13 in /usr/pgsql-13/bin is too old, 14 or newer is needed; "),
            "{old}"
        );
        let absent = choose([].into_iter()).unwrap_err().to_string();
        assert!(absent.starts_with("no Postgres is installed; apt-get install postgresql, "), "{absent}");
        for message in [old, absent] {
            assert!(message.contains("brew install") && message.contains("set ERP_PLUGIN_TEST_POSTGRES"));
            assert_eq!(message.lines().count(), 1);
        }
    }

    #[test]
    fn releases_are_read_from_what_the_server_says() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version("postgres (PostgreSQL) 18devel"), Some(18));
        assert_eq!(version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(version("postgres: a different program"), None);
    }

    #[test]
    fn a_folder_counts_only_with_server_and_initdb() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("postgres"), "").unwrap();
        assert_eq!(installation(folder.path()), None);
        assert!(below((folder.path().to_str().unwrap(), "none-", "bin")).is_empty());
        assert_eq!(
            below((folder.path().to_str().unwrap(), "post", "bin")),
            [folder.path().join("postgres/bin")]
        );
    }
}
