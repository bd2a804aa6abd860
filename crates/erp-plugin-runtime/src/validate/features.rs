//! Validates an upload with the features that a guest may use.

use wasmparser::types::Types;
use wasmparser::{Validator, WasmFeatures};

use super::malformed;
use crate::error::LoadError;

/// The features of WebAssembly that a guest may use.
fn allowed_features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::BULK_MEMORY_OPT
        | WasmFeatures::CALL_INDIRECT_OVERLONG
}

/// Validates with our features. What is refused for a feature is told by that feature's name: the one that, when it
/// is added, changes what the validator says.
pub(super) fn validate(wasm: &[u8]) -> Result<Types, LoadError> {
    let allowed = allowed_features();
    let error = match Validator::new_with_features(allowed).validate_all(wasm) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    for (name, feature) in WasmFeatures::all().iter_names() {
        if allowed.contains(feature) {
            continue;
        }
        let with_it = Validator::new_with_features(allowed | feature).validate_all(wasm);
        if with_it.is_ok() {
            let name = name.to_lowercase().replace('_', "-");
            return Err(LoadError::Invalid(format!(
                "it uses {name}, which is off; build without it ({error})"
            )));
        }
    }
    Err(malformed(wasm, &error))
}
