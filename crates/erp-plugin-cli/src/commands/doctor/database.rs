//! The database itself: whether it can be reached, whether it is sound, who may do what, and its clock.

use super::Findings;
use crate::database::Database;
use crate::exit;
use crate::settings::Settings;

const AREA: &str = "database";

/// The database, if it is one that a host may try to open.
pub(super) async fn look(settings: &Settings, findings: &mut Findings) -> Option<Database> {
    let database = match Database::kept(settings, "plugins") {
        Ok(database) => database,
        Err(error) => {
            findings.problem(AREA, exit::line(&error), "erp-plugin config show says what is set, and where");
            return None;
        }
    };
    let may_open = match &database {
        Database::Memory => false,
        Database::File(path) if !path.exists() => {
            let path = path.display();
            findings.problem(
                AREA,
                format!("there is no database {path}"),
                format!("name another one, or make it: erp-plugin tenants create TENANT --db {path}"),
            );
            false
        }
        Database::File(path) => sqlite::look(path, findings),
        Database::Postgres { url, migration_url } => {
            postgres::look(url, migration_url.as_deref(), findings).await
        }
    };
    may_open.then_some(database)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;

    use anyhow::Error;
    use erp_plugin::sqlite::{Examination, examine};

    use super::super::Findings;
    use super::AREA;
    use crate::exit;
    use crate::values::size_text;

    /// Below this there is no room to work.
    const NO_ROOM: u64 = 64 << 20;
    /// Below this room goes out some day soon.
    const LITTLE_ROOM: u64 = 1 << 30;
    /// A log as long as this is not cut, since somebody reads what is in it.
    const LONG_LOG: u64 = 256 << 20;

    pub(super) fn look(path: &Path, findings: &mut Findings) -> bool {
        let shown = path.display();
        match examine(path) {
            Ok(found) => {
                let is_sound = is_sound(path, &found, findings);
                look_at_room(path, &found, findings);
                if found.mode & 0o007 != 0 {
                    findings.warning(
                        AREA,
                        format!("every user of this machine may open {shown} (mode {:o})", found.mode),
                        format!("chmod o= {shown}*"),
                    );
                }
                is_sound
            }
            Err(error) => {
                findings.problem(
                    AREA,
                    exit::line(&Error::new(error)),
                    format!("docs/troubleshooting.md has this message; a damaged file: erp-plugin restore --db {shown} BACKUP --force"),
                );
                false
            }
        }
    }

    fn is_sound(path: &Path, found: &Examination, findings: &mut Findings) -> bool {
        let Examination { version, known_version, damage, bytes, .. } = found;
        let shown = path.display();
        if !damage.is_empty() {
            findings.problem(
                AREA,
                format!("{shown} is damaged: {}", damage.join("; ")),
                format!("stop its hosts, and: erp-plugin restore --db {shown} BACKUP --force"),
            );
            return false;
        }
        findings.ok(AREA, format!("{shown}, {}, every page is sound", size_of(*bytes)));
        if version < known_version {
            findings.warning(
                AREA,
                format!("system tables, version {version} of {known_version}; what plugins have was not looked at"),
                format!("the next command that opens it brings them up; before: erp-plugin backup --db {shown} BACKUP"),
            );
            return false;
        }
        findings.ok(AREA, format!("system tables, version {version} of {known_version}"));
        true
    }

    fn look_at_room(path: &Path, found: &Examination, findings: &mut Findings) {
        let Examination { bytes, log_bytes, free_bytes, .. } = found;
        let what = format!("{} are free on the disk of {}", size_of(*free_bytes), path.display());
        if *free_bytes < NO_ROOM {
            findings.problem(AREA, what, "make room at once: what does not fit is rolled back");
        } else if *free_bytes < LITTLE_ROOM.max(bytes + log_bytes) {
            findings.warning(AREA, what, "make room: a backup takes as much again as the database");
        } else {
            findings.ok(AREA, what);
        }
        if *log_bytes > LONG_LOG {
            findings.warning(
                AREA,
                format!("the log beside {} has {}", path.display(), size_of(*log_bytes)),
                "end what has been reading for long, such as an export; the log is cut after that",
            );
        }
    }

    /// Three digits or so are enough to know.
    fn size_of(bytes: u64) -> String {
        let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= 10 * unit).unwrap_or(1);
        size_text(bytes / unit * unit)
    }
}

#[cfg(not(feature = "sqlite"))]
mod sqlite {
    use std::path::Path;

    use super::super::Findings;
    use super::AREA;

    pub(super) fn look(_: &Path, findings: &mut Findings) -> bool {
        findings.problem(
            AREA,
            "this program was built without SQLite",
            "build it again with --features sqlite",
        );
        false
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use anyhow::{Error, Result};
    use chrono::TimeDelta;
    use erp_plugin::postgres::PostgresOptions;
    use erp_plugin::postgres::setup::{self, SetupError};
    use erp_plugin::{Clock as _, SystemClock};

    use super::super::Findings;
    use super::AREA;
    use crate::exit;

    /// How far apart two clocks may be before anybody should know.
    const APART: TimeDelta = TimeDelta::seconds(2);

    pub(super) async fn look(url: &str, migration_url: Option<&str>, findings: &mut Findings) -> bool {
        let found = match options(url, migration_url) {
            Ok(options) => setup::check(&options).await.map(|found| (options, found)).map_err(Error::new),
            Err(error) => Err(error),
        };
        match found {
            Ok((options, found)) => {
                for finding in found {
                    match finding.fix {
                        None => findings.ok(AREA, finding.what),
                        Some(fix) => findings.problem(AREA, finding.what, fix),
                    }
                }
                look_at_clock(&options, findings).await;
                true
            }
            Err(error) => {
                findings.problem(
                    AREA,
                    exit::line(&error),
                    "start the server, or correct the URL: erp-plugin config show says which it is",
                );
                false
            }
        }
    }

    fn options(url: &str, migration_url: Option<&str>) -> Result<PostgresOptions> {
        let options = PostgresOptions::from_url(url)?;
        Ok(match migration_url {
            Some(url) => options.migration_url(url)?,
            None => options,
        })
    }

    async fn look_at_clock(options: &PostgresOptions, findings: &mut Findings) {
        const AREA: &str = "clock";
        let before = SystemClock.now();
        let theirs: Result<_, SetupError> = setup::clock(options).await;
        let after = SystemClock.now();
        match theirs {
            Ok(theirs) if theirs < before - APART || theirs > after + APART => {
                let apart = (theirs - after).abs().num_seconds();
                findings.warning(
                    AREA,
                    format!("the database's clock and this one are {apart} s apart"),
                    "have both machines keep time (NTP): delays of retries and what is kept for how long go by the clock",
                );
            }
            Ok(_) => findings.ok(AREA, "the database's clock and this one agree within 2 s"),
            Err(error) => findings.problem(AREA, exit::line(&Error::new(error)), "erp-plugin db check"),
        }
    }
}

#[cfg(not(feature = "postgres"))]
mod postgres {
    use super::super::Findings;
    use super::AREA;

    pub(super) async fn look(_: &str, _: Option<&str>, findings: &mut Findings) -> bool {
        findings.problem(
            AREA,
            "this program was built without Postgres",
            "build it again with --features postgres",
        );
        false
    }
}
