//! `erp-plugin doctor`: everything that an operator would ask about, and what to do where it is not as it must be.
//!
//! Looks and changes nothing: a file that an older release made is not brought up to date by being looked at. What is known of
//! a database comes from its backend, what is known of a platform from the host.

mod database;
mod platform;

use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};

use super::config;
use crate::exit::{self, Exit};
use crate::output::{self, BAD, GOOD, WARNING, styled};
use crate::settings::Settings;
use crate::settings::file::{self, SettingsFile};
use crate::{database as named, host, settings};

/// Check everything that a host needs, and say what to do where something is wrong
///
/// Looks at the settings, the database and who may do what in it, the clocks, the code cache, every plugin with its tables,
/// deliveries, workers and tenants. Changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin doctor
  erp-plugin doctor --db postgres://erp@db.example/erp --json

Exit codes:
  0  all is well, or there are warnings only
  1  it could not look
  2  the command line is wrong
  4  there is a problem")]
pub(crate) struct Arguments {
    #[command(flatten)]
    _database: named::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// How something is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// Something does not work.
    Problem,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// Something that was looked at.
struct Finding {
    area: &'static str,
    state: State,
    what: String,
    /// What to do about it.
    fix: Option<String>,
}

/// What was found, in the order in which it was looked at.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, area: &'static str, what: impl Into<String>) {
        self.0.push(Finding { area, state: State::Ok, what: what.into(), fix: None });
    }

    fn warning(&mut self, area: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { area, state: State::Warning, what: what.into(), fix: Some(fix.into()) });
    }

    fn problem(&mut self, area: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { area, state: State::Problem, what: what.into(), fix: Some(fix.into()) });
    }

    fn has_problem(&self) -> bool {
        self.0.iter().any(|finding| finding.state == State::Problem)
    }

    fn text(&self) -> String {
        self.0.iter().map(Finding::text).collect()
    }

    fn json(&self) -> Json {
        let findings: Vec<Json> = self.0.iter().map(Finding::json).collect();
        json!({ "healthy": !self.has_problem(), "findings": findings })
    }
}

impl Finding {
    fn text(&self) -> String {
        let style = match self.state {
            State::Ok => GOOD,
            State::Warning => WARNING,
            State::Problem => BAD,
        };
        let line = format!(
            "{} {}: {}\n",
            styled(style, self.state.as_str()),
            self.area,
            output::foreign(&self.what)
        );
        match &self.fix {
            Some(fix) => format!("{line}   {}\n", output::foreign(fix)),
            None => line,
        }
    }

    fn json(&self) -> Json {
        json!({ "area": self.area, "state": self.state.as_str(), "what": self.what, "fix": self.fix })
    }
}

pub(crate) async fn run(arguments: &Arguments, matches: &ArgMatches) -> Result<Exit> {
    let mut findings = Findings::default();
    if let Some(settings) = look_at_settings(matches, &mut findings) {
        let database = database::look(&settings, &mut findings).await;
        look_at_code_cache(&settings, &mut findings);
        if let Some(database) = database {
            platform::look(&settings, &database, &mut findings).await;
        }
    }
    if arguments.json {
        output::print_json(&findings.json())?;
    } else {
        output::print(&findings.text())?;
    }
    Ok(if findings.has_problem() { Exit::Unhealthy } else { Exit::Done })
}

/// The settings, unless something is wrong with them: then nothing else can be looked at.
fn look_at_settings(matches: &ArgMatches, findings: &mut Findings) -> Option<Settings> {
    const AREA: &str = "settings";
    match file::find(settings::named(matches).as_deref()).map(SettingsFile::read).transpose() {
        Ok(None) => findings.ok(AREA, format!("there is no {}, and none is needed", file::NAME)),
        Ok(Some(file)) => {
            let path = file.path.display();
            let problems = config::problems(&file);
            if problems.is_empty() {
                findings.ok(AREA, format!("{path} is as it must be"));
            }
            for problem in problems {
                findings.problem(AREA, problem, format!("correct it, then: erp-plugin config check {path}"));
            }
        }
        Err(error) => {
            findings.problem(AREA, exit::line(&error), "name another one with --settings, or set its rights");
        }
    }
    if findings.has_problem() {
        return None;
    }
    match Settings::read(matches) {
        Ok(settings) => Some(settings),
        Err(error) => {
            findings.problem(AREA, exit::line(&error), "set it to what is allowed, or do not set it");
            None
        }
    }
}

fn look_at_code_cache(settings: &Settings, findings: &mut Findings) {
    const AREA: &str = "code cache";
    if !settings.options.code_cache {
        return findings.ok(AREA, "off, as `code-cache` says");
    }
    match host::open_code_cache().and_then(|cache| cache.check().map_err(|error| error.to_string())) {
        Ok(()) => findings.ok(AREA, "compiled code is kept"),
        Err(why) => findings.warning(
            AREA,
            format!("compiled code is not kept, so every start compiles: {why}"),
            "let this user write there, name other folders with XDG_CACHE_HOME and XDG_STATE_HOME, or set \
             `code-cache = false`",
        ),
    }
}
