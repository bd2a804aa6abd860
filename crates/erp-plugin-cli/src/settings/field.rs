//! What a setting holds: how it is read, what is allowed, and how it is shown.
//!
//! One text form serves the file, the environment and the command line, and what is shown can be read again. A URL is never
//! shown as it was given: a password is part of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use erp_plugin::limits::{LimitKind, Unit};
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::Options;
use crate::database::{self, Database};
use crate::values;

/// The most memory that a guest can have.
const MOST_MEMORY: u64 = 4 << 30;
/// The largest number that TOML has.
const MOST: u64 = i64::MAX.unsigned_abs();
/// The longest time that makes sense to wait for anything.
const DAY: Duration = Duration::from_hours(24);

/// A whole number among the options.
pub(super) enum Number<'o> {
    U32(&'o mut u32),
    U64(&'o mut u64),
    Usize(&'o mut usize),
}

impl Number<'_> {
    fn get(self) -> u64 {
        match self {
            Self::U32(number) => (*number).into(),
            Self::U64(number) => *number,
            Self::Usize(number) => *number as u64,
        }
    }

    fn set(self, value: u64) {
        match self {
            Self::U32(number) => *number = u32::try_from(value).unwrap_or(u32::MAX),
            Self::U64(number) => *number = value,
            Self::Usize(number) => *number = usize::try_from(value).unwrap_or(usize::MAX),
        }
    }
}

/// Where a setting is among the options, and what is allowed.
#[derive(Clone)]
pub(super) enum Field {
    /// A database: a file, or a URL.
    Database(fn(&mut Options) -> &mut Option<String>),
    /// A URL of Postgres.
    Url(fn(&mut Options) -> &mut Option<String>),
    Switch(fn(&mut Options) -> &mut bool),
    Number(fn(&mut Options) -> Number<'_>, RangeInclusive<u64>),
    /// At least a millisecond and at most a day.
    Duration(fn(&mut Options) -> &mut Duration),
    /// How long something is kept; for ever without a time.
    Kept(fn(&mut Options) -> &mut Option<Duration>),
    Limit(LimitKind),
    Cap(LimitKind),
}

impl Field {
    /// Reads a value. An error says what is allowed, and never the value.
    pub(super) fn set(&self, options: &mut Options, text: &str) -> Result<(), String> {
        let wrong = || self.allowed();
        match self {
            Self::Database(place) => {
                Database::parse(text, None).map_err(|error| error.to_string())?;
                *place(options) = Some(text.to_owned());
            }
            Self::Url(place) => {
                if !database::is_postgres(text) {
                    return Err(wrong());
                }
                database::check_postgres(text)?;
                *place(options) = Some(text.to_owned());
            }
            Self::Switch(place) => *place(options) = text.parse().map_err(|_| wrong())?,
            Self::Number(place, allowed) => {
                let number = values::number(text).filter(|number| allowed.contains(number));
                place(options).set(number.ok_or_else(wrong)?);
            }
            Self::Duration(place) => *place(options) = duration(text).ok_or_else(wrong)?,
            Self::Kept(place) => {
                *place(options) = match text {
                    "never" => None,
                    _ => Some(values::duration(text).ok_or_else(wrong)?),
                };
            }
            Self::Limit(kind) => options.limits.set(*kind, limit(*kind, text).ok_or_else(wrong)?),
            Self::Cap(kind) => options.caps.set(*kind, limit(*kind, text).ok_or_else(wrong)?),
        }
        Ok(())
    }

    /// What is allowed, to be said of a value that is not.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Database(_) => "it must be a file, or a URL such as postgres://HOST/DATABASE".to_owned(),
            Self::Url(_) => "it must be a URL such as postgres://HOST/DATABASE".to_owned(),
            Self::Switch(_) => "it must be true or false".to_owned(),
            Self::Number(_, allowed) if *allowed.end() == MOST => {
                format!("it must be a whole number, at least {}", allowed.start())
            }
            Self::Number(_, allowed) => {
                format!("it must be a whole number from {} to {}", allowed.start(), allowed.end())
            }
            Self::Duration(_) => {
                "it must be a length of time from 1ms to 1d, such as 500ms or 1m 30s".to_owned()
            }
            Self::Kept(_) => "it must be a length of time such as 12h or 7d, or never".to_owned(),
            Self::Limit(kind) | Self::Cap(kind) => match kind.row().unit {
                Unit::Count => "it must be a whole number, at least 1".to_owned(),
                Unit::Milliseconds => Self::Duration(|options| &mut options.worker.poll).allowed(),
                Unit::Bytes if *kind == LimitKind::Memory => {
                    "it must be a size such as 64MiB, and a guest has at most 4GiB".to_owned()
                }
                Unit::Bytes => "it must be a size such as 64MiB, 512KiB or a number of bytes".to_owned(),
            },
        }
    }

    /// The value in a file as text, if it has the form that this takes.
    pub(super) fn text_of(&self, value: &DeValue<'_>) -> Option<String> {
        let is_number = match self {
            Self::Number(..) => true,
            Self::Limit(kind) | Self::Cap(kind) => kind.row().unit == Unit::Count,
            Self::Database(_) | Self::Url(_) | Self::Switch(_) | Self::Duration(_) | Self::Kept(_) => false,
        };
        let is_size = matches!(self, Self::Limit(kind) | Self::Cap(kind) if kind.row().unit == Unit::Bytes);
        match value {
            DeValue::Boolean(truth) if matches!(self, Self::Switch(_)) => Some(truth.to_string()),
            DeValue::Integer(number) if is_number || is_size => {
                let read = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
                Some(read.to_string())
            }
            DeValue::String(text) if !is_number && !matches!(self, Self::Switch(_)) => {
                Some(text.clone().into_owned())
            }
            _ => None,
        }
    }

    /// Whether a value may hold a password.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Url(_))
    }

    /// The value in force as text; `None` where there is none. A password is not in it.
    pub(super) fn text(&self, options: &Options) -> Option<String> {
        let mut options = options.clone();
        Some(match self {
            Self::Database(place) | Self::Url(place) => database::shown(place(&mut options).as_deref()?),
            Self::Switch(place) => place(&mut options).to_string(),
            Self::Number(place, _) => place(&mut options).get().to_string(),
            Self::Duration(place) => values::duration_text(*place(&mut options)),
            Self::Kept(place) => place(&mut options).map_or("never".to_owned(), values::duration_text),
            Self::Limit(kind) => limit_text(*kind, options.limits.get(*kind)),
            Self::Cap(kind) => limit_text(*kind, options.caps.get(*kind)),
        })
    }

    /// The value in force as a file would have it. A password is not in it.
    pub(super) fn json(&self, options: &Options) -> Json {
        let Some(text) = self.text(options) else { return Json::Null };
        match self {
            Self::Switch(_) => json!(text == "true"),
            Self::Number(..) | Self::Limit(_) | Self::Cap(_) => match text.parse::<u64>() {
                Ok(number) => json!(number),
                Err(_) => json!(text),
            },
            Self::Database(_) | Self::Url(_) | Self::Duration(_) | Self::Kept(_) => json!(text),
        }
    }

    /// What stands for the value in help texts.
    pub(super) fn value_name(&self) -> &'static str {
        match self {
            Self::Database(_) => "FILE|URL",
            Self::Url(_) => "URL",
            Self::Switch(_) => "TRUTH",
            Self::Number(..) => "N",
            Self::Duration(_) => "D",
            Self::Kept(_) => "AGE",
            Self::Limit(kind) | Self::Cap(kind) => match kind.row().unit {
                Unit::Count => "N",
                Unit::Bytes => "SIZE",
                Unit::Milliseconds => "D",
            },
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    values::duration(text).filter(|own| (Duration::from_millis(1)..=DAY).contains(own))
}

