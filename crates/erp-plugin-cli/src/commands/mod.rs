//! The commands, one file each, and how they are told apart.

mod audit;
mod backup;
mod compile_worker;
mod config;
mod copy;
mod db;
mod demo;
mod demo_data;
mod doctor;
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

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::settings::Settings;
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
    after_help = "\
What flags say can stand in erp-plugin.toml or the environment: `erp-plugin config show`.
Begin with `erp-plugin demo`, then `erp-plugin run --help`."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The settings file: erp-plugin.toml, if it is here, unless ERP_PLUGIN_SETTINGS or this names another one
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
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
    Audit(audit::Arguments),
    Db(db::Arguments),
    Schema(schema::Arguments),
    Config(config::Arguments),
    Doctor(doctor::Arguments),
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Demo(demo::Arguments),
    DemoData(demo_data::Arguments),
    Limits(limits::Arguments),
    #[command(name = crate::host::COMPILE_WORKER, hide = true)]
    CompileWorker(compile_worker::Arguments),
}

pub(crate) fn main() -> ExitCode {
    let matches = Arguments::command().get_matches();
    let command = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments.command,
        Err(error) => error.format(&mut Arguments::command()).exit(),
    };
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
        Command::Audit(arguments) => arguments.json(),
        Command::Db(arguments) => arguments.json(),
        Command::Schema(arguments) => arguments.json(),
        Command::Config(arguments) => arguments.json(),
        Command::Doctor(arguments) => arguments.json,
        Command::Demo(arguments) => arguments.json,
        Command::Limits(arguments) => arguments.json,
        Command::Backup(_) | Command::Restore(_) | Command::DemoData(_) | Command::CompileWorker(_) => false,
    };
    run(&command, of_command(&matches)).unwrap_or_else(|error| {
        output::error(&error, json);
        exit::classify(&error).0.into()
    })
}

/// What was matched of the command itself, global flags included.
fn of_command(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => of_command(inner),
        None => matches,
    }
}

fn run(command: &Command, matches: &ArgMatches) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no asynchronous runtime can be had")?;
    let settings = || Settings::read(matches);
    let exit = match command {
        Command::Run(arguments) => runtime.block_on(run::run(arguments, &settings()?)),
        Command::Inspect(arguments) => runtime.block_on(inspect::run(arguments, &settings()?)),
        Command::Backup(arguments) => backup::backup(arguments, &settings()?),
        Command::Restore(arguments) => backup::restore(arguments, &settings()?),
        Command::Copy(arguments) => runtime.block_on(copy::run(arguments, &settings()?)),
        Command::Records(arguments) => runtime.block_on(records::run(arguments, &settings()?)),
        Command::Roles(arguments) => runtime.block_on(roles::run(arguments, &settings()?)),
        Command::Plugins(arguments) => runtime.block_on(plugins::run(arguments, &settings()?)),
        Command::Events(arguments) => runtime.block_on(events::run(arguments, &settings()?)),
        Command::Jobs(arguments) => runtime.block_on(jobs::run(arguments, &settings()?)),
        Command::Host(arguments) => runtime.block_on(host::run(arguments, &settings()?)),
        Command::Tenants(arguments) => runtime.block_on(tenants::run(arguments, &settings()?)),
        Command::Audit(arguments) => runtime.block_on(audit::run(arguments, &settings()?)),
        Command::Db(arguments) => runtime.block_on(db::run(arguments, &settings()?)),
        Command::Schema(arguments) => runtime.block_on(schema::run(arguments, &settings()?)),
        Command::Config(arguments) => config::run(arguments, matches),
        Command::Doctor(arguments) => runtime.block_on(doctor::run(arguments, matches)),
        Command::Demo(arguments) => runtime.block_on(demo::run(arguments, &settings()?)),
        Command::DemoData(arguments) => demo_data::run(arguments),
        Command::Limits(arguments) => limits::run(arguments),
        // Its exit codes are its own protocol.
        Command::CompileWorker(arguments) => return Ok(compile_worker::run(arguments)),
    };
    exit.map(ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    fn takes(command: &clap::Command, flag: &str) -> bool {
        command.get_arguments().any(|own| own.get_long().is_some_and(|long| flag == format!("--{long}")))
            || command.get_subcommands().any(|own| own.get_name() != "config" && takes(own, flag))
    }

    #[test]
    fn every_flag_of_a_setting_is_taken_by_a_command() {
        for flag in table().iter().filter_map(crate::settings::Setting::flag) {
            assert!(takes(&Arguments::command(), &flag), "{flag}");
        }
    }
}
