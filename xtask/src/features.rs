//! `cargo xtask features`: each storage backend can be left out of a build, and what is left out is told of.
//!
//! Three things, for every crate that lets its user choose: what a choice brings along, that each choice compiles
//! without a warning, and that no choice at all is one line that names the choices. And of the facade: that it names
//! the feature when it is asked for a backend that was left out.
//!
//! Cargo gives a dependency the features that all selected crates want of it. To select one crate alone would compile
//! Wasmtime anew, with other features of its dependencies; so the whole workspace is selected but for the other
//! composition roots, which are the only ones to choose a backend.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tidy::layers::ROOTS;
use crate::{repository, step};

/// The crates whose users choose.
const CHOOSERS: [&str; 3] = ["erp-plugin", "erp-plugin-cli", "erp-plugin-testing"];

/// A backend: the feature that brings it, and the crates that come with it and with nothing else.
struct Backend {
    feature: &'static str,
    brings: &'static [&'static str],
}

const BACKENDS: [Backend; 2] = [
    Backend { feature: "sqlite", brings: &["erp-plugin-storage-sqlite", "libsqlite3-sys", "rusqlite"] },
    Backend { feature: "postgres", brings: &["erp-plugin-storage-postgres", "tokio-postgres"] },
];

/// What is chosen unless something else is.
const DEFAULT: &str = "sqlite";

/// The facade's tests of what it says about a backend that it was built without: a target of their own, because all others
/// would be compiled once more for each backend.
const LEFT_OUT: &str = "left_out";

pub(crate) fn run() -> Result<()> {
    step::named("what each backend brings along", trees)?;
    step::named("each backend alone, and all", || {
        CHOOSERS.into_iter().try_for_each(|chooser| {
            let all: Vec<&str> = BACKENDS.iter().map(|backend| backend.feature).collect();
            let alone = all.iter().map(std::slice::from_ref);
            alone.chain([all.as_slice()]).try_for_each(|features| step::run(&mut lint(chooser, features)))
        })
    })?;
    step::named("no backend", || CHOOSERS.into_iter().try_for_each(none))?;
    step::named("a backend that was left out", || BACKENDS.iter().try_for_each(left_out))
}

/// The crates that each choice brings along are those of the backends that were chosen.
fn trees() -> Result<()> {
    for chooser in CHOOSERS {
        let mut choices = vec![(DEFAULT, Vec::new())];
        for backend in &BACKENDS {
            choices.push((backend.feature, vec!["--no-default-features", "--features", backend.feature]));
        }
        for (chosen, options) in choices {
            let tree = ["tree", "--package", chooser, "--edges", "normal", "--prefix", "none"];
            let tree = step::output(step::cargo(&repository::root(), &tree).args(&options))?;
            if let Some(problem) = problem(&tree, chosen) {
                bail!("{chooser} with {}: {problem}", options.last().unwrap_or(&"its default features"));
            }
        }
    }
    Ok(())
}

/// What is wrong with the crates of a build that chose one backend.
fn problem(tree: &str, chosen: &str) -> Option<String> {
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    BACKENDS.iter().flat_map(|backend| backend.brings.iter().map(move |name| (backend, name))).find_map(
        |(backend, name)| match (backend.feature == chosen, crates.contains(name)) {
            (true, false) => Some(format!("{name} is missing")),
            (false, true) => Some(format!("it brings {name} along, which only {} may", backend.feature)),
            _ => None,
        },
    )
}

/// A Cargo command on the workspace, with these features of one crate that lets its user choose.
fn cargo(command: &str, chooser: &str, features: &[&str]) -> Command {
    let mut cargo =
        step::cargo(&repository::root(), &[command, "--quiet", "--workspace", "--no-default-features"]);
    for other in ROOTS.into_iter().filter(|root| *root != chooser) {
        cargo.args(["--exclude", other]);
    }
    for feature in features {
        cargo.args(["--features", &format!("{chooser}/{feature}")]);
    }
    cargo
}

