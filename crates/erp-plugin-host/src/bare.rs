//! Components without a manifest.

use erp_plugin_model::PluginName;
use erp_plugin_model::ids::InvalidName;

/// The name of a plugin that has no manifest, from its file's name: less `.wasm`, `.component` and a leading
/// `erp_plugin_`, in lower case, with `-` for `_`.
pub fn plugin_name_from_file(file_name: &str) -> Result<PluginName, InvalidName> {
    let stem = file_name.strip_suffix(".wasm").unwrap_or(file_name);
    let stem = stem.strip_suffix(".component").unwrap_or(stem).to_lowercase();
    let stem = stem.strip_prefix("erp_plugin_").unwrap_or(&stem);
    PluginName::parse(&stem.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_becomes_a_plugins_name() {
        for (file, name) in [
            ("erp_plugin_demo.component.wasm", "demo"),
            ("Erp_Plugin_Stock_Take.wasm", "stock-take"),
            ("crm.component.wasm", "crm"),
        ] {
            assert_eq!(plugin_name_from_file(file).unwrap().as_str(), name);
        }
        assert!(plugin_name_from_file("01-loop.wasm").is_err());
    }
}
