//! Interfaces that the host offers. The contracts' own are registered exactly like an embedder's.

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::state::HostState;

type Link = dyn Fn(&mut Linker<HostState>) -> wasmtime::Result<()> + Send + Sync;

/// An interface that guests may import: its name, its functions, and how it gets into a linker.
///
/// ```ignore
/// Interface::new("acme:crm/api@1.0.0", ["lookup"], |linker| {
///     acme::crm::api::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
/// })
/// ```
#[derive(Clone)]
pub struct Interface {
    name: String,
    functions: Vec<String>,
    link: Arc<Link>,
}

impl Interface {
    /// An interface by its full name, the functions it has, and what adds them to a linker.
    pub fn new<F: Into<String>>(
        name: impl Into<String>,
        functions: impl IntoIterator<Item = F>,
        link: impl Fn(&mut Linker<HostState>) -> wasmtime::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            functions: functions.into_iter().map(Into::into).collect(),
            link: Arc::new(link),
        }
    }

    /// Its full name: `erp:plugin/host-api`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its functions.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.functions
    }

    pub(crate) fn link(&self, linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
        (self.link)(linker)
    }
}

impl std::fmt::Debug for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interface")
            .field("name", &self.name)
            .field("functions", &self.functions)
            .finish_non_exhaustive()
    }
}
