//! The components that tests run.

use std::path::{Path, PathBuf};

use erp_plugin_model::Manifest;
use serde_json::Value as Json;

/// A plugin of `plugins/`, with its manifest.
#[must_use]
pub fn plugin(name: &str) -> Vec<u8> {
    built(&format!("plugins/{name}.component.wasm"), "build-plugins")
}

/// Where the plugins of `plugins/` are built.
#[must_use]
pub fn plugins_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins")
}

/// The plugin of the brief, without a manifest.
#[must_use]
pub fn brief() -> Vec<u8> {
    built("fixtures/erp_plugin_demo.component.wasm", "build-fixtures")
}

/// A hostile guest, by the name of its file.
#[must_use]
pub fn hostile(name: &str) -> Vec<u8> {
    let file = hostile_folder().join(format!("{name}.wat"));
    wat::parse_file(&file).unwrap_or_else(|error| panic!("{error}"))
}

/// A guest of `fixtures/interface`, which imports what a platform registers itself.
#[must_use]
pub fn interface(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/interface");
    wat::parse_file(folder.join(format!("{name}.wat"))).unwrap_or_else(|error| panic!("{error}"))
}

/// Bytes as the payload of the `hex.` events of the guest `24-relay`.
#[must_use]
pub fn hex(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Where the hostile guests are.
#[must_use]
pub fn hostile_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile")
}

/// A component with another manifest, of which this is the text after the `[plugin]` table.
#[must_use]
pub fn with_manifest(component: &[u8], name: &str, rest: &str) -> Vec<u8> {
    let toml =
        format!("manifest = 1\n[plugin]\nname = {name:?}\nversion = \"1.0.0\"\ncontract = \"0\"\n{rest}");
    let manifest = Manifest::from_toml(&toml).unwrap_or_else(|error| panic!("{error}"));
    erp_plugin_package::manifest::embed(component, &manifest).unwrap()
}

/// An example plugin as another version of itself, with some of its manifest's JSON otherwise.
#[must_use]
pub fn changed(name: &str, version: &str, change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let component = plugin(name);
    let manifest = erp_plugin_package::manifest::read(&component).unwrap().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&manifest.to_canonical_json()).unwrap();
    json["plugin"]["version"] = version.into();
    change(&mut json);
    let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    erp_plugin_package::manifest::embed(&component, &manifest).unwrap()
}

/// A component with these bytes where its manifest belongs, after whatever it carries there already.
#[must_use]
pub fn with_section(mut component: Vec<u8>, manifest: &[u8]) -> Vec<u8> {
    const NAME: &str = erp_plugin_model::manifest::SECTION;
    fn number(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(0x80 | (value & 0x7f) as u8);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    let mut section = number(NAME.len());
    section.extend_from_slice(NAME.as_bytes());
    section.extend_from_slice(manifest);
    component.push(0);
    component.extend(number(section.len()));
    component.extend(section);
    component
}

fn built(path: &str, command: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(path);
    std::fs::read(file).unwrap_or_else(|_| panic!("target/{path} is missing; run `cargo xtask {command}`"))
}
