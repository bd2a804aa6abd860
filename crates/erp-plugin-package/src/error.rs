//! What can go wrong on the way, one enum per part of it. Every message says what to do.

use std::io;
use std::path::PathBuf;

use erp_plugin_model::manifest::ManifestError;

use crate::TARGET;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no core module.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The standard library for the target is not there.
    #[error("the Rust target {TARGET} is not installed; run: rustup target add {TARGET}")]
    TargetMissing,
    /// `rustup` did not install it.
    #[error(
        "rustup could not install the Rust target {TARGET}; run it to see why: rustup target add {TARGET}"
    )]
    TargetNotInstalled,
    /// A program could not be started.
    #[error("cannot run `{program}`; is it installed and on the PATH?")]
    Program {
        /// Which one.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// Cargo has said what is wrong.
    #[error("cargo could not build {}; its messages are above", .0.display())]
    Cargo(PathBuf),
    /// Cargo's own messages could not be read.
    #[error("cargo's messages while building {} could not be read", .plugin.display())]
    Messages {
        /// The plugin's folder.
        plugin: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The library is of another type.
    #[error(
        "{} is no plugin crate: it built no WebAssembly library; its Cargo.toml needs [lib] crate-type = [\"cdylib\"]",
        .0.display()
    )]
    NoLibrary(PathBuf),
}

/// Why bytes are not what they should be, before anything is said about a plugin.
#[derive(Debug, thiserror::Error)]
pub enum WasmError {
    /// Something else altogether.
    #[error("this is not WebAssembly: it does not begin with the bytes `\\0asm`")]
    NotWasm,
    /// One step of the build is missing.
    #[error(
        "this is a core module, not a component; make one of it with `cargo xtask build-plugins`, or with \
         `wasm-tools component new MODULE -o COMPONENT`"
    )]
    CoreModule,
    /// Cut off or damaged.
    #[error("this WebAssembly file is damaged at byte {offset}")]
    Invalid {
        /// Where.
        offset: usize,
        /// What the parser says.
        source: wasmparser::BinaryReaderError,
    },
    /// Readers would disagree on which of them counts.
    #[error("this component holds {0} manifests; it must hold one. Package it again")]
    SeveralManifests(usize),
    /// It is there, and wrong.
    #[error("the manifest in this component is not valid")]
    Manifest(#[source] ManifestError),
}

impl From<wasmparser::BinaryReaderError> for WasmError {
    fn from(source: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid { offset: source.offset(), source }
    }
}

/// Why a core module does not become a component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The bytes are no core module.
    #[error(transparent)]
    Wasm(#[from] WasmError),
    /// It is one already.
    #[error("this is a component already")]
    Already,
    /// Nothing says which contract it was built for.
    #[error(
        "this core module does not say which contract it was built for (it has no `component-type` section); \
         a plugin exports itself with export_plugin! of erp-plugin-sdk, or with wit_bindgen::generate! and export!"
    )]
    NoContract,
    /// It wants something that no host of ours has.
    #[error("this core module imports `{name}` from `{module}`, which no plugin can have; {}", way_out(.module))]
    ForeignImport {
        /// From where.
        module: String,
        /// What.
        name: String,
    },
    /// wit-component says no.
    #[error("this core module does not fit the contract that it was built for")]
    Encode(#[source] Source),
}

fn way_out(module: &str) -> &'static str {
    if module.starts_with("wasi") {
        "build it for wasm32-unknown-unknown, without WASI"
    } else if module.starts_with("__wbindgen") {
        "a dependency expects a browser: switch off its features for JavaScript (`js`, `wasmbind`, `wasm_js`)"
    } else {
        "a dependency expects a function of another platform: do without it"
    }
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file could not be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Every plugin says what it is.
    #[error("{} has no plugin.toml; write one with [plugin] name, version and contract", .0.display())]
    NoManifest(PathBuf),
    /// What it says is wrong.
    #[error("{} is not valid", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// No core module.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// No component.
    #[error("{} does not become a component", .module.display())]
    Component {
        /// The core module.
        module: PathBuf,
        /// Why.
        source: ComponentError,
    },
    /// The component cannot be read again.
    #[error(transparent)]
    Wasm(#[from] WasmError),
    /// It uses nothing of ours, or of two contracts at once.
    #[error("the component of plugin {plugin} is built for {found}; it must be built for one contract")]
    Contract {
        /// The plugin's name.
        plugin: String,
        /// What it imports and exports.
        found: String,
    },
    /// Somebody has to compile, keep and ship it.
    #[error(
        "the component of plugin {plugin} has {size} bytes, more than the {allowed} it may have; build it smaller \
         (opt-level = \"s\", lto, strip = \"debuginfo\"), or ask for more with plugin.max-size in its plugin.toml"
    )]
    TooLarge {
        /// The plugin's name.
        plugin: String,
        /// What it has.
        size: u64,
        /// What it may have.
        allowed: u64,
    },
}
