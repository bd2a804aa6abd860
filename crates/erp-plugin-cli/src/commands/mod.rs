//! The commands, one file each, and how they are told apart.

mod compile_worker;
mod demo;
mod demo_data;
mod inspect;
mod limits;
mod run;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::exit::{self, Exit};
use crate::{host, output};

/// Runs untrusted business plugins, compiled to WebAssembly components, inside tenants and under limits.
///
/// A plugin sees nothing but the host API: records, events, configuration, log and identity, of one tenant. Each call
/// is one transaction: what it wrote and published is kept together, or not at all.
#[derive(Parser)]
#[command(
    name = "erp-plugin",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `erp-plugin demo`, then `erp-plugin run --help`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Inspect(inspect::Arguments),
    Demo(demo::Arguments),
    DemoData(demo_data::Arguments),
    Limits(limits::Arguments),
    #[command(name = host::COMPILE_WORKER, hide = true)]
    CompileWorker(compile_worker::Arguments),
}

pub(crate) fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // Beside its own protocol a worker needs neither a runtime nor words.
    if let Command::CompileWorker(arguments) = &command {
        return compile_worker::run(arguments);
    }
    let json = match &command {
        Command::Run(arguments) => arguments.json,
        Command::Inspect(arguments) => arguments.json,
        Command::Demo(arguments) => arguments.json,
        Command::Limits(arguments) => arguments.json,
        Command::DemoData(_) | Command::CompileWorker(_) => false,
    };
    match run(command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::error(&error, json);
            exit::classify(&error).0.into()
        }
    }
}

fn run(command: Command) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no asynchronous runtime can be had")?;
    runtime.block_on(async {
        match command {
            Command::Run(arguments) => run::run(&arguments).await,
            Command::Inspect(arguments) => inspect::run(&arguments).await,
            Command::Demo(arguments) => demo::run(&arguments).await,
            Command::DemoData(arguments) => demo_data::run(&arguments),
            Command::Limits(arguments) => limits::run(&arguments),
            Command::CompileWorker(_) => Ok(Exit::Done),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
