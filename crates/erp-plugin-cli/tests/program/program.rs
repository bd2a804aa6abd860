//! Starts the program, and has components for it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// The one JSON object that standard output holds.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        let value: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    /// The error, which must be one line.
    pub(crate) fn error(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// Runs the program to its end. Compiled code is kept from one test to the next, and away from the user's own.
pub(crate) fn erp_plugin(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Done {
    ended(program().args(arguments))
}

/// As [`erp_plugin`], in this folder and with these variables.
pub(crate) fn erp_plugin_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    ended(program().args(arguments).current_dir(folder).envs(variables.iter().copied()))
}

fn ended(program: &mut Command) -> Done {
    let output = program.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the program and kills it after a while; whether it was still running.
pub(crate) fn killed_after(wait: Duration, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    let mut child = program().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + wait;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// A program that goes on until it is told to stop.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let mut child =
            program().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        Self { child, lines }
    }

    /// Waits for a line on standard error.
    pub(crate) fn said(&self, text: &str) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60)).unwrap();
            if line.contains(text) {
                return;
            }
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, and waits for the end.
    pub(crate) fn terminated(self) -> Done {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let output = self.child.wait_with_output().unwrap();
        let stderr = self.lines.iter().map(|line| line + "\n").collect();
        Done { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr }
    }
}

fn program() -> Command {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_erp-plugin"));
    program
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("COLUMNS", "100")
        .env("ERP_PLUGIN_OPERATOR", "tester")
        .env_remove("ERP_PLUGIN_SETTINGS")
        .env_remove("CLICOLOR_FORCE");
    program
}

/// The folder of the example plugins, which are built if they are not there.
pub(crate) fn plugins() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = root.join("target/plugins");
        let built = ["inventory", "inventory-0.2", "purchasing", "test-sample"]
            .map(|name| folder.join(format!("{name}.component.wasm")));
        if !built.iter().all(|file| file.is_file()) {
            let status =
                Command::new(env!("CARGO")).args(["xtask", "build-plugins"]).current_dir(&root).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "the plugins cannot be built; run: cargo xtask build-plugins"
            );
        }
        folder
    });
    &FOLDER
}

/// The path of an example plugin.
pub(crate) fn plugin(name: &str) -> String {
    plugins().join(format!("{name}.component.wasm")).display().to_string()
}

/// A component that does nothing and has no manifest.
pub(crate) fn bare() -> Vec<u8> {
    wat::parse_str(include_str!("../../../erp-plugin/example/hello.wat")).unwrap()
}

/// A hostile guest of the project's own tests, by the name of its file.
pub(crate) fn hostile(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hostile");
    wat::parse_file(folder.join(format!("{name}.wat"))).unwrap()
}

/// A component with this text where its manifest should be.
pub(crate) fn with_manifest(component: &[u8], json: &str) -> Vec<u8> {
    const NAME: &str = "erp-plugin:manifest";
    let mut data = number(NAME.len());
    data.extend_from_slice(NAME.as_bytes());
    data.extend_from_slice(json.as_bytes());
    let mut section = vec![0];
    section.extend(number(data.len()));
    section.extend(data);
    [component, &section].concat()
}

/// A number as WebAssembly writes it: seven bits a byte, the lowest first.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A temporary folder with one file in it, and the file's path.
pub(crate) fn file(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path.display().to_string())
}
