//! The port through which components are compiled. Compiling runs long on input that an attacker chose, so whoever
//! takes uploads compiles in another process; a library and its tests may compile in their own.

use std::sync::Arc;

use async_trait::async_trait;

use crate::engine::Engine;
use crate::error::LoadError;

/// Why nothing was compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The component's fault.
    #[error(transparent)]
    Refused(LoadError),
    /// It took too long, too much memory, or the compiler broke.
    #[error("{0}")]
    Failed(String),
}

/// Turns a component into native code for one engine. The component has been validated.
#[async_trait]
pub trait Compiler: Send + Sync {
    /// Compiles.
    async fn compile(&self, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError>;
}

/// Compiles in this process, on a thread of its own.
pub struct InProcessCompiler {
    engine: Engine,
}

impl InProcessCompiler {
    /// A compiler for this engine.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl Compiler for InProcessCompiler {
    async fn compile(&self, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
        let (engine, wasm) = (self.engine.clone(), Arc::clone(wasm));
        match tokio::task::spawn_blocking(move || engine.compile(&wasm)).await {
            Ok(compiled) => compiled.map_err(CompileError::Refused),
            // A panic of the compiler is its own end, not the host's.
            Err(_) => Err(CompileError::Failed("the compiler failed on it".to_owned())),
        }
    }
}
