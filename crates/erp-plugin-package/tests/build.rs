//! Building from source, with the real Cargo on crates without dependencies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use erp_plugin_package::{BuildError, BuildOptions, ComponentError, Facts, Kind, build, component};
use tempfile::TempDir;

/// A crate in a folder of its own, which is also its workspace.
fn crate_with(crate_type: &str, code: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[package]\nname = \"alpha\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"{crate_type}\"]\n[workspace]\n"
    );
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), code).unwrap();
    folder
}

fn build_in(folder: &Path) -> Result<Vec<u8>, BuildError> {
    let options = BuildOptions { target_dir: Some(folder.join("target")), ..BuildOptions::default() };
    build(folder, &options).map(|module| fs::read(module).unwrap())
}

#[test]
fn a_library_becomes_a_core_module_with_a_small_memory() {
    let folder = crate_with("cdylib", "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> i32 { 42 }\n");
    let module = build_in(folder.path()).unwrap();
    let facts = Facts::read(&module).unwrap();
    assert_eq!(facts.kind, Kind::CoreModule);
    assert!(facts.exports.iter().any(|export| export.name == "answer"), "{facts:?}");
    // The linker's default stack alone would be 16 pages.
    assert!(initial_pages(&module) <= 2);
    assert!(matches!(component(&module), Err(ComponentError::NoContract)));
}

#[test]
fn a_crate_of_another_type_is_told_what_it_lacks() {
    let folder = crate_with("rlib", "");
    let error = build_in(folder.path()).unwrap_err();
    assert!(matches!(error, BuildError::NoLibrary(_)), "{error}");
    assert!(error.to_string().contains("crate-type = [\"cdylib\"]"), "{error}");
}

#[test]
fn a_crate_that_does_not_compile_is_named() {
    let folder = crate_with("cdylib", "this is no Rust");
    let error = build_in(folder.path()).unwrap_err();
    assert!(matches!(&error, BuildError::Cargo(plugin) if plugin == folder.path()), "{error}");
}

fn initial_pages(module: &[u8]) -> u64 {
    let payloads = wasmparser::Parser::new(0).parse_all(module);
    let memories = payloads.filter_map(|payload| match payload.unwrap() {
        wasmparser::Payload::MemorySection(memories) => Some(memories),
        _ => None,
    });
    memories.flatten().map(|memory| memory.unwrap().initial).sum()
}