/// Tests are linted too: with those left out, Wasmtime would be compiled anew.
fn lint(chooser: &str, features: &[&str]) -> Command {
    let mut clippy = cargo("clippy", chooser, features);
    clippy.args(["--all-targets", "--", "-D", "warnings"]);
    clippy
}

/// Without a backend there is an error that names them all.
fn none(chooser: &str) -> Result<()> {
    let mut lint = lint(chooser, &[]);
    let output = lint.env("CARGO_TERM_COLOR", "never").output().context("cannot run cargo clippy")?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        bail!("{chooser} compiles without a backend; it needs a compile_error that names the features");
    }
    if !names_backends(&messages) {
        bail!("{chooser} without a backend: no error names every feature that brings one, but\n{messages}");
    }
    Ok(())
}

/// Whether there is an error that names every backend's feature.
fn names_backends(messages: &str) -> bool {
    let mut errors = messages.lines().filter(|line| line.starts_with("error"));
    errors.any(|error| BACKENDS.iter().all(|backend| error.contains(&format!("`{}`", backend.feature))))
}

/// The facade's tests, built with one backend, of what it says about the others.
fn left_out(backend: &Backend) -> Result<()> {
    let mut tests = cargo("test", "erp-plugin", &[backend.feature]);
    let results = step::output(tests.args(["--test", LEFT_OUT]))?;
    if passed(&results) == 0 {
        bail!(
            "crates/erp-plugin/tests/{LEFT_OUT}.rs has no test that runs with the feature {} alone",
            backend.feature
        );
    }
    Ok(())
}

/// How many tests passed, of all the programs that were run.
fn passed(results: &str) -> u32 {
    let counts = results.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next());
    counts.filter_map(|count| count.parse::<u32>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQLITE: &str = "erp-plugin v0.1.0 (/a b/crates/erp-plugin)\nerp-plugin-storage-sqlite v0.1.0 (/a)\n\
                          rusqlite v0.41.1\nlibsqlite3-sys v0.36.0\nrusqlite v0.41.1 (*)\n";

    #[test]
    fn a_build_has_the_crates_of_its_backend_and_of_no_other() {
        assert_eq!(problem(SQLITE, "sqlite"), None);
        assert_eq!(
            problem(SQLITE, "postgres").unwrap(),
            "it brings erp-plugin-storage-sqlite along, which only sqlite may"
        );
        assert_eq!(
            problem("erp-plugin v0.1.0", "postgres").unwrap(),
            "erp-plugin-storage-postgres is missing"
        );
        let both = format!("{SQLITE}tokio-postgres v0.7.18\n");
        assert_eq!(
            problem(&both, "sqlite").unwrap(),
            "it brings tokio-postgres along, which only postgres may"
        );
    }

    #[test]
    fn the_error_names_every_backend() {
        let good = "   Compiling\nerror: erp-plugin needs a storage backend: enable `sqlite` or `postgres`\n --> lib.rs";
        assert!(names_backends(good));
        assert!(!names_backends("error: enable the feature `sqlite`\nhelp: there is `postgres`"));
        assert!(!names_backends("warning: enable `sqlite` or `postgres`"));
    }

    #[test]
    fn tests_are_counted_over_all_programs() {
        let results = "running 2 tests\n..\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\n\
                       test result: ok. 1 passed; 0 failed\n";
        assert_eq!(passed(results), 3);
        assert_eq!(passed("running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 9 filtered out\n"), 0);
    }

    #[test]
    fn the_other_roots_are_not_selected() {
        let command = cargo("test", "erp-plugin", &["postgres"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        assert!(words.contains(&"erp-plugin/postgres".into()));
        let excluded: Vec<_> =
            words.windows(2).filter(|pair| pair[0] == "--exclude").map(|pair| &pair[1]).collect();
        assert_eq!(excluded.len(), ROOTS.len() - 1);
        assert!(!excluded.iter().any(|name| *name == "erp-plugin"));
    }
}
