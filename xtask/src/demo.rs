//! `cargo xtask demo`: builds the plugins and the command line, then hands over to `erp-plugin demo`.

use std::process::Command;

use anyhow::Result;

use crate::{build_plugins, preflight, repository, step};

/// What `erp-plugin demo` is to be told.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Passed on to `erp-plugin demo`, such as --data DIR, --db FILE, --json, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    passed_on: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    preflight::host()?;
    build_plugins::build(&build_plugins::Arguments::default())?;
    let root = repository::root();
    step::run(&mut step::cargo(&root, &["build", "-p", "erp-plugin-cli"]))?;
    // In the folder of whoever called, so that their relative paths mean what they meant.
    let mut demo = Command::new("cargo");
    demo.args(["run", "--quiet", "-p", "erp-plugin-cli", "--manifest-path"]).arg(root.join("Cargo.toml"));
    demo.args(["--", "demo", "--plugins"]).arg(repository::target("plugins")).args(&arguments.passed_on);
    step::run(&mut demo)
}
