//! The commands, one file each, and how they are told apart.

mod backup;
mod compile_worker;
mod copy;
mod db;
mod demo;
mod demo_data;
mod events;
mod host;
mod inspect;
mod jobs;
mod limits;
mod plugins;
mod records;
mod roles;
mod run;
mod schema;
mod target;
mod tenants;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::{exit, output};

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
    Copy(copy::Arguments),
    Records(records::Arguments),
    Roles(roles::Arguments),
    Plugins(plugins::Arguments),
    Events(events::Arguments),
    Jobs(jobs::Arguments),
    Host(host::Arguments),
    Tenants(tenants::Arguments),
    Db(db::Arguments),
    Schema(schema::Arguments),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Demo(demo::Arguments),
    DemoData(demo_data::Arguments),
    Limits(limits::Arguments),
    #[command(name = crate::host::COMPILE_WORKER, hide = true)]
    CompileWorker(compile_worker::Arguments),
}

pub(crate) fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let json = match &command {
        Command::Run(arguments) => arguments.json,
        Command::Inspect(arguments) => arguments.json,
        Command::Copy(arguments) => arguments.json,
        Command::Records(arguments) => arguments.json(),
        Command::Roles(arguments) => arguments.json(),
        Command::Plugins(arguments) => arguments.json(),
        Command::Events(arguments) => arguments.json(),
        Command::Jobs(arguments) => arguments.json(),
        Command::Host(arguments) => arguments.json(),
        Command::Tenants(arguments) => arguments.json(),
        Command::Db(arguments) => arguments.json(),
        Command::Schema(arguments) => arguments.json(),
        Command::Demo(arguments) => arguments.json,
        Command::Limits(arguments) => arguments.json,
        Command::Backup(_) | Command::Restore(_) | Command::DemoData(_) | Command::CompileWorker(_) => false,
    };
    run(&command).unwrap_or_else(|error| {
        output::error(&error, json);
        exit::classify(&error).0.into()
    })
}

fn run(command: &Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no asynchronous runtime can be had")?;
    let exit = match command {
        Command::Run(arguments) => runtime.block_on(run::run(arguments)),
        Command::Inspect(arguments) => runtime.block_on(inspect::run(arguments)),
        Command::Backup(arguments) => backup::backup(arguments),
        Command::Restore(arguments) => backup::restore(arguments),
        Command::Copy(arguments) => runtime.block_on(copy::run(arguments)),
        Command::Records(arguments) => runtime.block_on(records::run(arguments)),
        Command::Roles(arguments) => runtime.block_on(roles::run(arguments)),
        Command::Plugins(arguments) => runtime.block_on(plugins::run(arguments)),
        Command::Events(arguments) => runtime.block_on(events::run(arguments)),
        Command::Jobs(arguments) => runtime.block_on(jobs::run(arguments)),
        Command::Host(arguments) => runtime.block_on(host::run(arguments)),
        Command::Tenants(arguments) => runtime.block_on(tenants::run(arguments)),
        Command::Db(arguments) => runtime.block_on(db::run(arguments)),
        Command::Schema(arguments) => runtime.block_on(schema::run(arguments)),
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments)),
        Command::DemoData(arguments) => demo_data::run(arguments),
        Command::Limits(arguments) => limits::run(arguments),
        // Its exit codes are its own protocol.
        Command::CompileWorker(arguments) => return Ok(compile_worker::run(arguments)),
    };
    exit.map(ExitCode::from)
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
