//! Cargo, run so that a plugin comes out small.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::Message;

use crate::{BuildError, TARGET, target_is_installed};

/// The stack of a plugin, in bytes. The linker's own default of 1 MiB would be most of a small plugin's memory. An
/// order of 25 lines takes 6 KiB of stack, JSON that is nested 32 deep (the most that a host passes on) 15 KiB, and
/// 120 deep, where `serde_json` itself gives up, 47 KiB. What overflows traps, since the stack lies at address 0.
pub const DEFAULT_STACK_SIZE: u32 = 64 * 1024;

/// How to build a plugin.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Where Cargo keeps what it builds; `None` leaves it to Cargo.
    pub target_dir: Option<PathBuf>,
    /// The plugin's stack, in bytes, a multiple of 16.
    pub stack_size: u32,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { target_dir: None, stack_size: DEFAULT_STACK_SIZE }
    }
}

/// Builds the plugin crate in `folder` with its workspace's release profile and returns the path of the core
/// module. Cargo's progress and messages go to standard error; nothing is built twice.
pub fn build(folder: &Path, options: &BuildOptions) -> Result<PathBuf, BuildError> {
    if !target_is_installed(folder)? {
        return Err(BuildError::TargetMissing);
    }
    // `cargo rustc` gives flags to this one crate. RUSTFLAGS would make every dependency be built again, and are
    // often set already.
    let mut command = Command::new("cargo");
    command
        .args(["rustc", "--lib", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        .stdout(Stdio::piped());
    if let Some(target_dir) = &options.target_dir {
        command.arg("--target-dir").arg(target_dir);
    }
    command.args(["--", "-C", &format!("link-arg=-zstack-size={}", options.stack_size)]);

    let program_error = |source| BuildError::Program { program: "cargo".to_owned(), source };
    let mut cargo = command.spawn().map_err(program_error)?;
    let mut module = None;
    if let Some(stdout) = cargo.stdout.take() {
        for message in Message::parse_stream(BufReader::new(stdout)) {
            let message =
                message.map_err(|source| BuildError::Messages { plugin: folder.to_owned(), source })?;
            // The crate itself comes last, after its dependencies.
            if let Message::CompilerArtifact(artifact) = message {
                let file = artifact.filenames.into_iter().find(|file| file.extension() == Some("wasm"));
                module = file.map(PathBuf::from).or(module);
            }
        }
    }
    if !cargo.wait().map_err(program_error)?.success() {
        return Err(BuildError::Cargo(folder.to_owned()));
    }
    module.ok_or_else(|| BuildError::NoLibrary(folder.to_owned()))
}
