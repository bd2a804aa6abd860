//! The process that has the server, and both ends of the pipes to it.
//!
//! A group of its own keeps it from the signals that a terminal sends to us. It is told nothing but that we are gone:
//! its standard input ends. Its answer is one line of JSON.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::installation::Installation;
use super::{Durability, VARIABLE};

/// The name of the command that [`run`] serves.
const COMMAND: &str = "postgres-keeper";

/// What the keeper is told when it is started.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder of the server's programs
    programs: PathBuf,
    /// Write what is committed to the disk
    #[arg(long)]
    durable: bool,
}

/// How starting a server ended.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Url(String),
    Failure(String),
}

/// A keeper that has a server. Dropping it ends both, and waits for that.
pub(super) struct Keeper(Child);

/// Starts a keeper and waits for its server, whose URL it returns.
pub(super) fn start(installation: &Installation, durability: Durability) -> Result<(Keeper, String)> {
    let own = env::current_exe().context("where this program lies")?;
    let mut command = Command::new(own);
    command.arg(COMMAND).arg(&installation.programs);
    if durability == Durability::On {
        command.arg("--durable");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut keeper = Keeper(command.spawn().context("cannot start a keeper for Postgres")?);
    let mut line = String::new();
    if let Some(answer) = keeper.0.stdout.take() {
        BufReader::new(answer).read_line(&mut line).context("the keeper of Postgres")?;
    }
    match serde_json::from_str(&line) {
        Ok(Answer::Url(url)) => Ok((keeper, url)),
        Ok(Answer::Failure(failure)) => bail!(failure),
        Err(_) => bail!("the keeper of Postgres ended before it had a server; set {VARIABLE} to do without"),
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself; should it not be there any more, there is nothing to wait for.
        let _ = self.0.wait();
    }
}

/// The keeper's own side.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let durability = if arguments.durable { Durability::On } else { Durability::Off };
    let cluster = Cluster::start(&arguments.programs, durability);
    let answer = match &cluster {
        Ok(cluster) => Answer::Url(cluster.url()),
        Err(failure) => Answer::Failure(format!("{failure:#}")),
    };
    // Whoever is gone before the answer hears nothing of it, and their end of the other pipe is closed too.
    let _ = writeln!(io::stdout(), "{}", serde_json::to_string(&answer)?);
    io::copy(&mut io::stdin().lock(), &mut io::sink()).context("standard input")?;
    Ok(())
}
