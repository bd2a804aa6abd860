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

/// Validates with our features. What is refused for a feature is told by that feature's name: one without which it
/// would not be valid even with every other.
pub(super) fn validate(wasm: &[u8]) -> Result<Types, LoadError> {
    let allowed = allowed_features();
    let error = match Validator::new_with_features(allowed).validate_all(wasm) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    let is_valid = |features| Validator::new_with_features(features).validate_all(wasm).is_ok();
    if is_valid(WasmFeatures::all()) {
        let needed: Vec<String> = WasmFeatures::all()
            .iter_names()
            .filter(|(_, feature)| !allowed.contains(*feature) && !is_valid(WasmFeatures::all() - *feature))
            .map(|(name, _)| name.to_lowercase().replace('_', "-"))
            .collect();
        let needed = needed.join(", ");
        return Err(LoadError::Invalid(format!("it uses {needed}, which is off; build without ({error})")));
    }
    Err(malformed(wasm, &error))
}
