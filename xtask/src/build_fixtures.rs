//! `cargo xtask build-fixtures`: the guests that only tests use.

use std::fs;

use anyhow::{Context, Result};
use erp_plugin_package::{Facts, component};

use crate::guests::{Built, print, write_if_changed};
use crate::{preflight, repository, step};

/// The plugin of the brief, built with the brief's own command, without a manifest.
const CRATE: &str = "erp-plugin-demo";
const FILE_STEM: &str = "erp_plugin_demo";

pub(crate) fn run() -> Result<()> {
    print(&[build()?]);
    Ok(())
}

/// Builds the brief's plugin. What has not changed is not built again.
pub(crate) fn build() -> Result<Built> {
    preflight::guests()?;
    let workspace = repository::root().join("tests/fixtures/brief-plugin");
    let target = repository::target("guests");
    let build = ["build", "-p", CRATE, "--target", "wasm32-unknown-unknown", "--release"];
    step::run(step::cargo(&workspace, &build).env("CARGO_TARGET_DIR", &target))?;
    let module_path = target.join(format!("wasm32-unknown-unknown/release/{FILE_STEM}.wasm"));
    let module = fs::read(&module_path).with_context(|| format!("cannot read {}", module_path.display()))?;
    let component = component(&module).with_context(|| module_path.display().to_string())?;
    let path = repository::target("fixtures").join(format!("{FILE_STEM}.component.wasm"));
    write_if_changed(&path, &component)?;
    let contract = Facts::read(&component)?.contract().to_string();
    Ok(Built { name: CRATE.to_owned(), contract, size: component.len(), path })
}
