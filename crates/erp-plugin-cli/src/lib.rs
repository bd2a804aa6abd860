//! The command line: runs a plugin once, looks into one, works on the records of a database, and demonstrates a whole
//! host at work.
//!
//! A composition root: here the facade gets its backend (Cargo features), its compiler (a child process, since a
//! component is code that nobody trusts), its code cache and its limits. What a command means stands in
//! `commands/`, one file each; what they share, beside it; what an operator has set, in `settings/`. The [`demo`] is public, so that a test can run it on a
//! storage that was tampered with and see a figure change.
//!
//! Rules of every command: results go to standard output, everything else to standard error; with `--json` standard
//! output holds one JSON object; an error is one line; text that a guest chose is escaped before it is shown.
//!
//! To add a command: 1. a file in `commands/` with its arguments, help and `run`; 2. a line in `commands/mod.rs`;
//! 3. a test of the program in `tests/`.

mod commands;
mod database;
pub mod demo;
mod exit;
mod host;
mod identity;
mod input;
mod output;
mod progress;
mod settings;
mod values;

use std::process::ExitCode;

/// The program: reads its arguments, does what they say, and returns how it ended.
#[must_use]
pub fn main() -> ExitCode {
    commands::main()
}
