//! What commands read: components, payloads, configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use erp_plugin::manifest::MAX_MAX_SIZE;
use erp_plugin::{
    HostError, HostFailure, InstallOptions, LoadError, PluginName, plugin_name_from_file, validate,
};
use serde_json::{Map, Value};

/// The bytes of a component.
pub(crate) fn component(path: &Path) -> Result<Arc<[u8]>> {
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than anybody may have tells that there is too much, however much there is.
        File::open(path)?.take(MAX_MAX_SIZE + 1).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let bytes = read().with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > MAX_MAX_SIZE {
        let size = path.metadata().map_or(bytes.len() as u64, |metadata| metadata.len());
        return Err(HostFailure::Load(LoadError::TooLarge { size, allowed: MAX_MAX_SIZE }).into());
    }
    Ok(bytes.into())
}

/// How a component is to be installed: one without a manifest is called after its file unless it is given a name.
pub(crate) fn install_options(
    path: &Path,
    component: &[u8],
    name: Option<PluginName>,
) -> Result<InstallOptions> {
    // What is no component is refused by the host, with its own words.
    let bare = validate::manifest_section(component).is_ok_and(|manifest| manifest.is_none());
    let name = match name {
        None if bare => {
            let file = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let from_file = plugin_name_from_file(&file).map_err(HostFailure::Name).with_context(|| {
                format!(
                    "{} has no manifest and its file's name makes no plugin name; give one with --name",
                    path.display()
                )
            })?;
            Some(from_file)
        }
        given => given,
    };
    Ok(InstallOptions { name, ..InstallOptions::default() })
}

/// The value of an option: JSON, or `@` and the file that holds it.
pub(crate) fn json(text: &str, option: &str) -> Result<Value> {
    let (json, place) = match text.strip_prefix('@') {
        Some(path) => {
            let json = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            (json, path)
        }
        None => (text.to_owned(), option),
    };
    parsed(&json, place, &format!("give {option} JSON or {option} @FILE"))
}

/// As [`json`], of an argument: also `-` for what standard input holds.
pub(crate) fn json_or_stdin(text: &str) -> Result<Value> {
    if text == "-" {
        let json = std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?;
        return parsed(&json, "standard input", "give one JSON value");
    }
    if text.starts_with('@') {
        return json(text, "DATA");
    }
    parsed(text, "DATA", "give JSON, @FILE, or - for standard input")
}

fn parsed(json: &str, place: &str, way_out: &str) -> Result<Value> {
    serde_json::from_str(json)
        .map_err(|error| HostError::invalid(format!("{place} is not JSON: {error}; {way_out}")).into())
}

/// A plugin's configuration: a JSON object, or TOML, whose keys are the plugin's own.
pub(crate) fn config(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let wrong =
        |what: &str, why: String| HostError::invalid(format!("{} is not {what}: {why}", path.display()));
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| wrong("a JSON object", error.to_string()).into());
    }
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        wrong("TOML, nor a JSON object", format!("line {line}: {}", error.message()))
    })?;
    Ok(table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::from(truth),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(list) => list.into_iter().map(from_toml).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, from_toml(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(text: &str) -> Result<Map<String, Value>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, text).unwrap();
        config(&path)
    }

    #[test]
    fn configuration_is_json_or_toml() {
        let expected = serde_json::json!({ "greeting": "hi", "limits": { "most": 3 } });
        for text in
            [" {\"greeting\":\"hi\",\"limits\":{\"most\":3}}", "greeting = \"hi\"\n[limits]\nmost = 3\n"]
        {
            assert_eq!(Value::Object(config_of(text).unwrap()), expected);
        }
        let error = config_of("a = 1\nb = \n").unwrap_err().to_string();
        assert!(error.contains("is not TOML") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_payload_that_is_no_json_says_where_it_came_from() {
        let error = json("{oops", "--payload").unwrap_err().to_string();
        assert!(error.starts_with("invalid-input: --payload is not JSON"), "{error}");
    }
}
