//! Which backend the demo is to run on, and what `erp-plugin demo` is told of it. Our own option may stand anywhere
//! between those that are passed on.

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::postgres::url;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) backend: Backend,
    /// Without our own option.
    pub(super) passed_on: Vec<String>,
    /// A Postgres is wanted, and none is named.
    pub(super) needs_database: bool,
    /// Nothing is to be run but the help.
    pub(super) is_question: bool,
}

impl Choice {
    pub(super) fn of(before: Option<Backend>, arguments: &[String]) -> Result<Self> {
        let mut backend = before;
        let mut passed_on = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let named = match argument.strip_prefix("--backend") {
                Some("") => rest.next().map(String::as_str).unwrap_or_default(),
                Some(value) if value.starts_with('=') => value.trim_start_matches('='),
                _ => {
                    passed_on.push(argument.clone());
                    continue;
                }
            };
            match Backend::from_str(named, false) {
                Ok(named) => backend = Some(named),
                Err(_) => bail!("--backend {named:?}: there are sqlite and postgres"),
            }
        }
        let database = value_of("--db", &passed_on);
        let by_database = database.map(|database| match url::is_url(database) {
            true => Backend::Postgres,
            false => Backend::Sqlite,
        });
        match (backend, by_database) {
            (Some(Backend::Postgres), Some(Backend::Sqlite)) => {
                bail!(
                    "--backend postgres wants --db postgres://…, or no --db for a database that is gone afterwards"
                )
            }
            (Some(Backend::Sqlite), Some(Backend::Postgres)) => {
                bail!("--backend sqlite wants --db FILE, or no --db for a database that is gone afterwards")
            }
            _ => {}
        }
        let backend = backend.or(by_database).unwrap_or(Backend::Sqlite);
        let is_question = passed_on.iter().any(|argument| ["-h", "--help"].contains(&argument.as_str()));
        let needs_database = backend == Backend::Postgres && database.is_none() && !is_question;
        Ok(Self { backend, passed_on, needs_database, is_question })
    }
}

/// The value of an option that is written as two words or as one.
fn value_of<'a>(option: &str, arguments: &'a [String]) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, argument)| match argument.strip_prefix(option)? {
        "" => Some(arguments.get(index + 1).map(String::as_str).unwrap_or_default()),
        value => value.strip_prefix('='),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(arguments: &str) -> Result<(Backend, String, bool)> {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let choice = Choice::of(None, &arguments)?;
        Ok((choice.backend, choice.passed_on.join(" "), choice.needs_database))
    }

    #[test]
    fn our_option_is_taken_out_wherever_it_stands() {
        for arguments in ["--backend postgres --json --data d", "--json --backend=postgres --data d"] {
            assert_eq!(choice(arguments).unwrap(), (Backend::Postgres, "--json --data d".to_owned(), true));
        }
        assert_eq!(choice("--json").unwrap(), (Backend::Sqlite, "--json".to_owned(), false));
        assert_eq!(Choice::of(Some(Backend::Postgres), &[]).unwrap().backend, Backend::Postgres);
        assert!(choice("--backend oracle").is_err());
        assert!(choice("--backend").is_err());
    }

    #[test]
    fn a_named_database_is_used_and_says_which_backend_it_is() {
        let named = "--db=postgres://h/d".to_owned();
        assert_eq!(choice(&named).unwrap(), (Backend::Postgres, named, false));
        let named = "--db some/file.db".to_owned();
        assert_eq!(choice(&format!("{named} --backend sqlite")).unwrap(), (Backend::Sqlite, named, false));
    }

    #[test]
    fn backend_and_database_must_be_of_one_kind() {
        assert!(choice("--backend postgres --db file.db").is_err());
        assert!(choice("--backend sqlite --db postgresql://h/d").is_err());
    }

    #[test]
    fn a_question_starts_no_server() {
        assert!(!choice("--backend postgres --help").unwrap().2);
    }
}
