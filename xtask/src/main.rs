//! The project's own commands, run as `cargo xtask <command>`: everything that is more than one Cargo call, and the
//! only script language here.
//!
//! One file per command. It stays light, so that the first command after a clone starts soon: it links neither the
//! host nor Wasmtime, and runs the `erp-plugin` command line where it needs them.

mod bench_report;
mod build_fixtures;
mod build_plugins;
mod ci;
mod demo;
mod features;
mod guests;
mod postgres;
mod preflight;
mod repository;
mod step;
mod test;
mod tidy;
mod with_postgres;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the example plugins into target/plugins
    BuildPlugins(build_plugins::Arguments),
    /// Build the guests that only tests use into target/fixtures
    BuildFixtures,
    /// Build everything and run a year of orders through the plugins
    Demo(demo::Arguments),
    /// Build the guests and run every test
    Test(test::Arguments),
    /// Check what the compiler does not: layers, contracts, style
    Tidy,
    /// Check that each storage backend can be left out of a build
    Features,
    /// Run a command with a Postgres that is gone afterwards
    WithPostgres(with_postgres::Arguments),
    /// Everything that must pass before a change is merged
    Ci,
    /// Run the benchmarks and write docs/benchmarks.md
    BenchReport,
    /// Has a server for another of these commands
    #[cfg(unix)]
    #[command(hide = true)]
    PostgresKeeper(postgres::keeper::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::BuildPlugins(arguments) => build_plugins::run(&arguments),
        Command::BuildFixtures => build_fixtures::run(),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Tidy => tidy::run(),
        Command::Features => features::run(),
        Command::WithPostgres(arguments) => with_postgres::run(&arguments),
        Command::Ci => ci::run(),
        Command::BenchReport => bench_report::run(),
        #[cfg(unix)]
        Command::PostgresKeeper(arguments) => postgres::keeper::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
