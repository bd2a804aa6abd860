//! Judges an upload before anything compiles it.
//!
//! Three passes over the bytes, each cheap and each shielding the next: sections are counted without understanding
//! them (the validator itself can be kept busy for seconds by two kilobytes of types, and the compiler flattens
//! nested components before it looks at any limit); then the validator checks the whole with our set of features;
//! then imports, exports, memories and data are read off.

mod count;
mod features;

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::TypesRef;
use wasmparser::{BinaryReaderError, ComponentExternalKind, ComponentTypeRef, Parser, Payload};

use crate::error::LoadError;

/// An interface that a component imports or exports, with its functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceUse {
    /// Its full name; the bare name of what is no interface.
    pub name: String,
    /// The functions used of it.
    pub functions: Vec<String>,
}

/// What can be said of a component without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentFacts {
    /// What it imports.
    pub imports: Vec<InterfaceUse>,
    /// What it exports.
    pub exports: Vec<InterfaceUse>,
}

/// Judges a component and tells what it imports and exports.
pub fn check(wasm: &[u8], max_size: u64, max_memory: u64) -> Result<ComponentFacts, LoadError> {
    if wasm.len() as u64 > max_size {
        return Err(LoadError::TooLarge { size: wasm.len() as u64, allowed: max_size });
    }
    header(wasm)?;
    count::sections(wasm, max_memory)?;
    let types = features::validate(wasm)?;
    facts(wasm, types.as_ref())
}

fn header(wasm: &[u8]) -> Result<(), LoadError> {
    const MAGIC: &[u8] = b"\0asm";
    match wasm.get(..4) {
        Some(MAGIC) => {}
        None if MAGIC.starts_with(wasm) && !wasm.is_empty() => return Err(LoadError::Truncated(wasm.len())),
        _ => return Err(LoadError::NotWasm),
    }
    match wasm.get(4..8) {
        Some([1, 0, 0, 0]) => Err(LoadError::CoreModule),
        Some(_) => Ok(()),
        None => Err(LoadError::Truncated(wasm.len())),
    }
}

fn malformed(wasm: &[u8], error: &BinaryReaderError) -> LoadError {
    if error.message().contains("unexpected end") {
        LoadError::Truncated(wasm.len())
    } else {
        LoadError::Invalid(error.to_string())
    }
}

/// Reads imports and exports off a component that is valid.
fn facts(wasm: &[u8], types: TypesRef<'_>) -> Result<ComponentFacts, LoadError> {
    let mut facts = ComponentFacts::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| malformed(wasm, &error))? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    let import = import.map_err(|error| malformed(wasm, &error))?;
                    let name = import.name.name;
                    let functions = match (import.ty, types.component_item_for_import(name)) {
                        (ComponentTypeRef::Instance(_), Some(item)) => functions(types, &item.ty),
                        _ => Vec::new(),
                    };
                    facts.imports.push(InterfaceUse { name: name.to_owned(), functions });
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export.map_err(|error| malformed(wasm, &error))?;
                    let name = export.name.name;
                    let functions = match (export.kind, types.component_item_for_export(name)) {
                        (ComponentExternalKind::Instance, Some(item)) => functions(types, &item.ty),
                        _ => Vec::new(),
                    };
                    facts.exports.push(InterfaceUse { name: name.to_owned(), functions });
                }
            }
            _ => {}
        }
    }
    Ok(facts)
}

fn functions(types: TypesRef<'_>, entity: &ComponentEntityType) -> Vec<String> {
    let ComponentEntityType::Instance(id) = entity else { return Vec::new() };
    let Some(instance) = types.get(*id) else { return Vec::new() };
    instance
        .exports
        .iter()
        .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The manifest that a component carries in its custom section, if it has one. Reads no more than the outermost
/// sections, so that a plugin's name and size can be known before anything else is judged.
pub fn manifest_section(wasm: &[u8]) -> Result<Option<&[u8]>, LoadError> {
    header(wasm)?;
    let mut depth = 0_usize;
    let mut found = None;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| malformed(wasm, &error))? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section)
                if depth == 1
                    && section.name() == erp_plugin_model::manifest::SECTION
                    && found.replace(section.data()).is_some() =>
            {
                return Err(LoadError::Invalid("it carries two manifests; build it again".to_owned()));
            }
            _ => {}
        }
    }
    Ok(found)
}
