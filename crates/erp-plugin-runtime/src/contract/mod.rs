//! Released contracts: their interfaces, and how their exports are called.

mod types;
mod v0;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, InstancePre};

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
    /// The interface that a guest of this contract exports, and its functions with their types.
    pub(crate) exports: (&'static str, &'static [(&'static str, &'static str)]),
    /// Finds the exports of a component.
    pub(crate) probe: fn(&InstancePre<HostState>) -> wasmtime::Result<Box<dyn GuestExports>>,
}

impl Contract {
    /// Compares what a component exports with the contract, function by function.
    pub(crate) fn check_types(&self, component: &Component) -> Result<(), LoadError> {
        let engine = component.engine();
        let component = component.component_type();
        let Some(ComponentItem::ComponentInstance(exported)) =
            component.get_export(engine, self.exports.0).map(|export| export.ty)
        else {
            // That it is an interface was read off the same bytes.
            return Ok(());
        };
        for (name, wanted) in self.exports.1 {
            if let Some(ComponentItem::ComponentFunc(function)) =
                exported.get_export(engine, name).map(|export| export.ty)
            {
                let found = types::spell(&function);
                if found != *wanted {
                    let detail = format!("its {name} is {found}, and must be {wanted}");
                    return Err(LoadError::Mismatch { contract: self.name, detail });
                }
            }
        }
        Ok(())
    }
}

/// Every contract that is served.
const SERVED: &[Contract] = &[v0::CONTRACT];

/// The interfaces of every contract that is served.
pub(crate) fn interfaces() -> Vec<Interface> {
    vec![v0::host_api()]
}

/// The contract of a component, by what it imports and exports.
pub(crate) fn of(facts: &ComponentFacts) -> Result<&'static Contract, LoadError> {
    let imported = imported_version(facts)?;
    let contract = exported_contract(facts)?;
    match imported {
        Some(version) if version != contract.name => Err(mixed([version, contract.name])),
        _ => Ok(contract),
    }
}

/// The version of the contract whose interfaces a component imports; `None` when it imports none.
fn imported_version(facts: &ComponentFacts) -> Result<Option<&str>, LoadError> {
    let versions = facts.imports.iter().filter_map(|import| Some((version_of(&import.name)?, &import.name)));
    let versions: Vec<(&str, &String)> = versions.collect();
    let Some((version, import)) = versions.first() else { return Ok(None) };
    if versions.iter().any(|(other, _)| other != version) {
        return Err(mixed(versions.iter().map(|(version, _)| *version)));
    }
    if !SERVED.iter().any(|contract| contract.name == *version) {
        return Err(LoadError::NotServed {
            version: (*version).to_owned(),
            import: (*import).clone(),
            served: SERVED.iter().map(|contract| contract.name).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(Some(version))
}

/// The version of the contract that an interface belongs to, if it belongs to one: v0 has none in its name.
fn version_of(interface: &str) -> Option<&str> {
    let name = interface.strip_prefix("erp:plugin/")?;
    Some(name.split_once('@').map_or(v0::CONTRACT.name, |(_, version)| version))
}

fn mixed<'a>(versions: impl IntoIterator<Item = &'a str>) -> LoadError {
    let versions: BTreeSet<&str> = versions.into_iter().collect();
    LoadError::MixedContracts(versions.into_iter().collect::<Vec<_>>().join(" and "))
}

fn exported_contract(facts: &ComponentFacts) -> Result<&'static Contract, LoadError> {
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
    for (function, _) in contract.exports.1 {
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
