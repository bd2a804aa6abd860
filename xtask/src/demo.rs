//! `cargo xtask demo`: builds the plugins and the command line, then hands over to `erp-plugin demo`, with a database
//! on a Postgres if that is wanted.

mod choice;

use std::process::Command;

use anyhow::Result;

use crate::postgres::{self, Durability};
use crate::{build_plugins, preflight, repository, step};
use choice::{Backend, Choice};

/// What `erp-plugin demo` is to be told.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Where the data go; Postgres is a throw-away server unless ERP_PLUGIN_TEST_POSTGRES or --db names one [default: sqlite]
    // It may stand between what is passed on, so it is `choice` that looks for it; this is for the help.
    #[arg(long, value_enum, value_name = "BACKEND")]
    backend: Option<Backend>,
    /// Passed on to `erp-plugin demo`, such as --data DIR, --db FILE-OR-URL, --json, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    passed_on: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let choice = Choice::of(arguments.backend, &arguments.passed_on)?;
    let Choice { backend, passed_on, needs_database, is_question } = choice;
    // Before building for minutes.
    let source = needs_database.then(postgres::find).transpose()?;
    preflight::host()?;
    build_plugins::build(&build_plugins::Arguments::default())?;
    // The whole workspace's choice of dependencies, so that they are the ones that the tests have, and Wasmtime is
    // compiled once for both.
    let mut build = step::cargo(&repository::root(), &["build", "--workspace", "--bin", "erp-plugin"]);
    if backend == Backend::Postgres {
        build.args(["--features", "erp-plugin-cli/postgres"]);
    }
    step::run(&mut build)?;

    if is_question {
        println!(
            "cargo xtask demo has an option of its own, --backend sqlite|postgres, and passes on the rest:\n"
        );
    }
    // In the folder of whoever called, so that their relative paths mean what they meant.
    let mut demo = Command::new(repository::built("erp-plugin")?);
    demo.args(["demo", "--plugins"]).arg(repository::target("plugins")).args(&passed_on);
    let Some(source) = source else { return step::run(&mut demo) };
    let server = source.start(Durability::On)?;
    let database = server.new_database("erp_plugin_demo")?;
    step::run(demo.args(["--db", &database.url()]))
}