fn limit(kind: LimitKind, text: &str) -> Option<u64> {
    match kind.row().unit {
        Unit::Count => values::number(text).filter(|number| (1..=MOST).contains(number)),
        Unit::Bytes if kind == LimitKind::Memory => {
            values::size(text).ok().filter(|bytes| *bytes <= MOST_MEMORY)
        }
        Unit::Bytes => values::size(text).ok(),
        Unit::Milliseconds => u64::try_from(duration(text)?.as_millis()).ok(),
    }
}

fn limit_text(kind: LimitKind, value: u64) -> String {
    match kind.row().unit {
        Unit::Count => value.to_string(),
        Unit::Bytes => values::size_text(value),
        Unit::Milliseconds => values::duration_text(Duration::from_millis(value)),
    }
}

/// Numbers that may be as large as they like.
pub(super) fn at_least(least: u64) -> RangeInclusive<u64> {
    least..=MOST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::table;

    #[test]
    fn what_is_shown_is_read_again_as_the_same() {
        let defaults = Options::default();
        for setting in table() {
            let Some(text) = setting.field.text(&defaults) else { continue };
            let mut options = Options::default();
            setting.field.set(&mut options, &text).unwrap();
            assert_eq!(setting.field.text(&options).as_deref(), Some(&*text), "{}", setting.key());
        }
    }

    #[test]
    fn numbers_beyond_what_is_allowed_are_refused() {
        let streams = table().into_iter().find(|own| own.key() == "worker.streams").unwrap();
        for bad in ["0", "1001", "-1", "x", "1.5", ""] {
            let error = streams.field.set(&mut Options::default(), bad).unwrap_err();
            assert_eq!(error, "it must be a whole number from 1 to 1000", "{bad}");
        }
    }
}
