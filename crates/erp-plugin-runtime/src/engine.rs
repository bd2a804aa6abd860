//! The Wasmtime engine as this system configures it.
//!
//! What is not needed is off, at compile time where there is a Cargo feature for it and here otherwise: code that is
//! not there cannot have an advisory. One upload must not take every core, so a compilation has one thread.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

use crate::error::LoadError;
use crate::limiter::TABLE_ELEMENTS;
use crate::ticker::{TickGuard, Ticker};

/// What an engine is made for.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many guests can exist at once. Each reserves address space, and memory only as it touches it.
    pub sandboxes: u32,
    /// The most linear memory of one guest, in bytes: the largest that any plugin may be granted.
    pub max_memory: u64,
    /// Whether fuel is counted. Only a bench turns it off.
    pub fuel: bool,
    /// Whether the deadline is enforced while a guest computes. Only a bench turns it off.
    pub epochs: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { sandboxes: 64, max_memory: 64 << 20, fuel: true, epochs: true }
    }
}

/// The most core instances of one component.
pub(crate) const MAX_CORE_INSTANCES: u32 = 16;
/// The most memories of one component.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// The most tables of one component.
pub(crate) const MAX_TABLES: u32 = 8;

/// Stack that a guest may use.
const WASM_STACK: usize = 512 << 10;
/// Stack of a fiber: the guest's, and as much again for the host functions that it calls.
const ASYNC_STACK: usize = 1 << 20;

/// What a guest may not use. Multi-memory stays on here and is refused by [`validate`](crate::validate): with it off
/// the compiler panics on a component that copies between two of its own memories.
const OFF: [WasmFeatures; 18] = [
    WasmFeatures::THREADS,
    WasmFeatures::SHARED_EVERYTHING_THREADS,
    WasmFeatures::MEMORY64,
    WasmFeatures::GC,
    WasmFeatures::FUNCTION_REFERENCES,
    WasmFeatures::EXCEPTIONS,
    WasmFeatures::LEGACY_EXCEPTIONS,
    WasmFeatures::STACK_SWITCHING,
    WasmFeatures::CUSTOM_PAGE_SIZES,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::TAIL_CALL,
    WasmFeatures::WIDE_ARITHMETIC,
    WasmFeatures::CM_ASYNC,
    WasmFeatures::CM64,
    WasmFeatures::CM_GC,
    WasmFeatures::CM_THREADING,
    WasmFeatures::CM_ERROR_CONTEXT,
    WasmFeatures::CM_MORE_ASYNC_BUILTINS,
];

/// The engine, its ticker, and the number that says whose native code fits.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    ticker: Ticker,
    options: EngineOptions,
    fingerprint: [u8; 32],
}

impl Engine {
    /// Makes an engine. Fails when the machine cannot reserve the address space of the pool.
    pub fn new(options: EngineOptions) -> Result<Self, LoadError> {
        let config = config(&options);
        let wasmtime =
            wasmtime::Engine::new(&config).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
        let ticker = Ticker::start(wasmtime.clone())
            .map_err(|error| LoadError::Engine(format!("no thread: {error}")))?;
        let fingerprint = fingerprint(&wasmtime, &options);
        Ok(Self { inner: Arc::new(Inner { wasmtime, ticker, options, fingerprint }) })
    }

    /// Wasmtime's own engine, for embedders that build a linker.
    #[must_use]
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    /// What the engine was made for.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.inner.options
    }

    /// Distinguishes native code that this engine can run from all other: Wasmtime's version and settings, target
    /// and our own configuration.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.inner.fingerprint
    }

    /// Compiles a component to native code. Takes as long as the component likes: callers bound it.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, LoadError> {
        self.inner
            .wasmtime
            .precompile_component(wasm)
            .map_err(|error| LoadError::Invalid(format!("{error:#}")))
    }

    pub(crate) fn running(&self) -> TickGuard {
        self.inner.ticker.guard()
    }
}

fn config(options: &EngineOptions) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let max_memory = usize::try_from(options.max_memory).unwrap_or(usize::MAX);
    pool.total_component_instances(options.sandboxes)
        .total_core_instances(options.sandboxes.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(options.sandboxes.saturating_mul(MAX_MEMORIES))
        .total_tables(options.sandboxes.saturating_mul(MAX_TABLES))
        .total_stacks(options.sandboxes)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(max_memory)
        .table_elements(TABLE_ELEMENTS)
        // A small guest's pages stay resident and are cleared by hand: two threads that both give pages back to the
        // kernel wait for each other there.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(32 << 10)
        .max_unused_warm_slots(options.sandboxes);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(options.fuel)
        .epoch_interruption(options.epochs)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .async_stack_zeroing(true)
        .cranelift_opt_level(OptLevel::Speed)
        .compiler_inlining(wasmtime::Inlining::No)
        .concurrency_support(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    for feature in OFF {
        config.wasm_features(feature, false);
    }
    config
}

fn fingerprint(engine: &wasmtime::Engine, options: &EngineOptions) -> [u8; 32] {
    struct Feed(Sha256);
    impl std::hash::Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    feed.0.update(format!("{options:?} {}", env!("CARGO_PKG_VERSION")));
    feed.0.finalize().into()
}
