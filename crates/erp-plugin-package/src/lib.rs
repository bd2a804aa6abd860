//! From a plugin's source to the one file that a host installs, and what can be told from that file alone.
//!
//! The way of a plugin: [`build`] runs Cargo and finds the core module, [`component`] makes a component of it,
//! [`manifest`] embeds `plugin.toml`, [`Facts`] says what came out. [`package`] goes that way in one call.
//!
//! Depends on `erp-plugin-model` for what a manifest means. Knows no Wasmtime: whether a component runs is decided
//! by the runtime that loads it. It is light enough for build tools, and safe on files that nobody trusts: it
//! parses them, and executes nothing.

mod build;
mod component;
mod error;
mod facts;
pub mod manifest;
mod package;
mod section;
mod toolchain;

pub use build::{BuildOptions, DEFAULT_STACK_SIZE, build};
pub use component::component;
pub use error::{BuildError, ComponentError, PackageError, WasmError};
pub use facts::{Contract, Facts, Interface, Kind};
pub use package::{Package, package};
pub use toolchain::{TARGET, install_target, target_is_installed};
