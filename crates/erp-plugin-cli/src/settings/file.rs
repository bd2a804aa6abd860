//! The settings file: where it is, what it says, and everything that is wrong with it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use erp_plugin::manifest::key_hint;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Options;
use super::field::Field;
use super::table::{Setting, table};
use crate::database;

/// What it is called where no other one is named.
pub(crate) const NAME: &str = "erp-plugin.toml";
/// The variable that names another one.
pub(crate) const VARIABLE: &str = "ERP_PLUGIN_SETTINGS";

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line that it is in, from 1.
    pub(crate) line: usize,
    /// What, and what would be right.
    pub(crate) text: String,
}

/// What a file says.
pub(crate) struct SettingsFile {
    pub(crate) path: PathBuf,
    /// Key, value as text, line.
    said: Vec<(String, String, usize)>,
    /// In the order of their lines.
    pub(crate) problems: Vec<Problem>,
}

/// The file to use: the one that is named, else the one that the environment names, else the one in the working folder
/// if it is there.
pub(crate) fn find(named: Option<&Path>) -> Option<PathBuf> {
    let by_variable = || env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let here = || Some(PathBuf::from(NAME)).filter(|path| path.exists());
    named.map(Path::to_owned).or_else(by_variable).or_else(here)
}

impl SettingsFile {
    pub(crate) fn read(path: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&path)
            .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
        Ok(Self::parse(path, &text))
    }

    fn parse(path: PathBuf, text: &str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reading = Reading { text, path: &path, said: Vec::new(), problems: Vec::new() };
        for error in &errors {
            let line = reading.line(error.span().map_or(0, |span| span.start));
            reading.problems.push(Problem { line, text: format!("this is no TOML: {}", error.message()) });
        }
        let broken: Vec<usize> = reading.problems.iter().map(|problem| problem.line).collect();
        reading.root(root.get_ref());
        let Reading { said, mut problems, .. } = reading;
        // What could not be read is not wrong for what was made of it.
        let mut after = problems.split_off(broken.len());
        after.retain(|problem| !broken.contains(&problem.line));
        problems.extend(after);
        problems.sort_by_key(|problem| problem.line);
        Self { path, said, problems }
    }

    /// The value that it has for a setting, as text, and the line.
    pub(crate) fn said(&self, setting: &Setting) -> Option<(&str, usize)> {
        let key = setting.key();
        self.said.iter().find(|(own, ..)| *own == key).map(|(_, text, line)| (text.as_str(), *line))
    }
}

struct Reading<'f> {
    text: &'f str,
    path: &'f Path,
    said: Vec<(String, String, usize)>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn wrong(&mut self, at: usize, text: String) {
        let line = self.line(at);
        self.problems.push(Problem { line, text });
    }

    fn root(&mut self, root: &DeTable<'_>) {
        let settings = table();
        let mut known: Vec<&str> = Vec::new();
        for setting in &settings {
            let name = if setting.section.is_empty() { setting.name } else { setting.section };
            if !known.contains(&name) {
                known.push(name);
            }
        }
        for (key, value) in root {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let own: Vec<&Setting> = settings.iter().filter(|setting| setting.section == name).collect();
            match (settings.iter().find(|own| own.section.is_empty() && own.name == name), value.get_ref()) {
                (Some(setting), _) => self.value(setting, at, value),
                (None, DeValue::Table(inner)) if !own.is_empty() => self.section(name, &own, inner),
                (None, other) if !own.is_empty() => {
                    self.wrong(at, format!("{name} is {}: it must be a table: [{name}]", shown(other)));
                }
                (None, _) => {
                    let hint = key_hint(name, known.iter().copied());
                    self.wrong(at, format!("{name} is not a known key; {hint}"));
                }
            }
        }
    }

    fn section(&mut self, section: &str, settings: &[&Setting], inner: &DeTable<'_>) {
        for (key, value) in inner {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            match settings.iter().find(|setting| setting.name == name) {
                Some(setting) => self.value(setting, at, value),
                None => {
                    let hint = key_hint(name, settings.iter().map(|setting| setting.name));
                    self.wrong(at, format!("{section}.{name} is not a known key; {hint}"));
                }
            }
        }
    }

    fn value(&mut self, setting: &Setting, at: usize, value: &Spanned<DeValue<'_>>) {
        let read = match setting.field.text_of(value.get_ref()) {
            Some(text) => {
                setting.field.set(&mut Options::default(), &text).map(|()| self.seen_from_file(setting, text))
            }
            None => Err(setting.field.allowed()),
        };
        match read {
            Ok(text) => self.said.push((setting.key(), text, self.line(at))),
            Err(why) if setting.field.is_secret() => self.wrong(at, format!("{}: {why}", setting.key())),
            Err(why) => {
                self.wrong(at, format!("{} is {}: {why}", setting.key(), shown(value.get_ref())));
            }
        }
    }

    /// A database's file is named as seen from the settings file.
    fn seen_from_file(&self, setting: &Setting, text: String) -> String {
        match (&setting.field, self.path.parent()) {
            (Field::Database(_), Some(folder)) => database::seen_from(folder, text),
            _ => text,
        }
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<(usize, String)> {
        let file = SettingsFile::parse("erp-plugin.toml".into(), text);
        file.problems.into_iter().map(|problem| (problem.line, problem.text)).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let text = "datbase = \"erp.db\"\nworker = 3\n[limits]\nfuel = \"many\"\nmemry = 1\n[retry]\nmax-delay = 5\n";
        assert_eq!(
            problems(text),
            [
                (1, "datbase is not a known key; did you mean `database`?".to_owned()),
                (2, "worker is 3: it must be a table: [worker]".to_owned()),
                (4, "limits.fuel is \"many\": it must be a whole number, at least 1".to_owned()),
                (5, "limits.memry is not a known key; did you mean `memory`?".to_owned()),
                (
                    7,
                    "retry.max-delay is 5: it must be a length of time from 1ms to 1d, such as 500ms or 1m 30s"
                        .to_owned()
                ),
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_line_and_what_else_is_wrong() {
        let found = problems("[worker]\nstreams = \nlease = \"1s\"\npool = 1\n");
        assert_eq!((found.len(), found[0].0, found[1].0), (2, 2, 4), "{found:?}");
        assert!(found[0].1.starts_with("this is no TOML: "), "{found:?}");
    }

    #[test]
    fn a_password_is_in_no_message() {
        for text in
            ["database = \"mysql://u:secret@h/d\"", "migration-url = \"secret\"", "database = [\"secret\"]"]
        {
            let found = problems(text);
            assert!(found.len() == 1 && !found[0].1.contains("secret"), "{found:?}");
        }
    }

    #[test]
    fn a_databases_file_is_seen_from_the_file_that_names_it() {
        for (named, expected) in [
            ("erp.db", "/etc/erp/erp.db"),
            ("sqlite:erp.db", "sqlite:/etc/erp/erp.db"),
            ("/var/erp.db", "/var/erp.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            let file =
                SettingsFile::parse("/etc/erp/erp-plugin.toml".into(), &format!("database = {named:?}"));
            assert_eq!(file.said(&table()[0]), Some((expected, 1)), "{named}");
        }
    }
}
