//! Running other programs, and saying what runs and how long it took.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::postgres::url;

/// Runs a part of a longer command under a name. A failure says which part it was.
pub(crate) fn named<T>(name: &str, part: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("== {name}");
    let start = Instant::now();
    let result = part().with_context(|| format!("{name} failed"))?;
    eprintln!("== {name}: ok in {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

/// A `cargo` command in a folder.
pub(crate) fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).args(arguments);
    command
}

/// Runs a command to its end; its output goes where ours goes. A failure names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", show(command)))?;
    if !status.success() {
        bail!("{} failed ({status}); its messages are above", show(command));
    }
    Ok(())
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", show(command)))?;
    if !output.status.success() {
        bail!("{} failed ({}); its messages are above", show(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", show(command)))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| url::without_password(&word.to_string_lossy()).into_owned());
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}
