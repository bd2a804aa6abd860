//! A table of the manifest while it is being read: every key is taken once, and a key that nobody took is an error
//! with the nearest known one.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::ManifestError;
use crate::Labels;

pub(super) struct Table<'a> {
    path: String,
    map: &'a Map<String, Json>,
    known: BTreeSet<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(path: impl Into<String>, value: &'a Json) -> Result<Self, ManifestError> {
        let path = path.into();
        match value {
            Json::Object(map) => Ok(Self { path, map, known: BTreeSet::new() }),
            other => Err(ManifestError::new(&path, format!("must be a table, not {other}"))),
        }
    }

    /// The full path of a key; of the table itself when the key is empty.
    pub(super) fn path(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ManifestError {
        ManifestError::new(&self.path(key), message)
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<&'a Json> {
        self.known.insert(key);
        self.map.get(key)
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<&'a str>, ManifestError> {
        match self.take(key) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(key, format!("must be a string, not {other}"))),
        }
    }

    pub(super) fn required_string(&mut self, key: &'static str) -> Result<&'a str, ManifestError> {
        self.string(key)?.ok_or_else(|| self.error(key, "is missing"))
    }

    /// A length of time such as `500ms`, `2s` or `1h 30m`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        max: Duration,
    ) -> Result<Option<Duration>, ManifestError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let wrong = |why: &str| self.error(key, format!("is {text:?}: {why}"));
        let duration = humantime::parse_duration(text)
            .map_err(|_| wrong("it must be a length of time such as 500ms, 2s or 1h 30m"))?;
        if duration > max {
            return Err(wrong(&format!("at most {} is allowed", humantime::format_duration(max))));
        }
        Ok(Some(duration))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<bool, ManifestError> {
        match self.take(key) {
            None => Ok(false),
            Some(Json::Bool(truth)) => Ok(*truth),
            Some(other) => Err(self.error(key, format!("must be true or false, not {other}"))),
        }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        min: u64,
        max: u64,
    ) -> Result<Option<u64>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.as_u64().filter(|number| (min..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(key, format!("must be a whole number from {min} to {max}, not {value}"))),
        }
    }

    /// A list of at most so many strings.
    pub(super) fn strings(&mut self, key: &'static str, max: usize) -> Result<Vec<&'a str>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let strings = value
            .as_array()
            .and_then(|list| list.iter().map(Json::as_str).collect::<Option<Vec<_>>>())
            .ok_or_else(|| self.error(key, format!("must be a list of strings, not {value}")))?;
        self.at_most(key, strings.len(), max)?;
        Ok(strings)
    }

    fn at_most(&self, key: &str, count: usize, max: usize) -> Result<(), ManifestError> {
        if count > max {
            return Err(self.error(key, format!("has {count} entries, {max} are allowed")));
        }
        Ok(())
    }

    pub(super) fn labels(&mut self, key: &'static str) -> Result<Labels, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(Labels::default()) };
        if let Json::String(text) = value {
            return Ok(Labels { en: Some(text.clone()), zh: None });
        }
        let mut table = Table::new(self.path(key), value)?;
        let labels =
            Labels { en: table.string("en")?.map(str::to_owned), zh: table.string("zh")?.map(str::to_owned) };
        table.finish()?;
        Ok(labels)
    }

    /// The named entries of a table of at most so many tables, in the order of their names.
    pub(super) fn entries(
        &mut self,
        key: &'static str,
        max: usize,
    ) -> Result<Vec<(&'a str, Table<'a>)>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let path = self.path(key);
        let Json::Object(map) = value else {
            return Err(ManifestError::new(&path, format!("must be a table, not {value}")));
        };
        self.at_most(key, map.len(), max)?;
        map.iter()
            .map(|(name, value)| Ok((name.as_str(), Table::new(format!("{path}.{name}"), value)?)))
            .collect()
    }

    /// The members of an array of at most so many tables.
    pub(super) fn list(&mut self, key: &'static str, max: usize) -> Result<Vec<Table<'a>>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let path = self.path(key);
        let Json::Array(list) = value else {
            return Err(ManifestError::new(
                &path,
                format!("must be an array of tables ([[{path}]]), not {value}"),
            ));
        };
        self.at_most(key, list.len(), max)?;
        list.iter().enumerate().map(|(index, value)| Table::new(format!("{path}[{index}]"), value)).collect()
    }

    /// A key that stands for something that this host cannot do yet: an error rather than a silence.
    pub(super) fn reserved(&mut self, key: &'static str) -> Result<(), ManifestError> {
        match self.take(key) {
            None => Ok(()),
            Some(_) => Err(self.error(
                key,
                concat!(
                    "needs erp-plugin ≥ 0.2; this is ",
                    env!("CARGO_PKG_VERSION"),
                    ". Take it out, or update the host"
                ),
            )),
        }
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(self) -> Result<(), ManifestError> {
        let Some(unknown) = self.map.keys().find(|key| !self.known.contains(key.as_str())) else {
            return Ok(());
        };
        let hint = key_hint(unknown, self.known.iter().copied());
        Err(self.error(unknown, format!("is not a known key; {hint}")))
    }
}

/// What to say of a key that is not known: the nearest one that is, else all of them.
#[must_use]
pub fn key_hint<'k>(unknown: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, known)) => format!("did you mean `{known}`?"),
        None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
    }
}
