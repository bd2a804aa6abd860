//! Released contracts: their interfaces, and how their exports are called.

mod v0;

use std::future::Future;
use std::pin::Pin;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::error::LoadError;
use crate::interface::Interface;
use crate::state::HostState;
use crate::validate::ComponentFacts;

/// An export to call, with what it gets.
#[derive(Clone, Debug)]
pub enum Export {
    /// Once per (plugin version, tenant).
    Init,
    /// Once per (plugin, tenant).
    OnTenantCreated {
        /// The tenant.
        tenant_id: String,
    },
    /// Once per delivery.
    HandleEvent {
        /// The event's type.
        event_type: String,
        /// The event's payload, one JSON value.
        payload: String,
    },
}

impl Export {
    /// The export, as people say it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Init => "init".to_owned(),
            Self::OnTenantCreated { .. } => "on-tenant-created".to_owned(),
            Self::HandleEvent { event_type, .. } => format!("handle-event {event_type}"),
        }
    }
}

/// The answer of an export: the guest's own error is a text.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<Result<(), String>>> + Send + 'a>>;

/// A loaded component's exports, found once at load.
pub(crate) trait GuestExports: Send + Sync {
    /// Finds the exports in an instance; what comes back calls them.
    fn bind(
        &self,
        store: &mut Store<HostState>,
        instance: &Instance,
    ) -> wasmtime::Result<Box<dyn BoundExports>>;
}

/// The exports of one instance.
pub(crate) trait BoundExports: Send {
    /// Calls one.
    fn call<'a>(&'a mut self, store: &'a mut Store<HostState>, export: &'a Export) -> Answer<'a>;
}

/// A contract that this host serves.
pub(crate) struct Contract {
    /// Its name in messages and manifests.
    pub(crate) name: &'static str,
    /// The interface that a guest of this contract exports, and its functions.
    pub(crate) exports: (&'static str, &'static [&'static str]),
    /// Finds the exports of a component.
    pub(crate) probe: fn(&InstancePre<HostState>) -> wasmtime::Result<Box<dyn GuestExports>>,
}

/// Every contract that is served.
const SERVED: &[Contract] = &[v0::CONTRACT];

/// The interfaces of every contract that is served.
pub(crate) fn interfaces() -> Vec<Interface> {
    vec![v0::host_api()]
}

/// The contract of a component, by what it exports.
pub(crate) fn of(facts: &ComponentFacts) -> Result<&'static Contract, LoadError> {
    let exported = |name: &str| facts.exports.iter().find(|export| export.name == name);
    let Some((contract, export)) =
        SERVED.iter().find_map(|contract| exported(contract.exports.0).map(|export| (contract, export)))
    else {
        let newest = SERVED.last().unwrap_or(&v0::CONTRACT);
        let others: Vec<&str> = facts.exports.iter().map(|export| export.name.as_str()).collect();
        return Err(LoadError::MissingExport {
            export: newest.exports.0.to_owned(),
            contract: newest.name,
            hint: if others.is_empty() {
                "it exports nothing; implement the world plugin-world".to_owned()
            } else {
                format!("it exports {}; implement the world plugin-world", others.join(", "))
            },
        });
    };
    for function in contract.exports.1 {
        if !export.functions.iter().any(|own| own == function) {
            return Err(LoadError::MissingExport {
                export: format!("{}.{function}", contract.exports.0),
                contract: contract.name,
                hint: "implement every function of the interface".to_owned(),
            });
        }
    }
    Ok(contract)
}
