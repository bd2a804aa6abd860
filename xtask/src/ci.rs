//! `cargo xtask ci`: everything that must pass before a change is merged, cheapest first.

use anyhow::Result;

use crate::{features, preflight, repository, step, test, tidy};

pub(crate) fn run() -> Result<()> {
    preflight::host()?;
    preflight::guests()?;
    let root = repository::root();
    let plugins = repository::plugins();
    let guests = repository::target("guests");
    let in_root = |arguments: &[&str]| step::run(&mut step::cargo(&root, arguments));
    let in_plugins =
        |arguments: &[&str]| step::run(step::cargo(&plugins, arguments).env("CARGO_TARGET_DIR", &guests));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

    step::named("format", || in_root(&["fmt", "--all", "--check"]))?;
    // Not --all, which would go on to the host's crates by way of the SDK.
    step::named("format of the plugins", || in_plugins(&["fmt", "--check"]))?;
    step::named("tidy", tidy::run)?;
    step::named("lints", || in_root(&clippy))?;
    step::named("lints of the plugins", || in_plugins(&clippy))?;
    step::named("documentation", || {
        let mut doc = step::cargo(&root, &["doc", "--workspace", "--no-deps"]);
        step::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step::named("features", features::run)?;
    step::named("test", || test::run(&test::Arguments::default()))
}
