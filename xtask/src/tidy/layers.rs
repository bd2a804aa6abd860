//! Who may depend on whom. The table is the picture in ARCHITECTURE.md; a new crate needs a place in it.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use super::checkout::Checkout;

/// Each crate, and those of ours that its production code may use.
const LAYERS: [(&str, &[&str]); 13] = [
    ("erp-plugin-model", &[]),
    ("erp-plugin-storage", &["model"]),
    ("erp-plugin-storage-conformance", &["model", "storage"]),
    ("erp-plugin-storage-sqlite", &["model", "storage"]),
    ("erp-plugin-storage-postgres", &["model", "storage"]),
    ("erp-plugin-host-api", &["model", "storage"]),
    ("erp-plugin-wit", &[]),
    ("erp-plugin-runtime", &["host-api", "model", "storage", "wit"]),
    ("erp-plugin-host", &["host-api", "model", "runtime", "storage"]),
    ("erp-plugin-package", &["model"]),
    ("erp-plugin-server", &["host", "host-api", "model", "package", "storage"]),
    ("erp-plugin-sdk", &[]),
    // Light: it must not link the host.
    ("xtask", &["package"]),
];

/// Composition roots may use everything, backends included.
pub(crate) const ROOTS: [&str; 6] = [
    "erp-plugin",
    "erp-plugin-benches",
    "erp-plugin-cli",
    "erp-plugin-testing",
    "erp-plugin-tests",
    "erp-server",
];

/// Foreign crates, by how their names begin, and the only ones of ours that may use them for anything. The
/// benchmarks compare with the bare thing, and tests make files that no backend would.
const FOREIGN: [(&[&str], &[&str]); 3] = [
    (&["wasmtime"], &["erp-plugin-wit", "erp-plugin-runtime", "erp-plugin-benches"]),
    (&["rusqlite"], &["erp-plugin-storage-sqlite", "erp-plugin-benches", "erp-plugin-tests"]),
    (
        &["tokio-postgres", "deadpool-postgres", "postgres"],
        &["erp-plugin-storage-postgres", "erp-plugin-benches", "erp-plugin-tests"],
    ),
];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(checkout.root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    Ok(metadata.packages.iter().flat_map(problems_of).collect())
}

fn problems_of(package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    let name = package.name.as_str();
    let folder = package.manifest_path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    if package.manifest_path.as_str().contains("/crates/") && folder != name {
        problems.push(format!(
            "crates/{folder}: the package is called {name}; it must be called like its folder"
        ));
    }
    let layer = LAYERS.iter().find(|(layer, _)| *layer == name).map(|(_, below)| *below);
    if layer.is_none() && !ROOTS.contains(&name) {
        problems.push(format!("{name} has no place in the layers; give it one in xtask/src/tidy/layers.rs"));
    }
    for dependency in &package.dependencies {
        let is_test_only = dependency.kind == DependencyKind::Development;
        if let Some(problem) = problem(name, layer, &dependency.name, is_test_only) {
            problems.push(problem);
        }
    }
    problems
}

fn problem(name: &str, layer: Option<&[&str]>, dependency: &str, is_test_only: bool) -> Option<String> {
    for (prefixes, users) in FOREIGN {
        if prefixes.iter().any(|prefix| dependency.starts_with(prefix)) && !users.contains(&name) {
            return Some(format!("{name} depends on {dependency}, which only {} may", users.join(", ")));
        }
    }
    let ours = dependency.strip_prefix("erp-plugin")?.trim_start_matches('-');
    let is_below = layer.is_none_or(|below| below.contains(&ours));
    if is_below || is_test_only {
        return None;
    }
    Some(format!("{name} depends on {dependency}, which is not below it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_go_down_and_never_sideways() {
        let sqlite = Some(&["model", "storage"][..]);
        let name = "erp-plugin-storage-sqlite";
        assert_eq!(problem(name, sqlite, "erp-plugin-storage", false), None);
        assert_eq!(problem(name, sqlite, "erp-plugin-storage-conformance", true), None);
        assert!(problem(name, sqlite, "erp-plugin-storage-postgres", false).is_some());
        assert!(problem(name, sqlite, "erp-plugin-host-api", false).is_some());
    }

    #[test]
    fn the_engine_is_known_to_the_runtime_alone_even_in_tests() {
        assert_eq!(problem("erp-plugin-runtime", Some(&[]), "wasmtime", false), None);
        assert!(problem("erp-plugin-host", Some(&[]), "wasmtime", true).is_some());
        assert!(problem("erp-plugin-host-api", Some(&[]), "rusqlite", false).is_some());
    }
}
