//! Custom sections of a component, at its top level: those inside the modules and components that it holds belong
//! to somebody else.

use std::ops::Range;

use wasmparser::{Chunk, Parser, Payload};

use crate::WasmError;

/// A custom section, and where it lies.
pub(crate) struct CustomSection<'a> {
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
    /// From its id byte to its end.
    pub(crate) range: Range<usize>,
}

/// The custom sections of a component, in order.
pub(crate) fn custom_sections(component: &[u8]) -> Result<Vec<CustomSection<'_>>, WasmError> {
    if Parser::is_core_wasm(component) {
        return Err(WasmError::CoreModule);
    }
    if !Parser::is_component(component) {
        return Err(WasmError::NotWasm);
    }
    let mut sections = Vec::new();
    let mut parser = Parser::new(0);
    let mut start = 0;
    loop {
        let rest = component.get(start..).unwrap_or_default();
        // All bytes are here, so the parser never asks for more; it reports what is cut off instead.
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else { return Ok(sections) };
        let mut end = start + consumed;
        match payload {
            Payload::CustomSection(section) => {
                sections.push(CustomSection {
                    name: section.name(),
                    data: section.data(),
                    range: start..end,
                });
            }
            // What is inside is stepped over, not looked into.
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                end = unchecked_range.end;
            }
            Payload::End(_) => return Ok(sections),
            _ => {}
        }
        start = end;
    }
}
