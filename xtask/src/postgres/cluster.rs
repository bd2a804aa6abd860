//! A server with a data folder of its own, from `initdb` to the end. It must be stopped by whoever has it, which is the
//! keeper.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::account::Account;
use super::{Durability, VARIABLE, folder, url};

/// It is part of the socket's name and of nothing else, so that every server can have the same.
const PORT: u16 = 5432;

/// A machine that does several builds at once starts a server slowly.
const START: Duration = Duration::from_secs(60);

/// The server ends its own processes after five seconds.
const STOP: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(10);

/// How much of a log tells why.
const LOG_LINES: usize = 12;

const SETTINGS: [&str; 6] = [
    // Its folder is the only door.
    "listen_addresses=",
    "max_connections=200",
    // Serializable transactions of many tests at once.
    "max_pred_locks_per_transaction=256",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
];

const WITHOUT_DURABILITY: [&str; 3] = ["fsync=off", "full_page_writes=off", "max_wal_size=256MB"];

/// A running server. Dropping it stops the server and removes its folder.
pub(super) struct Cluster {
    programs: PathBuf,
    account: Option<Account>,
    server: Option<Child>,
    folder: TempDir,
}

impl Cluster {
    /// Makes a data folder and starts a server on it.
    pub(super) fn start(programs: &Path, durability: Durability) -> Result<Self> {
        let account = Account::other()?;
        let folder = folder::make(account.as_ref(), durability)?;
        let mut cluster = Self { programs: programs.to_owned(), account, server: None, folder };
        let started = cluster.initialise().and_then(|()| cluster.serve(durability));
        started.with_context(|| {
            format!(
                "the Postgres in {} does not start; repair it, or set {VARIABLE} to use another",
                programs.display()
            )
        })?;
        Ok(cluster)
    }

    /// The URL of its superuser.
    pub(super) fn url(&self) -> String {
        url::of_socket(self.folder.path(), PORT)
    }

    fn initialise(&self) -> Result<()> {
        let mut initdb = self.program("initdb")?;
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        initdb.arg(format!("--username={}", url::SUPERUSER)).arg("--pgdata").arg(self.data());
        let status = initdb.status().context("cannot run initdb")?;
        if !status.success() {
            bail!("initdb failed ({status}): {}", self.log());
        }
        Ok(())
    }

    fn serve(&mut self, durability: Durability) -> Result<()> {
        let mut server = self.program("postgres")?;
        server.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path()).args(["-p", &PORT.to_string()]);
        let lax: &[&str] = match durability {
            Durability::On => &[],
            Durability::Off => &WITHOUT_DURABILITY,
        };
        for setting in SETTINGS.iter().chain(lax) {
            server.args(["-c", setting]);
        }
        let server = self.server.insert(server.spawn().context("cannot run postgres")?);
        let end = Instant::now() + START;
        while !is_ready(&self.folder.path().join("data")) {
            if let Some(status) = server.try_wait()? {
                bail!("it ended ({status}): {}", self.log());
            }
            if Instant::now() > end {
                bail!("it was not ready after {} s: {}", START.as_secs(), self.log());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// One of Postgres' programs, which writes to the log and knows nothing of our surroundings.
    fn program(&self, name: &str) -> Result<Command> {
        let log =
            File::options().create(true).append(true).open(self.log_path()).context("cannot write a log")?;
        let mut program = Command::new(self.programs.join(name));
        program.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (variable, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            program.env_remove(variable);
        }
        // Messages that can be looked up; and macOS refuses a server without it.
        program.env("LC_ALL", "C");
        if let Some(account) = &self.account {
            account.run(&mut program);
        }
        Ok(program)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The log's last lines.
    fn log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).map(|line| format!("\n  {line}")).collect()
    }
}

/// Whether a server takes connections. It says so in the eighth line of this file, which `pg_ctl` goes by too.
fn is_ready(data: &Path) -> bool {
    let state = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // An immediate stop: nobody needs the data.
        let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::QUIT).is_ok());
        let end = Instant::now() + STOP;
        while asked && Instant::now() < end && matches!(server.try_wait(), Ok(None)) {
            thread::sleep(PAUSE);
        }
        // Nothing happens to one that has ended.
        let _ = server.kill();
        let _ = server.wait();
    }
}
