//! The manifest inside a component: canonical JSON in the custom section [`SECTION`].

use std::ops::Range;

use erp_plugin_model::Manifest;
pub use erp_plugin_model::manifest::SECTION;
use wasm_encoder::{ComponentSection, CustomSection};

use crate::WasmError;
use crate::section::custom_sections;

/// The component with this manifest, in place of the one that it may have had.
pub fn embed(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, WasmError> {
    let mut component = strip(component)?;
    let data = manifest.to_canonical_json();
    CustomSection { name: SECTION.into(), data: data.into() }.append_to_component(&mut component);
    Ok(component)
}

/// The manifest of a component, if it has one.
pub fn read(component: &[u8]) -> Result<Option<Manifest>, WasmError> {
    let mut sections: Vec<_> =
        custom_sections(component)?.into_iter().filter(|section| section.name == SECTION).collect();
    if sections.len() > 1 {
        return Err(WasmError::SeveralManifests(sections.len()));
    }
    sections.pop().map(|section| Manifest::from_json(section.data)).transpose().map_err(WasmError::Manifest)
}

/// The component without its manifest, byte for byte as it was before [`embed`].
pub fn strip(component: &[u8]) -> Result<Vec<u8>, WasmError> {
    let mut stripped = Vec::with_capacity(component.len());
    let mut kept_from = 0;
    for section in custom_sections(component)? {
        if section.name == SECTION {
            stripped.extend_from_slice(slice(component, kept_from..section.range.start));
            kept_from = section.range.end;
        }
    }
    stripped.extend_from_slice(slice(component, kept_from..component.len()));
    Ok(stripped)
}

fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str) -> Manifest {
        let toml =
            format!("manifest = 1\n[plugin]\nname = {name:?}\nversion = \"1.0.0\"\ncontract = \"0\"\n");
        Manifest::from_toml(&toml).unwrap()
    }

    /// A component with everything that could be mistaken for its own custom sections.
    fn nested() -> Vec<u8> {
        let wat = r#"(component
            (@custom "before" "1")
            (core module (@custom "erp-plugin:manifest" "of the module"))
            (component (@custom "erp-plugin:manifest" "of the component inside"))
            (@custom "after" "2"))"#;
        wat::parse_str(wat).unwrap()
    }

    #[test]
    fn a_manifest_comes_out_as_it_went_in() {
        let component = embed(&nested(), &manifest("alpha")).unwrap();
        wasmparser::validate(&component).unwrap();
        assert_eq!(read(&component).unwrap().unwrap(), manifest("alpha"));
    }

    #[test]
    fn a_second_manifest_replaces_the_first() {
        let first = embed(&nested(), &manifest("alpha")).unwrap();
        let second = embed(&first, &manifest("beta")).unwrap();
        assert_eq!(second, embed(&nested(), &manifest("beta")).unwrap());
    }

    #[test]
    fn stripping_gives_the_component_back_byte_for_byte() {
        let component = embed(&nested(), &manifest("alpha")).unwrap();
        assert_eq!(strip(&component).unwrap(), nested());
        assert_eq!(strip(&nested()).unwrap(), nested());
    }

    #[test]
    fn manifests_of_what_is_inside_are_not_the_components_own() {
        assert_eq!(read(&nested()).unwrap(), None);
    }

    #[test]
    fn two_manifests_are_refused() {
        let mut component = embed(&nested(), &manifest("alpha")).unwrap();
        CustomSection { name: SECTION.into(), data: b"{}".into() }.append_to_component(&mut component);
        assert!(matches!(read(&component), Err(WasmError::SeveralManifests(2))));
    }

    #[test]
    fn a_damaged_manifest_is_an_error_and_not_an_absent_one() {
        let mut component = nested();
        CustomSection { name: SECTION.into(), data: b"{".into() }.append_to_component(&mut component);
        assert!(matches!(read(&component), Err(WasmError::Manifest(_))));
    }

    #[test]
    fn a_component_that_is_cut_off_anywhere_shows_no_manifest() {
        let component = embed(&nested(), &manifest("alpha")).unwrap();
        for length in 0..component.len() {
            let cut = component.get(..length).unwrap();
            assert!(!matches!(read(cut), Ok(Some(_))), "cut at {length}");
        }
    }

    #[test]
    fn core_modules_and_other_files_are_told_apart() {
        assert!(matches!(read(&wat::parse_str("(module)").unwrap()), Err(WasmError::CoreModule)));
        assert!(matches!(read(b"PK\x03\x04"), Err(WasmError::NotWasm)));
    }
}
