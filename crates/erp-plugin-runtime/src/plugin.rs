//! A component that is ready to be called.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre, Linker};

use crate::cache::CodeCache;
use crate::compiler::Compiler;
use crate::contract::{self, GuestExports};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::interface::Interface;
use crate::state::HostState;
use crate::validate::{self, ComponentFacts};

/// A loaded component: one for each plugin version, shared by all tenants and invocations, holding nothing of any.
#[derive(Clone)]
pub struct LoadedPlugin {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    pre: InstancePre<HostState>,
    exports: Box<dyn GuestExports>,
    contract: &'static str,
}

/// What components are loaded with: engine, compiler, cache, and the interfaces they may import.
pub struct Loader {
    engine: Engine,
    compiler: Arc<dyn Compiler>,
    cache: Option<CodeCache>,
    interfaces: Vec<Interface>,
    linker: Linker<HostState>,
}

impl Loader {
    /// A loader with the contracts' interfaces and an embedder's own.
    pub fn new(
        engine: Engine,
        compiler: Arc<dyn Compiler>,
        cache: Option<CodeCache>,
        own: impl IntoIterator<Item = Interface>,
    ) -> Result<Self, LoadError> {
        let mut linker = Linker::new(engine.wasmtime());
        let mut interfaces = contract::interfaces();
        for interface in own {
            interface.check(&interfaces).map_err(|problem| unusable(&interface, problem))?;
            interfaces.push(interface);
        }
        for interface in &interfaces {
            interface.link(&mut linker).map_err(|error| unusable(interface, format!("{error:#}")))?;
        }
        Ok(Self { engine, compiler, cache, interfaces, linker })
    }

    /// Judges, compiles (or finds compiled) and links a component. `hash` is the SHA-256 of `wasm`, `max_size` the
    /// most bytes it may have.
    pub async fn load(
        &self,
        wasm: &Arc<[u8]>,
        hash: &[u8; 32],
        max_size: u64,
    ) -> Result<LoadedPlugin, LoadError> {
        let (judged, max_memory) = (Arc::clone(wasm), self.engine.options().max_memory);
        // A large one takes a while, and an invalid one longer.
        let judge = tokio::task::spawn_blocking(move || validate::check(&judged, max_size, max_memory));
        let facts = judge.await.map_err(|error| LoadError::Engine(format!("judging: {error}")))??;
        let contract = contract::of(&facts)?;
        self.check_imports(&facts)?;
        let component = self.component(wasm, hash).await?;
        contract.check_types(&component)?;
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
            contract: contract.name,
            detail: format!("{error:#}"),
        };
        let pre = self.linker.instantiate_pre(&component).map_err(mismatch)?;
        let exports = (contract.probe)(&pre).map_err(mismatch)?;
        let inner = Inner { engine: self.engine.clone(), pre, exports, contract: contract.name };
        Ok(LoadedPlugin { inner: Arc::new(inner) })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    async fn component(&self, wasm: &Arc<[u8]>, hash: &[u8; 32]) -> Result<Component, LoadError> {
        let engine = &self.engine;
        if let Some(cache) = &self.cache
            && let Some(code) = cache.get(hash, engine.fingerprint())
            && let Ok(component) = deserialize(engine, &code)
        {
            return Ok(component);
        }
        let code = self.compiler.compile(wasm).await.map_err(|error| match error {
            crate::CompileError::Refused(error) => error,
            crate::CompileError::Failed(reason) => LoadError::Compile(reason),
        })?;
        let component =
            deserialize(engine, &code).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            cache.put(hash, engine.fingerprint(), &code);
        }
        Ok(component)
    }

    /// Every import must be registered, by interface and by function: Wasmtime itself would link an import of an
    /// empty interface that nobody offers.
    fn check_imports(&self, facts: &ComponentFacts) -> Result<(), LoadError> {
        for import in &facts.imports {
            let Some(interface) = self.interfaces.iter().find(|interface| interface.name() == import.name)
            else {
                return Err(LoadError::UnknownImport {
                    import: import.name.clone(),
                    offered: self.offer(&import.name),
                });
            };
            if let Some(function) = import.functions.iter().find(|name| !interface.functions().contains(name))
            {
                return Err(LoadError::UnknownImport {
                    import: format!("{}.{function}", import.name),
                    offered: format!(
                        "{} has {}; build the plugin against the contract that this host serves",
                        interface.name(),
                        interface.functions().join(", ")
                    ),
                });
            }
        }
        Ok(())
    }

    fn offer(&self, import: &str) -> String {
        if import.starts_with("wasi:") {
            return "there is no WASI; build for wasm32-unknown-unknown, not wasm32-wasip1 or -wasip2"
                .to_owned();
        }
        let names: Vec<&str> = self.interfaces.iter().map(Interface::name).collect();
        format!("it offers {}", names.join(", "))
    }
}

fn unusable(interface: &Interface, problem: String) -> LoadError {
    LoadError::Interface { name: interface.name().to_owned(), problem }
}

impl LoadedPlugin {
    /// The contract that the component was built for.
    #[must_use]
    pub fn contract(&self) -> &'static str {
        self.inner.contract
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn pre(&self) -> &InstancePre<HostState> {
        &self.inner.pre
    }

    pub(crate) fn exports(&self) -> &dyn GuestExports {
        &*self.inner.exports
    }
}

impl std::fmt::Debug for LoadedPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedPlugin").field("contract", &self.inner.contract).finish_non_exhaustive()
    }
}

#[allow(unsafe_code, reason = "native code is loaded here and nowhere else")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what our own compiler has just returned, or what the cache found sealed with this host's key
    // and for this engine's fingerprint. It was checked in memory and is loaded from that same memory.
    unsafe { Component::deserialize(engine.wasmtime(), code) }
}
