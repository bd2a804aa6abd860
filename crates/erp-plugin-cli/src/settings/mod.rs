//! What the operator has set: on the command line, in the environment, in `erp-plugin.toml`, in this order.
//!
//! One table of settings says what there is. [`Options`] holds the values as the host takes them, [`file`] reads what
//! a file says, [`flags`] gives commands their flags. Whoever runs a command passes [`Settings`] down; nothing below asks
//! the environment.

mod field;
pub(crate) mod file;
mod flags;
mod options;
mod table;

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ArgMatches;
use erp_plugin::HostError;
use serde_json::Value as Json;

use field::Field;
use file::SettingsFile;
pub(crate) use flags::{Cache, Flags, Group};
pub(crate) use options::Options;
pub(crate) use table::{Setting, table};

/// Every setting, with the value in force and where it came from.
pub(crate) struct Settings {
    pub(crate) options: Options,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    rows: Vec<(Setting, Source)>,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    /// The settings file, and the line.
    File(PathBuf, usize),
    /// The variable of this name.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

impl Settings {
    /// The settings of a command, from its own matches. Refuses a file with anything wrong in it.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Self> {
        let file = file::find(named(matches).as_deref()).map(SettingsFile::read).transpose()?;
        if let Some(SettingsFile { path, problems, .. }) = &file
            && let [first, rest @ ..] = problems.as_slice()
        {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" (and {more} more: erp-plugin config check {})", path.display()),
            };
            bail!(HostError::invalid(format!("{}:{}: {}{more}", path.display(), first.line, first.text)));
        }
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::resolve(file.as_ref(), variable, |setting| flags::given(matches, setting))
    }

    /// The settings as a file alone has them.
    pub(crate) fn of_file(file: &SettingsFile) -> Result<Self> {
        Self::resolve(Some(file), |_| None, |_| None)
    }

    fn resolve(
        file: Option<&SettingsFile>,
        variable: impl Fn(&str) -> Option<String>,
        flag: impl Fn(&Setting) -> Option<String>,
    ) -> Result<Self> {
        let mut options = Options::default();
        let mut rows: Vec<(Setting, Source)> = Vec::new();
        for setting in table() {
            let by_flag = || Some((flag(&setting)?, Source::Flag(setting.flag()?)));
            let by_variable = || {
                let name = setting.variable();
                Some((variable(&name)?, Source::Environment(name)))
            };
            let by_file = || {
                let file = file?;
                let (text, line) = file.said(&setting)?;
                Some((text.to_owned(), Source::File(file.path.clone(), line)))
            };
            let found = by_flag().or_else(by_variable).or_else(by_file);
            let source = match setting.field {
                Field::Cap(kind) => cap(&setting, kind, found, &mut options, &rows)?,
                _ => match found {
                    Some((text, source)) => {
                        apply(&setting, &mut options, &text, &source)?;
                        source
                    }
                    None => Source::Default,
                },
            };
            rows.push((setting, source));
        }
        Ok(Self { options, file: file.map(|file| file.path.clone()), rows })
    }

    /// Each setting with its value, as text and as a file would have it, and where it came from. No password is in it.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = (&Setting, Option<String>, Json, &Source)> {
        self.rows.iter().map(|(setting, source)| {
            (setting, setting.field.text(&self.options), setting.field.json(&self.options), source)
        })
    }
}

/// The file that `--settings` names.
pub(crate) fn named(matches: &ArgMatches) -> Option<PathBuf> {
    matches.try_get_one::<PathBuf>("settings").ok().flatten().cloned()
}

fn apply(setting: &Setting, options: &mut Options, text: &str, source: &Source) -> Result<(), HostError> {
    setting.field.set(options, text).map_err(|why| {
        let what = match source {
            Source::Environment(variable) => format!("the variable {variable}"),
            _ => format!("{} ({source})", setting.key()),
        };
        if setting.field.is_secret() {
            return HostError::invalid(format!("{what}: {why}"));
        }
        HostError::invalid(format!("{what} is {text:?}: {why}"))
    })
}

/// A cap that nobody has set is the limit itself, and so is that of a limit that a flag gives: it is for this command.
fn cap(
    setting: &Setting,
    kind: erp_plugin::limits::LimitKind,
    found: Option<(String, Source)>,
    options: &mut Options,
    rows: &[(Setting, Source)],
) -> Result<Source, HostError> {
    let limit = options.limits.get(kind);
    options.caps.set(kind, limit);
    let of_limit = rows.iter().find(|(own, _)| matches!(own.field, Field::Limit(own) if own == kind));
    match (found, of_limit) {
        (_, Some((_, flag @ Source::Flag(_)))) => Ok(flag.clone()),
        (Some((text, source)), Some((of_limit, _))) => {
            apply(setting, options, &text, &source)?;
            if options.caps.get(kind) < limit {
                return Err(HostError::invalid(format!(
                    "{} ({source}) is {}, and {} is {}: raise the cap, or lower the limit",
                    setting.key(),
                    kind.show(options.caps.get(kind)),
                    of_limit.key(),
                    kind.show(limit)
                )));
            }
            Ok(source)
        }
        _ => Ok(Source::Default),
    }
}
