//! A Postgres for as long as a command of ours runs, and not longer, however it ends.

#![cfg(unix)]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// The environment variable that names a server.
const VARIABLE: &str = "ERP_PLUGIN_TEST_POSTGRES";

/// A shell command that says where its Postgres is, and runs until it is let go.
const WAIT: &str = "echo \"$ERP_PLUGIN_TEST_POSTGRES\"; read line";

/// `cargo xtask with-postgres`, with a server of its own.
fn with_postgres(command: &[&str]) -> Command {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.arg("with-postgres").args(command).env_remove(VARIABLE);
    xtask
}

/// A command that runs with a server.
struct Running {
    xtask: Child,
    /// The command ends when this is closed.
    input: ChildStdin,
    /// The folder of the server.
    folder: PathBuf,
    server: Pid,
}

impl Running {
    /// None, said loudly, where there is no Postgres; in CI there must be one.
    fn start() -> Option<Self> {
        let mut command = with_postgres(&["sh", "-c", WAIT]);
        let mut xtask =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = xtask.stdin.take().unwrap();
        let mut url = String::new();
        BufReader::new(xtask.stdout.take().unwrap()).read_line(&mut url).unwrap();
        if url.is_empty() {
            let mut error = String::new();
            xtask.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            assert!(!xtask.wait().unwrap().success());
            let is_absent = error.contains("is installed") || error.contains("is too old");
            assert!(is_absent && std::env::var_os("CI").is_none(), "{error}");
            eprintln!("NOT RUN: {error}");
            return None;
        }
        let host = url.trim().strip_prefix("postgres://postgres@").unwrap().strip_suffix(":5432/postgres");
        let folder = PathBuf::from(host.unwrap().replace("%2F", "/"));
        let state = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        let server = Pid::from_raw(state.lines().next().unwrap().parse().unwrap()).unwrap();
        Some(Self { xtask, input, folder, server })
    }

    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(self.xtask.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert!(!self.xtask.wait().unwrap().success());
    }

    /// Fails unless server and folder are gone soon.
    fn assert_gone(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.folder.exists() || test_kill_process(self.server).is_ok() {
            assert!(Instant::now() < end, "{} is still there", self.folder.display());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Asks for the number one in Postgres' own protocol, so that the test needs no client.
fn select_one(folder: &Path) -> Vec<u8> {
    let mut server = UnixStream::connect(folder.join(".s.PGSQL.5432")).unwrap();
    let mut greeting = vec![0, 3, 0, 0];
    greeting.extend(b"user\0postgres\0\0");
    server.write_all(&u32::try_from(greeting.len() + 4).unwrap().to_be_bytes()).unwrap();
    server.write_all(&greeting).unwrap();
    answers_until_ready(&mut server);
    let query = b"SELECT 1\0";
    server.write_all(b"Q").unwrap();
    server.write_all(&u32::try_from(query.len() + 4).unwrap().to_be_bytes()).unwrap();
    server.write_all(query).unwrap();
    let answers = answers_until_ready(&mut server);
    let row = answers.into_iter().find(|(kind, _)| *kind == b'D').unwrap().1;
    // The number of columns, the length of the first, its text.
    row.get(6..).unwrap().to_vec()
}

/// The server's messages, each with its kind, up to the one that says that it waits for the next query.
fn answers_until_ready(server: &mut UnixStream) -> Vec<(u8, Vec<u8>)> {
    let mut answers = Vec::new();
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head).unwrap();
        let [kind, length @ ..] = head;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
        server.read_exact(&mut body).unwrap();
        assert_ne!(kind, b'E', "{}", String::from_utf8_lossy(&body));
        if kind == b'Z' {
            return answers;
        }
        answers.push((kind, body));
    }
}

#[test]
fn a_server_answers_and_is_gone_with_the_command() {
    let Some(mut running) = Running::start() else { return };
    assert_eq!(select_one(&running.folder), b"1");
    running.input.write_all(b"\n").unwrap();
    assert!(running.xtask.wait().unwrap().success());
    // At once: the end of the command is the end of all that it started.
    assert!(!running.folder.exists());
    assert!(test_kill_process(running.server).is_err());
}

#[test]
fn a_command_that_fails_takes_its_server_along() {
    let Some(mut running) = Running::start() else { return };
    drop(running.input);
    assert!(!running.xtask.wait().unwrap().success());
    assert!(!running.folder.exists());
}

#[test]
fn nobody_else_enters_the_folder() {
    use std::os::unix::fs::PermissionsExt;

    let Some(running) = Running::start() else { return };
    let mode = running.folder.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_server_is_gone_when_its_command_was_killed() {
    for signal in [Signal::TERM, Signal::KILL] {
        let Some(mut running) = Running::start() else { return };
        running.signal(signal);
        running.assert_gone();
    }
}

#[test]
fn a_server_that_does_not_start_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = |name: &str, script: &str| {
        use std::os::unix::fs::PermissionsExt;

        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    program("postgres", "test \"$1\" = --version && echo 'postgres (PostgreSQL) 99.1' && exit; pwd; exit 7");
    program("initdb", "exit 0");
    let path = std::env::join_paths(
        [folder.path().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = with_postgres(&["true"]).env("PATH", path.unwrap()).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("does not start") && error.contains("exit status: 7"), "{error}");
    assert!(error.contains(VARIABLE), "{error}");
    let written = error.lines().find(|line| line.contains("erp-pg-")).unwrap();
    assert!(!Path::new(written.trim()).exists());
}

#[test]
fn a_server_that_is_named_is_used_and_none_is_started() {
    let url = "postgres://somebody@example.invalid/d";
    let output = with_postgres(&["sh", "-c", WAIT]).env(VARIABLE, url).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), url);
    let refused = with_postgres(&["true"]).env(VARIABLE, "host=example.invalid").output().unwrap();
    assert!(String::from_utf8(refused.stderr).unwrap().contains("ERP_PLUGIN_TEST_POSTGRES is no URL"));
}
