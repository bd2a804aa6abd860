//! What can be told from a file without running it.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use sha2::{Digest, Sha256};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::TypesRef;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::WasmError;

/// The package that every contract is a version of.
const CONTRACT_PACKAGE: &str = "erp:plugin";

/// Core module or component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What compilers write; no host takes it.
    CoreModule,
    /// What a host takes.
    Component,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CoreModule => "core module",
            Self::Component => "component",
        })
    }
}

/// Something that a file imports or exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Such as `erp:plugin/host-api`; of a bare function its own name.
    pub name: String,
    /// Its functions, sorted; of a bare function none.
    pub functions: Vec<String>,
}

/// Which contract a component is built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contract {
    /// It uses nothing of ours.
    None,
    /// `0` for the first, unversioned contract, `1.0` for `erp:plugin@1.0.0`, and so on.
    One(String),
    /// Several at once, which no host takes.
    Mixed(Vec<String>),
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no contract"),
            Self::One(version) => write!(f, "contract {version}"),
            Self::Mixed(versions) => write!(f, "contracts {}", versions.join(" and ")),
        }
    }
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Core module or component.
    pub kind: Kind,
    /// In bytes.
    pub size: usize,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// In the order of the file.
    pub imports: Vec<Interface>,
    /// In the order of the file.
    pub exports: Vec<Interface>,
}

impl Facts {
    /// Validates the file and reads what it imports and exports.
    pub fn read(bytes: &[u8]) -> Result<Self, WasmError> {
        let kind = if Parser::is_component(bytes) {
            Kind::Component
        } else if Parser::is_core_wasm(bytes) {
            Kind::CoreModule
        } else {
            return Err(WasmError::NotWasm);
        };
        let types = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes)?;
        let mut imports = Vec::new();
        let mut exports = Vec::new();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                // The last end is the file's own.
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import?.name.name;
                        let item = types.as_ref().component_item_for_import(name);
                        imports.push(interface(name, item.map(|item| item.ty), types.as_ref()));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let name = export?.name.name;
                        let item = types.as_ref().component_item_for_export(name);
                        exports.push(interface(name, item.map(|item| item.ty), types.as_ref()));
                    }
                }
                Payload::ImportSection(section) if kind == Kind::CoreModule => {
                    for import in section.into_imports() {
                        let import = import?;
                        add_function(&mut imports, import.module, import.name);
                    }
                }
                Payload::ExportSection(section) if kind == Kind::CoreModule => {
                    for export in section {
                        exports.push(Interface { name: export?.name.to_owned(), functions: Vec::new() });
                    }
                }
                _ => {}
            }
        }
        Ok(Self { kind, size: bytes.len(), sha256: sha256(bytes), imports, exports })
    }

    /// Which contract the file is built for, by the interfaces that it imports and exports.
    pub fn contract(&self) -> Contract {
        let versions: BTreeSet<String> = self
            .imports
            .iter()
            .chain(&self.exports)
            .filter_map(|interface| contract_of(&interface.name))
            .collect();
        let mut versions: Vec<String> = versions.into_iter().collect();
        match (versions.pop(), versions.is_empty()) {
            (None, _) => Contract::None,
            (Some(version), true) => Contract::One(version),
            (Some(version), false) => {
                versions.push(version);
                Contract::Mixed(versions)
            }
        }
    }
}

fn interface(name: &str, ty: Option<ComponentEntityType>, types: TypesRef<'_>) -> Interface {
    let mut functions = Vec::new();
    if let Some(ComponentEntityType::Instance(id)) = ty {
        let items = types.get(id).into_iter().flat_map(|instance| &instance.exports);
        functions.extend(
            items
                .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                .map(|(name, _)| name.clone()),
        );
        functions.sort();
    }
    Interface { name: name.to_owned(), functions }
}

fn add_function(interfaces: &mut Vec<Interface>, module: &str, function: &str) {
    match interfaces.iter_mut().find(|interface| interface.name == module) {
        Some(interface) => interface.functions.push(function.to_owned()),
        None => interfaces.push(Interface { name: module.to_owned(), functions: vec![function.to_owned()] }),
    }
}

/// `erp:plugin/host-api` is of contract 0, `erp:plugin/records@1.0.0` of 1.0, `acme:pricing/prices` of none.
fn contract_of(interface: &str) -> Option<String> {
    let rest = interface.strip_prefix(CONTRACT_PACKAGE)?.strip_prefix('/')?;
    let Some((_, version)) = rest.split_once('@') else { return Some("0".to_owned()) };
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(wat: &str) -> Facts {
        Facts::read(&wat::parse_str(wat).unwrap()).unwrap()
    }

    #[test]
    fn imports_are_listed_with_their_functions_and_tell_the_contract() {
        let facts = facts(
            r#"(component
                (import "erp:plugin/host-api" (instance
                    (export "log-write" (func (param "level" string) (param "message" string)))
                    (export "db-delete" (func (param "entity" string) (param "id" string)))))
                (component (import "erp:plugin/records@1.0.0" (instance))))"#,
        );
        assert_eq!(facts.kind, Kind::Component);
        assert_eq!(
            facts.imports,
            [Interface {
                name: "erp:plugin/host-api".to_owned(),
                functions: vec!["db-delete".to_owned(), "log-write".to_owned()],
            }]
        );
        assert_eq!(facts.exports, []);
        assert_eq!(facts.contract(), Contract::One("0".to_owned()));
    }

    #[test]
    fn contracts_are_told_apart_and_a_mix_is_seen() {
        let import = |name: &str| format!(r#"(import "{name}" (instance))"#);
        let contract = |names: &[&str]| {
            facts(&format!("(component {})", names.iter().map(|name| import(name)).collect::<String>()))
                .contract()
        };
        assert_eq!(contract(&["acme:pricing/prices@2.0.0"]), Contract::None);
        assert_eq!(contract(&["erp:plugin/records@1.0.0"]), Contract::One("1.0".to_owned()));
        assert_eq!(
            contract(&["erp:plugin/host-api", "erp:plugin/log@1.0.0"]),
            Contract::Mixed(vec!["0".to_owned(), "1.0".to_owned()])
        );
    }

    #[test]
    fn a_core_module_is_described_too() {
        let facts =
            facts(r#"(module (import "env" "a" (func)) (import "env" "b" (func)) (func (export "run")))"#);
        assert_eq!(facts.kind, Kind::CoreModule);
        assert_eq!(
            facts.imports,
            [Interface { name: "env".to_owned(), functions: vec!["a".to_owned(), "b".to_owned()] }]
        );
        assert_eq!(facts.exports, [Interface { name: "run".to_owned(), functions: Vec::new() }]);
    }

    #[test]
    fn size_and_hash_are_those_of_the_file() {
        let facts = facts("(module)");
        assert_eq!(facts.size, 8);
        assert_eq!(facts.sha256, "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476");
    }

    #[test]
    fn other_files_and_damaged_ones_are_told_apart() {
        assert!(matches!(Facts::read(b"hello"), Err(WasmError::NotWasm)));
        let mut module = wat::parse_str("(module (func))").unwrap();
        module.pop();
        assert!(matches!(Facts::read(&module), Err(WasmError::Invalid { .. })));
    }
}
