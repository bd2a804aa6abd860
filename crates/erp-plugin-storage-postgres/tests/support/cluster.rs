//! A server of a test's own, for what cannot be tried on one that others use: other settings, a full disk. Needs a
//! Postgres on this machine.
//!
//! It is run by a shell, which waits for the end of its input: that is a pipe from us, and closes however we end. Then
//! the shell stops the server and removes the folder.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use tokio_postgres::NoTls;

const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" >"$2/log" 2>&1 &
cat >"$2/input"
kill -QUIT $!
wait
rm -rf "$2"
"#;

/// A running server.
pub(crate) struct Cluster {
    /// Its folder, in which its user may write.
    pub(crate) folder: PathBuf,
    /// The URL of its superuser, through its socket.
    pub(crate) url: String,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    account: Option<(u32, u32)>,
    keeper: Child,
}

/// Where the programs of a Postgres are.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let places = env::split_paths(&path).chain(packaged.map(|version| version.path().join("bin")));
    let found = places.filter_map(|place| place.join("postgres").canonicalize().ok());
    found
        .filter_map(|postgres| postgres.parent().map(Path::to_owned))
        .find(|place| place.join("initdb").is_file())
}

/// Who runs the server where we are root, as which it refuses to run.
fn account() -> Option<(u32, u32)> {
    let id = |which: &[&str]| {
        let answer = Command::new("id").args(which).output().ok()?;
        String::from_utf8(answer.stdout).ok()?.trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

/// Says that a test did not run, and fails where it must.
pub(crate) fn not_run(reason: &str) {
    assert!(env::var_os("CI").is_none(), "{reason}, and this is CI");
    eprintln!("NOT RUN: {reason}");
}

impl Cluster {
    /// Starts a server with these settings; `prepare` puts what they name into its folder. Without a Postgres on this
    /// machine it says so.
    pub(crate) async fn start(settings: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        let Some(programs) = programs() else {
            not_run("no Postgres is installed on this machine");
            return None;
        };
        let account = account();
        let folder = tempfile::Builder::new().prefix("erp-pg-").tempdir_in("/tmp").unwrap().keep();
        let run = |program: &mut Command| {
            program.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").stdout(Stdio::null());
            if let Some((uid, gid)) = account {
                program.uid(uid).gid(gid);
            }
        };
        own(&folder, account, 0o700);
        let mut initdb = Command::new(programs.join("initdb"));
        run(initdb.args([
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--username=postgres",
        ]));
        assert!(initdb.arg("--pgdata").arg(folder.join("data")).status().unwrap().success(), "initdb failed");
        prepare(&folder);
        for file in fs::read_dir(&folder).unwrap().flatten() {
            own(&file.path(), account, if file.path().is_dir() { 0o700 } else { 0o600 });
        }
        // Nobody else is given it in the moment until the server takes it.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut configuration =
            fs::File::options().append(true).open(folder.join("data/postgresql.conf")).unwrap();
        writeln!(configuration, "port = {port}\nfsync = off\nshared_buffers = 16MB").unwrap();
        for setting in settings {
            writeln!(configuration, "{}", setting.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        }
        let mut keeper = Command::new("sh");
        run(keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(&programs)
            .arg(&folder)
            .stdin(Stdio::piped())
            .process_group(0));
        let keeper = keeper.spawn().unwrap();
        let host = folder.to_str().unwrap().replace('/', "%2F");
        let url = format!("postgres://postgres@{host}:{port}/postgres");
        let cluster = Self { folder, url, port, account, keeper };
        cluster.wait().await;
        Some(cluster)
    }

    async fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while tokio_postgres::connect(&self.url, NoTls).await.is_err() {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "it does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives a file or folder to the server's user.
    pub(crate) fn give(&self, path: &Path) {
        own(path, self.account, 0o700);
    }
}

fn own(path: &Path, account: Option<(u32, u32)>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if let Some((uid, gid)) = account {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}
