//! Counts what an upload holds, section by section, without understanding it.

use wasmparser::{ComponentType, Encoding, Parser, Payload};

use super::malformed;
use crate::engine::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES};
use crate::error::LoadError;
use crate::limiter::TABLE_ELEMENTS;

/// The most of each kind of thing in one component.
const MAX_MODULES: u64 = 16;
const MAX_INSTANCE_ENTRIES: u64 = 64;
const MAX_INNER_COMPONENTS: u64 = 16;
const MAX_TYPES: u64 = 2_000;
const MAX_CORE_TYPES: u64 = 10_000;
const MAX_CORE_FUNCTIONS: u64 = 60_000;
const MAX_EXPORTS: u64 = 1_000;
const MAX_IMPORTS: u64 = 1_000;
const MAX_ALIASES: u64 = 10_000;
/// Each becomes a piece of native code.
const MAX_CANONICAL_FUNCTIONS: u64 = 2_000;
/// What one type may hold, declarations and fields together.
const MAX_TYPE_ITEMS: u64 = 1_000;

/// A count against what is allowed.
struct Tally {
    what: &'static str,
    found: u64,
    allowed: u64,
}

impl Tally {
    const fn new(what: &'static str, allowed: u64) -> Self {
        Self { what, found: 0, allowed }
    }

    fn add(&mut self, more: u64) -> Result<(), LoadError> {
        self.found = self.found.saturating_add(more);
        if self.found > self.allowed {
            return Err(LoadError::TooMany { what: self.what, found: self.found, allowed: self.allowed });
        }
        Ok(())
    }
}

