//! `cargo xtask test`: every test there is.
//!
//! `--sabotage` runs only those that break the promises of a storage, one by one, and see that the suite notices. They
//! are among the others, too.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::postgres::{self, Durability, Server};
use crate::{build_fixtures, build_plugins, preflight, repository, step};

/// How to test.
#[derive(Default, clap::Args)]
pub(crate) struct Arguments {
    /// Only break each promise of a storage, and see that the suite of the backends notices
    #[arg(long)]
    sabotage: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    preflight::host()?;
    let root = repository::root();
    let mut skipped = Vec::new();
    if arguments.sabotage {
        // Of the whole workspace, for the same features of dependencies as in all other commands.
        let mut tests = step::cargo(&root, &["test", "--workspace", "--test", "sabotage"]);
        let server = server_for(&mut tests, &mut skipped)?;
        step::named("sabotage", || step::run(&mut tests))?;
        drop(server);
        return report(&skipped, env::var_os("CI").is_some());
    }
    step::named("build plugins", || build_plugins::run(&build_plugins::Arguments::default()))?;
    step::named("build fixtures", build_fixtures::run)?;

    let mut tests = step::cargo(&root, &["test", "--workspace"]);
    match repository::northwind() {
        Some(folder) => {
            tests.env(repository::NORTHWIND, folder);
        }
        None => {
            tests.env_remove(repository::NORTHWIND);
            skipped.push(format!(
                "the demo on the Northwind data: they are neither in ../shared/data/northwind nor where {} says",
                repository::NORTHWIND
            ));
        }
    }
    let server = server_for(&mut tests, &mut skipped)?;
    step::named("tests of the host", || step::run(&mut tests))?;
    if server.is_some() {
        step::named("tests of the whole on Postgres", || {
            // With the features of the command before it, or much would be compiled anew.
            step::run(tests.args(["--test", "it"]).env("ERP_PLUGIN_TEST_BACKEND", "postgres"))
        })?;
    }
    drop(server);
    step::named("tests of the plugins", || {
        let target = repository::target("guests");
        step::run(
            step::cargo(&repository::plugins(), &["test", "--workspace"]).env("CARGO_TARGET_DIR", target),
        )
    })?;
    report(&skipped, env::var_os("CI").is_some())
}

/// A Postgres that the tests find, and that lives until they have ended; or word that there is none.
fn server_for(tests: &mut Command, skipped: &mut Vec<String>) -> Result<Option<Server>> {
    match postgres::find() {
        Ok(source) => {
            let server = step::named("a Postgres", || source.start(Durability::Off))?;
            tests.env(postgres::VARIABLE, server.url());
            Ok(Some(server))
        }
        Err(absent) => {
            tests.env_remove(postgres::VARIABLE);
            skipped.push(format!("the tests on Postgres: {absent}"));
            Ok(None)
        }
    }
}

/// Says in the last lines what did not run. In CI that is a failure: nobody reads the lines there.
fn report(skipped: &[String], in_ci: bool) -> Result<()> {
    for what in skipped {
        println!("NOT RUN: {what}");
    }
    match (skipped.len(), in_ci) {
        (0, _) => println!("every test ran"),
        (count, true) => bail!("{count} kinds of test did not run, and CI is set"),
        (count, false) => println!("{count} kinds of test did not run; all others passed"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn what_did_not_run_fails_in_ci_only() {
        let skipped = ["the database".to_owned()];
        assert!(report(&skipped, false).is_ok());
        assert!(report(&skipped, true).is_err());
        assert!(report(&[], true).is_ok());
    }
}
