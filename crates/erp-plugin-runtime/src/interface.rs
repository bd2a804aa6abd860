//! Interfaces that the host offers. The contracts' own are registered exactly like an embedder's.

use std::sync::Arc;

use wasmparser::names::{ComponentName, ComponentNameKind};
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

    /// Whether an embedder may offer it beside these; if not, why.
    pub(crate) fn check(&self, others: &[Self]) -> Result<(), String> {
        let named = ComponentName::new(&self.name, 0).map_err(|error| error.message().to_owned())?;
        let ComponentNameKind::Interface(name) = named.kind() else {
            return Err("call it by package and interface, as acme:crm/customers@1.0.0".to_owned());
        };
        if (name.namespace().as_str(), name.package().as_str()) == ("erp", "plugin") {
            return Err("the package erp:plugin is the host's own; use one of yours".to_owned());
        }
        if others.iter().any(|other| other.name == self.name) {
            return Err("it was given already; put its functions into one".to_owned());
        }
        Ok(())
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
