//! The whole way from a plugin's folder to its package.

use std::fs;
use std::io;
use std::path::Path;

use erp_plugin_model::Manifest;

use crate::{BuildOptions, Contract, Facts, PackageError, build, component, manifest};

/// A plugin, ready to be installed.
#[derive(Clone, Debug)]
pub struct Package {
    /// What the plugin says of itself.
    pub manifest: Manifest,
    /// What the component shows of itself.
    pub facts: Facts,
    /// The component with the manifest embedded.
    pub component: Vec<u8>,
}

/// Builds the plugin in `folder`, which holds its `Cargo.toml` and `plugin.toml`.
pub fn package(folder: &Path, options: &BuildOptions) -> Result<Package, PackageError> {
    let manifest = read_manifest(folder)?;
    let module_path = build(folder, options)?;
    let module =
        fs::read(&module_path).map_err(|source| PackageError::File { path: module_path.clone(), source })?;
    let component =
        component(&module).map_err(|source| PackageError::Component { module: module_path, source })?;
    assemble(manifest, &component)
}

fn assemble(manifest: Manifest, component: &[u8]) -> Result<Package, PackageError> {
    let component = manifest::embed(component, &manifest)?;
    let facts = Facts::read(&component)?;
    let plugin = || manifest.name.to_string();
    match facts.contract() {
        Contract::One(_) => {}
        found => return Err(PackageError::Contract { plugin: plugin(), found: found.to_string() }),
    }
    let size = u64::try_from(component.len()).unwrap_or(u64::MAX);
    if size > manifest.max_size {
        return Err(PackageError::TooLarge { plugin: plugin(), size, allowed: manifest.max_size });
    }
    Ok(Package { manifest, facts, component })
}

fn read_manifest(folder: &Path) -> Result<Manifest, PackageError> {
    let path = folder.join("plugin.toml");
    let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PackageError::NoManifest(folder.to_owned()),
        _ => PackageError::File { path: path.clone(), source },
    })?;
    Manifest::from_toml(&text).map_err(|source| PackageError::Manifest { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(more: &str) -> Manifest {
        let head = "manifest = 1\n[plugin]\nname = \"alpha\"\nversion = \"1.0.0\"\ncontract = \"0\"\n";
        Manifest::from_toml(&format!("{head}{more}")).unwrap()
    }

    /// A component of contract 0 that has at least this many bytes.
    fn component_of(bytes: usize) -> Vec<u8> {
        let padding = "x".repeat(bytes);
        let wat = format!(
            r#"(component (import "erp:plugin/host-api" (instance)) (@custom "padding" "{padding}"))"#
        );
        wat::parse_str(wat).unwrap()
    }

    #[test]
    fn a_component_over_two_mebibytes_needs_a_manifest_that_says_so() {
        let large = component_of(2 << 20);
        let error = assemble(manifest(""), &large).unwrap_err().to_string();
        assert!(error.contains("more than the 2097152 it may have"), "{error}");
        assert!(error.contains("plugin.max-size"), "{error}");
        let package = assemble(manifest("max-size = 3000000\n"), &large).unwrap();
        assert_eq!(package.facts.size, package.component.len());
    }

    #[test]
    fn a_component_of_no_contract_is_no_plugin() {
        let error = assemble(manifest(""), &wat::parse_str("(component)").unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the component of plugin alpha is built for no contract; it must be built for one contract"
        );
    }

    #[test]
    fn a_folder_without_a_manifest_and_one_with_a_wrong_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let read = || read_manifest(folder.path()).unwrap_err();
        assert!(matches!(read(), PackageError::NoManifest(_)));
        fs::write(folder.path().join("plugin.toml"), "manifest = 2").unwrap();
        assert!(matches!(read(), PackageError::Manifest { .. }));
    }
}
