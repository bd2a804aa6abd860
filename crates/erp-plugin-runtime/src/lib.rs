//! Runs guests: the only place, with the bindings, that knows Wasmtime.
//!
//! A component comes in as bytes, is judged by [`validate`] before anything compiles it, compiled through the
//! [`Compiler`] port, kept as native code in the authenticated [`CodeCache`], linked against the registered
//! [`Interface`]s, and becomes a [`LoadedPlugin`]. Each invocation then gets a fresh sandbox ([`LoadedPlugin::call`])
//! whose limits are armed before anything of the guest runs.
//!
//! Invariants:
//! - Nothing of the guest runs, not even its start function, before fuel, deadline and memory limit are set.
//! - A guest can end its own invocation in any way it likes and nothing else; a sandbox that trapped is dropped.
//! - Only bytes that this host compiled, or that carry its own seal, are ever loaded as native code.
//! - Contract versions and an embedder's own interfaces are registered in the same way; no interface name is matched
//!   anywhere else.
//!
//! To serve another contract: 1. its bindings in `erp-plugin-wit`; 2. `contract/<version>.rs` with its interfaces and
//! exports; 3. a line in `contract/mod.rs`.

mod cache;
mod compiler;
mod contract;
mod engine;
mod error;
mod failure;
mod interface;
mod limiter;
mod plugin;
mod process_compiler;
mod sandbox;
mod state;
mod ticker;
pub mod validate;

pub use cache::CodeCache;
pub use compiler::{CompileError, Compiler, InProcessCompiler};
pub use contract::Export;
pub use engine::{Engine, EngineOptions};
pub use error::LoadError;
pub use failure::{FailureKind, GuestFailure};
pub use interface::Interface;
pub use plugin::{LoadedPlugin, Loader};
pub use process_compiler::{ProcessCompiler, compile_worker};
pub use sandbox::{Called, Sandbox};
pub use state::HostState;
pub use validate::ComponentFacts;

/// Wasmtime itself, for embedders that register their own interfaces.
pub use wasmtime;