/// Counts sections of every nested component and module, and checks memories and data, without validating.
pub(super) fn sections(wasm: &[u8], max_memory: u64) -> Result<(), LoadError> {
    let mut modules = Tally::new("core modules", MAX_MODULES);
    let mut core_instances = Tally::new("core instances", u64::from(MAX_CORE_INSTANCES));
    let mut instances = Tally::new("component instances", MAX_INSTANCE_ENTRIES);
    let mut inner = Tally::new("inner components", MAX_INNER_COMPONENTS);
    let mut types = Tally::new("types", MAX_TYPES);
    let mut core_types = Tally::new("core types", MAX_CORE_TYPES);
    let mut functions = Tally::new("functions", MAX_CORE_FUNCTIONS);
    let mut exports = Tally::new("exports", MAX_EXPORTS);
    let mut imports = Tally::new("imports", MAX_IMPORTS);
    let mut aliases = Tally::new("aliases", MAX_ALIASES);
    let mut canonical = Tally::new("canonical functions", MAX_CANONICAL_FUNCTIONS);
    let mut tables = Tally::new("tables", u64::from(MAX_TABLES));
    let mut memories = Tally::new("memories", u64::from(MAX_MEMORIES));
    let mut memory_bytes = 0_u64;
    // What surrounds the section that is being read, outermost first.
    let mut nesting: Vec<Encoding> = Vec::new();
    let mut module_memory = 0_u64;

    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| malformed(wasm, &error))?;
        let in_inner_component = nesting.iter().filter(|around| **around == Encoding::Component).count() > 1;
        match &payload {
            Payload::Version { encoding, .. } => {
                nesting.push(*encoding);
                module_memory = 0;
                match encoding {
                    Encoding::Module if in_inner_component => {
                        return Err(LoadError::Invalid(
                            "an inner component holds a core module; components are not to be composed"
                                .to_owned(),
                        ));
                    }
                    Encoding::Module => modules.add(1)?,
                    Encoding::Component if nesting.len() > 2 => {
                        return Err(LoadError::Invalid(
                            "components are nested in one another too deeply".to_owned(),
                        ));
                    }
                    Encoding::Component if nesting.len() == 2 => inner.add(1)?,
                    Encoding::Component => {}
                }
            }
            Payload::End(_) => {
                nesting.pop();
            }
            Payload::InstanceSection(section) => {
                core_instances.add(
                    section
                        .clone()
                        .into_iter()
                        .filter(|instance| matches!(instance, Ok(wasmparser::Instance::Instantiate { .. })))
                        .count() as u64,
                )?;
                instances.add(u64::from(section.count()))?;
            }
            Payload::ComponentInstanceSection(_) if in_inner_component => {
                return Err(LoadError::Invalid("an inner component makes instances of its own".to_owned()));
            }
            Payload::ComponentInstanceSection(section) => instances.add(u64::from(section.count()))?,
            Payload::ComponentTypeSection(section) => {
                types.add(u64::from(section.count()))?;
                for item in section.clone() {
                    let item = item.map_err(|error| malformed(wasm, &error))?;
                    let size = type_items(&item);
                    if size > MAX_TYPE_ITEMS {
                        return Err(LoadError::TooMany {
                            what: "parts in one type",
                            found: size,
                            allowed: MAX_TYPE_ITEMS,
                        });
                    }
                    types.add(size)?;
                }
            }
            Payload::TypeSection(section) => core_types.add(u64::from(section.count()))?,
            Payload::FunctionSection(section) => functions.add(u64::from(section.count()))?,
            Payload::ComponentImportSection(section) => imports.add(u64::from(section.count()))?,
            Payload::ComponentAliasSection(section) => aliases.add(u64::from(section.count()))?,
            Payload::ComponentCanonicalSection(section) => canonical.add(u64::from(section.count()))?,
            Payload::ComponentExportSection(section) => exports.add(u64::from(section.count()))?,
            Payload::ExportSection(section) => exports.add(u64::from(section.count()))?,
            Payload::TableSection(section) => {
                tables.add(u64::from(section.count()))?;
                for table in section.clone() {
                    let table = table.map_err(|error| malformed(wasm, &error))?;
                    if table.ty.initial > TABLE_ELEMENTS as u64 {
                        return Err(LoadError::TooMany {
                            what: "elements in a table",
                            found: table.ty.initial,
                            allowed: TABLE_ELEMENTS as u64,
                        });
                    }
                }
            }
            Payload::MemorySection(section) => {
                memories.add(u64::from(section.count()))?;
                for memory in section.clone() {
                    let memory = memory.map_err(|error| malformed(wasm, &error))?;
                    let bytes =
                        memory.initial.saturating_mul(1 << memory.page_size_log2.unwrap_or(16).min(16));
                    module_memory = module_memory.max(bytes);
                    memory_bytes = memory_bytes.saturating_add(bytes);
                }
                if memory_bytes > max_memory {
                    return Err(LoadError::Invalid(format!(
                        "it begins with {} MiB of memory, {} MiB are allowed",
                        memory_bytes.div_ceil(1 << 20),
                        max_memory >> 20
                    )));
                }
            }
            Payload::DataSection(section) => {
                for segment in section.clone() {
                    let segment = segment.map_err(|error| malformed(wasm, &error))?;
                    check_data(&segment, module_memory)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A data segment at a constant place must lie in the memory it fills.
fn check_data(segment: &wasmparser::Data<'_>, memory: u64) -> Result<(), LoadError> {
    let wasmparser::DataKind::Active { offset_expr, .. } = &segment.kind else { return Ok(()) };
    let mut reader = offset_expr.get_operators_reader();
    let Ok(wasmparser::Operator::I32Const { value }) = reader.read() else { return Ok(()) };
    let end = u64::from(value.cast_unsigned()).saturating_add(segment.data.len() as u64);
    // A module that imports its memory has none of its own to compare with.
    if memory > 0 && end > memory {
        return Err(LoadError::Invalid(format!(
            "a data segment ends at byte {end}, outside of the module's {memory} bytes of memory"
        )));
    }
    Ok(())
}

/// How many parts a type has, those of its own declarations included.
fn type_items(item: &ComponentType<'_>) -> u64 {
    match item {
        ComponentType::Component(declarations) => declarations
            .iter()
            .map(|declaration| match declaration {
                wasmparser::ComponentTypeDeclaration::Type(inner) => 1 + type_items(inner),
                _ => 1,
            })
            .sum(),
        ComponentType::Instance(declarations) => declarations
            .iter()
            .map(|declaration| match declaration {
                wasmparser::InstanceTypeDeclaration::Type(inner) => 1 + type_items(inner),
                _ => 1,
            })
            .sum(),
        ComponentType::Func(function) => 1 + function.params.len() as u64,
        ComponentType::Defined(_) | ComponentType::Resource { .. } => 1,
    }
}
