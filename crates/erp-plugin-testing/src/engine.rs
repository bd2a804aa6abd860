//! The engine that plugins are loaded with.

use std::sync::Arc;

use erp_plugin_runtime::{Engine, EngineOptions, InProcessCompiler, LoadError, Loader};

/// The most linear memory that a manifest can ask for here, in bytes.
const MAX_MEMORY: u64 = 256 << 20;

/// An engine as hosts configure it, for few sandboxes. One serves any number of plugins.
pub struct TestEngine {
    pub(crate) loader: Loader,
    pub(crate) server: Option<String>,
}

impl TestEngine {
    /// Has the plugins that are loaded with it keep their records on Postgres, each in a database of its own that is
    /// made for it and dropped with it. The URL's user may create databases and roles. Takes the feature `postgres`.
    #[must_use]
    pub fn on_postgres(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }
}

/// Makes an engine.
pub fn create_engine() -> Result<TestEngine, LoadError> {
    let options = EngineOptions { sandboxes: 4, max_memory: MAX_MEMORY, ..EngineOptions::default() };
    let engine = Engine::new(options)?;
    let compiler = Arc::new(InProcessCompiler::new(engine.clone()));
    Ok(TestEngine { loader: Loader::new(engine, compiler, None, [])?, server: None })
}
