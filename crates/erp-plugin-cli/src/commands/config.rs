//! `erp-plugin config`: what an operator has set, and whether the settings file is right.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ArgMatches;
use erp_plugin::HostError;
use serde_json::{Value as Json, json};

use crate::exit::{self, Exit};
use crate::output::{self, FAINT, HEADING, styled};
use crate::settings::file::{self, SettingsFile};
use crate::settings::{self, Flags, Group, Settings};

/// See what is set and where, and check a settings file
///
/// A flag comes before an environment variable, that before erp-plugin.toml, and that before the default.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin config show
  erp-plugin config check /etc/erp-plugin.toml")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Show(Show),
    Check(Check),
}

/// Show every setting with its value in force and where that came from
///
/// Takes the flags that stand for settings, as the commands do. Passwords in URLs are not shown.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin config show
  erp-plugin config show --streams 8 --json")]
struct Show {
    #[command(flatten, next_help_heading = "Settings")]
    _all: Flags<All>,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Say everything that is wrong with a settings file
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin config check
  erp-plugin config check /etc/erp-plugin.toml

Exit codes:
  0  all is well
  1  something is wrong with it, or it cannot be read")]
struct Check {
    /// The file; without one that which would be used
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Every flag that stands for a setting.
struct All;

impl Group for All {
    fn has(_: &str) -> bool {
        true
    }
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        match &self.verb {
            Verb::Show(Show { json, .. }) | Verb::Check(Check { json, .. }) => *json,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, matches: &ArgMatches) -> Result<Exit> {
    match &arguments.verb {
        Verb::Show(show) => {
            let settings = Settings::read(matches)?;
            if show.json {
                output::print_json(&as_json(&settings))?;
            } else {
                output::print(&as_text(&settings))?;
            }
            Ok(Exit::Done)
        }
        Verb::Check(check) => self::check(check, matches),
    }
}

fn as_json(settings: &Settings) -> Json {
    let rows = settings.in_force().map(|(setting, _, value, source)| {
        json!({
            "key": setting.key(),
            "value": value,
            "source": source.to_string(),
            "variable": setting.variable(),
            "flag": setting.flag(),
        })
    });
    json!({
        "file": settings.file.as_ref().map(|path| path.display().to_string()),
        "settings": rows.collect::<Vec<_>>(),
    })
}

fn as_text(settings: &Settings) -> String {
    let rows: Vec<[String; 3]> = settings
        .in_force()
        .map(|(setting, value, _, source)| {
            let value = value.map_or_else(|| "-".to_owned(), |value| output::foreign(&value));
            [setting.key(), value, output::foreign(&source.to_string())]
        })
        .collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let (keys, values) = (width(0).unwrap_or_default(), width(1).unwrap_or_default());
    let mut text = styled(HEADING, format!("{:keys$}  {:values$}  {}", "setting", "value", "from")) + "\n";
    for [key, value, source] in &rows {
        let line = format!("{key:keys$}  {value:values$}  {source}");
        text += &if source == "default" { styled(FAINT, line) } else { line };
        text.push('\n');
    }
    text
}

/// Everything that is wrong with a file, a line each.
pub(super) fn problems(file: &SettingsFile) -> Vec<String> {
    let path = file.path.display();
    let found: Vec<String> =
        file.problems.iter().map(|problem| format!("{path}:{}: {}", problem.line, problem.text)).collect();
    if !found.is_empty() {
        return found;
    }
    // What is right by itself may not fit the rest.
    Settings::of_file(file).err().map(|error| exit::line(&error)).into_iter().collect()
}

fn check(check: &Check, matches: &ArgMatches) -> Result<Exit> {
    let Some(path) = check.file.clone().or_else(|| file::find(settings::named(matches).as_deref())) else {
        bail!(HostError::not_found(format!(
            "there is no {} here, and {} names none; name a file",
            file::NAME,
            file::VARIABLE
        )));
    };
    let file = SettingsFile::read(path)?;
    let problems = problems(&file);
    if check.json {
        let path = file.path.display().to_string();
        output::print_json(&json!({ "file": path, "problems": problems }))?;
    } else if problems.is_empty() {
        output::print(&format!("{} is as it must be\n", output::foreign(&file.path.display().to_string())))?;
    } else {
        output::print(&problems.iter().map(|line| output::foreign(line) + "\n").collect::<String>())?;
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}
