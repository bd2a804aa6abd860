//! A Postgres for the tests and for the demo: the one that `ERP_PLUGIN_TEST_POSTGRES` names, else one of our own, which
//! is gone afterwards.
//!
//! A server outlives whoever starts it and is killed. So ours is not started by the command that wants it but by a
//! [`keeper`]: this same program, in a process group of its own, which waits for the end of its standard input. That
//! is a pipe from us; it closes when we end, however that happens, and the keeper stops the server and removes its
//! folder.

#[cfg(unix)]
mod account;
#[cfg(unix)]
mod cluster;
mod database;
#[cfg(unix)]
mod folder;
mod installation;
#[cfg(unix)]
pub(crate) mod keeper;
pub(crate) mod url;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use installation::Absent;
use installation::Installation;

/// The environment variable that names a server to use: the URL of a role that may create databases and roles. Tests
/// that need Postgres read it, whoever set it.
pub(crate) const VARIABLE: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// Whether what is committed is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As in production: whatever shows figures.
    On,
    /// For tests, whose data nobody misses.
    Off,
}

/// Where a server can be had from.
pub(crate) enum Source {
    /// It runs already.
    Running { url: String },
    /// It can be started.
    Installed(Installation),
}

/// Looks for a server to use, and starts nothing.
pub(crate) fn find() -> Result<Source, Absent> {
    match env::var(VARIABLE) {
        Ok(url) if !url.is_empty() => Ok(Source::Running { url }),
        _ => Ok(Source::Installed(installation::find()?)),
    }
}

/// A server that answers. One of our own is gone once this is.
pub(crate) struct Server {
    url: String,
    /// Where its client programs lie; without it they are looked for on the PATH.
    programs: Option<PathBuf>,
    #[cfg(unix)]
    keeper: Option<keeper::Keeper>,
}

impl Source {
    /// Starts the server unless it runs.
    pub(crate) fn start(self, durability: Durability) -> Result<Server> {
        match self {
            Self::Running { url } if !url::is_url(&url) => {
                bail!("{VARIABLE} is no URL; write it as postgres://ROLE:PASSWORD@HOST:PORT/DATABASE")
            }
            Self::Running { url } => {
                let programs = installation::find().ok().map(|installation| installation.programs);
                Ok(Server {
                    url,
                    programs,
                    #[cfg(unix)]
                    keeper: None,
                })
            }
            Self::Installed(installation) => start(installation, durability),
        }
    }
}

#[cfg(unix)]
fn start(installation: Installation, durability: Durability) -> Result<Server> {
    let (keeper, url) = keeper::start(&installation, durability)?;
    Ok(Server { url, programs: Some(installation.programs), keeper: Some(keeper) })
}

#[cfg(not(unix))]
fn start(_installation: Installation, _durability: Durability) -> Result<Server> {
    bail!("a Postgres of our own listens on a Unix socket, and there are none here; set {VARIABLE}")
}

impl Server {
    /// The URL of a role that may create databases and roles.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it goes with us.
    fn is_ours(&self) -> bool {
        #[cfg(unix)]
        return self.keeper.is_some();
        #[cfg(not(unix))]
        return false;
    }
}
