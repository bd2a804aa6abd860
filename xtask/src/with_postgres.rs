//! `cargo xtask with-postgres COMMAND`: any command, with a Postgres for as long as it runs. That is how the tests of
//! one crate are run: `cargo xtask with-postgres cargo test -p erp-plugin-storage-postgres`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::postgres::{self, Durability};
use crate::step;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write what is committed to the disk, as in production
    #[arg(long)]
    durable: bool,
    /// The command and its arguments; it finds the server's URL in ERP_PLUGIN_TEST_POSTGRES
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (program, rest) = arguments.command.split_first().context("a command to run")?;
    let durability = if arguments.durable { Durability::On } else { Durability::Off };
    let server = postgres::find()?.start(durability)?;
    step::run(Command::new(program).args(rest).env(postgres::VARIABLE, server.url()))
}
