//! From a core module, which is what a compiler writes, to a component, which is what a host takes.

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::{ComponentError, WasmError};

/// Does what `wasm-tools component new` does. The same module always gives the same bytes.
pub fn component(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    check(module)?;
    let encode = || ComponentEncoder::default().validate(true).module(module)?.encode();
    encode().map_err(|error| ComponentError::Encode(error.into()))
}

/// Finds, before wit-component does, what its messages would leave to guess.
fn check(module: &[u8]) -> Result<(), ComponentError> {
    if Parser::is_component(module) {
        return Err(ComponentError::Already);
    }
    if !Parser::is_core_wasm(module) {
        return Err(WasmError::NotWasm.into());
    }
    let mut says_contract = false;
    let mut foreign = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(WasmError::from)? {
            Payload::CustomSection(section) => says_contract |= section.name().starts_with("component-type"),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(WasmError::from)?;
                    if !is_component_model_name(import.module) {
                        foreign.get_or_insert((import.module, import.name));
                    }
                }
            }
            _ => {}
        }
    }
    if let Some((module, name)) = foreign {
        return Err(ComponentError::ForeignImport { module: module.to_owned(), name: name.to_owned() });
    }
    if says_contract { Ok(()) } else { Err(ComponentError::NoContract) }
}

/// `erp:plugin/host-api`, `$root` and `[export]…` are names of the component model; `env` and
/// `wasi_snapshot_preview1` are not.
fn is_component_model_name(module: &str) -> bool {
    module.contains(':') || module.starts_with(['$', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(wat: &str) -> String {
        component(&wat::parse_str(wat).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_module_that_names_no_contract_is_refused_with_the_way_out() {
        let error = refused("(module)");
        assert!(error.contains("no `component-type` section") && error.contains("export_plugin!"), "{error}");
    }

    #[test]
    fn imports_of_other_platforms_are_named() {
        let error = refused(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#);
        assert!(error.contains("`fd_write` from `wasi_snapshot_preview1`"), "{error}");
        assert!(error.contains("wasm32-unknown-unknown"), "{error}");
        let error = refused(r#"(module (import "__wbindgen_placeholder__" "now" (func)))"#);
        assert!(error.contains("a dependency expects a browser"), "{error}");
    }

    #[test]
    fn what_is_no_core_module_is_told_apart() {
        assert!(matches!(component(b"\x7fELF"), Err(ComponentError::Wasm(WasmError::NotWasm))));
        assert!(matches!(component(&wat::parse_str("(component)").unwrap()), Err(ComponentError::Already)));
        let mut module = wat::parse_str("(module (func))").unwrap();
        module.truncate(module.len() - 1);
        assert!(matches!(component(&module), Err(ComponentError::Wasm(WasmError::Invalid { .. }))));
    }
}
