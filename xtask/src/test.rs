//! `cargo xtask test`: every test there is.

use std::env;

use anyhow::{Result, bail};

use crate::postgres::{self, Durability};
use crate::{build_fixtures, build_plugins, preflight, repository, step};

/// Tells the tests of the whole which backend to run on.
const BACKEND: &str = "ERP_PLUGIN_TEST_BACKEND";

/// How to test.
#[derive(Default, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments) -> Result<()> {
    preflight::host()?;
    let root = repository::root();
    step::named("build plugins", || build_plugins::run(&build_plugins::Arguments::default()))?;
    step::named("build fixtures", build_fixtures::run)?;

    let mut skipped = Vec::new();
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
    // Lives until the tests have ended.
    let server = match postgres::find() {
        Ok(source) => Some(step::named("a Postgres", || source.start(Durability::Off))?),
        Err(absent) => {
            tests.env_remove(postgres::VARIABLE);
            skipped.push(format!("the tests on Postgres: {absent}"));
            None
        }
    };
    if let Some(server) = &server {
        tests.env(postgres::VARIABLE, server.url());
    }
    step::named("tests of the host", || step::run(&mut tests))?;
    if server.is_some() {
        // The same program again: whatever holds of the whole holds on every backend.
        tests.args(["--test", "it"]).env(BACKEND, "postgres");
        step::named("tests of the whole, on Postgres", || step::run(&mut tests))?;
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
