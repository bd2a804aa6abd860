//! `erp-plugin db`: sets a database up, looks whether a host can work with it, and brings it up to this release.

use anyhow::{Result, bail};
use erp_plugin::HostError;
use serde_json::{Value as Json, json};

use crate::database::{self, Database};
use crate::exit::Exit;
use crate::output::{self, BAD, FAINT, GOOD, styled};
use crate::settings::Settings;

/// Set a database up, check it, or bring it up to this release
///
/// A file of SQLite's needs none of it: it is made, and brought up to date, when it is opened. Postgres is set up once
/// by an administrator. It gets a schema erp_plugin and three roles without a login: the owner of all tables, the app
/// role, which is what plugins' calls run as and which row-level security keeps in one tenant, and the worker, who sees
/// the system's own tables of all tenants and no others.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Init(Init),
    Check(Check),
    Migrate(Migrate),
}

/// Make the roles, the schema and the system's tables, where they are not there
///
/// Doing it again changes nothing. All of it is one transaction.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin db init --migration-url postgres://admin@db.example/erp --db postgres://erp@db.example/erp
  erp-plugin db init --migration-url postgres://erp@localhost/erp --single-role")]
struct Init {
    #[command(flatten)]
    _database: database::Flags,
    /// How the names of the roles begin
    #[arg(long, value_name = "P", default_value = "erp_plugin", conflicts_with = "single_role")]
    role_prefix: String,
    /// Make no roles: the migration URL's user owns and does everything
    #[arg(long)]
    single_role: bool,
    /// Split each entity's table by tenant into so many partitions; cannot be changed later
    #[arg(long, value_name = "N", default_value_t = 0)]
    partitions: u32,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Look whether a host can work with a database, and say what to do where it cannot
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes:
  0  all is well
  1  something is not as it must be, or the database cannot be reached")]
struct Check {
    #[command(flatten)]
    _database: database::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

/// Bring the system's tables up to this release
#[derive(clap::Args)]
struct Migrate {
    #[command(flatten)]
    _database: database::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            Command::Init(Init { json, .. })
            | Command::Check(Check { json, .. })
            | Command::Migrate(Migrate { json, .. }) => *json,
        }
    }
}

/// Something that was done, or looked at.
struct Line {
    what: String,
    /// Whether it changed something.
    done_now: bool,
    /// What to do about it.
    fix: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let lines = match &arguments.command {
        Command::Init(init) => postgres::init(settings, init).await?,
        Command::Check(_) => check(settings).await?,
        Command::Migrate(_) => postgres::migrate(settings).await?,
    };
    let is_check = matches!(arguments.command, Command::Check(_));
    if arguments.json() {
        let steps: Vec<Json> = lines
            .iter()
            .map(|line| match is_check {
                true => json!({ "what": line.what, "fix": line.fix }),
                false => json!({ "what": line.what, "done_now": line.done_now }),
            })
            .collect();
        output::print_json(&json!({ "steps": steps }))?;
    } else {
        let text: String = lines.iter().map(|line| shown(line, is_check)).collect();
        output::print(&text)?;
    }
    Ok(if lines.iter().any(|line| line.fix.is_some()) { Exit::Failed } else { Exit::Done })
}

fn shown(line: &Line, is_check: bool) -> String {
    let what = output::foreign(&line.what);
    match (&line.fix, is_check || line.done_now) {
        (Some(fix), _) => format!("{} {what}\n   {}\n", styled(BAD, "no"), output::foreign(fix)),
        (None, true) => format!("{} {what}\n", styled(GOOD, "ok")),
        (None, false) => format!("{} {what}\n", styled(FAINT, "as it was")),
    }
}

async fn check(settings: &Settings) -> Result<Vec<Line>> {
    match Database::required(settings)? {
        Database::Postgres { url, migration_url } => postgres::check(&url, migration_url.as_deref()).await,
        database => {
            database.must_be_there()?;
            drop(erp_plugin::storage(database.url()?).await?);
            Ok(vec![Line {
                what: "the file can be opened, read and written".to_owned(),
                done_now: false,
                fix: None,
            }])
        }
    }
}

/// The URL that a command about Postgres cannot do without. There is no guessing who may do what it does.
fn owner(settings: &Settings, command: &str) -> Result<String> {
    match &settings.options.migration_url {
        Some(url) => Ok(url.clone()),
        None => bail!(HostError::invalid(format!(
            "db {command} takes the URL of a user who may {}: give --migration-url postgres://…, or set \
             ERP_PLUGIN_MIGRATION_URL, or `migration-url` in erp-plugin.toml",
            if command == "init" { "make roles and a schema" } else { "act as the owner of the tables" }
        ))),
    }
}

/// Sets up a database for the demo, which must be a new one.
pub(crate) async fn set_up_new(url: &str, migration_url: Option<&str>) -> Result<()> {
    postgres::set_up_new(url, migration_url).await
}

#[cfg(feature = "postgres")]
mod postgres {
    use anyhow::{Result, bail};
    use erp_plugin::HostError;
    use erp_plugin::postgres::PostgresOptions;
    use erp_plugin::postgres::setup::{self, SetupOptions, Step};

    use super::{Init, Line, owner};
    use crate::database::Database;
    use crate::settings::Settings;

    impl From<Step> for Line {
        fn from(step: Step) -> Self {
            Self { what: step.what, done_now: step.done_now, fix: None }
        }
    }

    fn lines(steps: Vec<Step>) -> Vec<Line> {
        steps.into_iter().map(Line::from).collect()
    }

    pub(super) async fn init(settings: &Settings, init: &Init) -> Result<Vec<Line>> {
        let mut options = SetupOptions::from_url(&owner(settings, "init")?)?.partitions(init.partitions)?;
        if init.single_role {
            options = options.single_role();
        } else {
            options = options.role_prefix(&init.role_prefix)?;
        }
        match Database::set(settings)? {
            Some(Database::Postgres { url, .. }) => {
                options = options.host(&PostgresOptions::from_url(&url)?);
            }
            Some(_) => bail!(HostError::invalid(
                "db init is for Postgres: a file of SQLite's is made when it is opened"
            )),
            None => {}
        }
        Ok(lines(setup::init(&options).await?))
    }

    pub(super) async fn migrate(settings: &Settings) -> Result<Vec<Line>> {
        let options = SetupOptions::from_url(&owner(settings, "migrate")?)?;
        Ok(lines(setup::migrate(&options).await?))
    }

    pub(super) async fn check(url: &str, migration_url: Option<&str>) -> Result<Vec<Line>> {
        let options = PostgresOptions::from_url(url)?;
        let options = match migration_url {
            Some(url) => options.migration_url(url)?,
            None => options,
        };
        let findings = setup::check(&options).await?;
        Ok(findings
            .into_iter()
            .map(|finding| Line { what: finding.what, done_now: false, fix: finding.fix })
            .collect())
    }

    pub(super) async fn set_up_new(url: &str, migration_url: Option<&str>) -> Result<()> {
        let options = SetupOptions::from_url(migration_url.unwrap_or(url))?;
        let options = options.host(&PostgresOptions::from_url(url)?);
        if setup::is_set_up(&options).await? {
            bail!(HostError::invalid(
                "this database was set up before, and the demo needs a new one; create another and name that"
            ));
        }
        setup::init(&options).await?;
        Ok(())
    }
}

#[cfg(not(feature = "postgres"))]
mod postgres {
    use anyhow::Result;
    use erp_plugin::OpenError;

    use super::{Init, Line, owner};
    use crate::settings::Settings;

    fn left_out<T>() -> Result<T> {
        Err(OpenError::LeftOut { backend: "Postgres", feature: "postgres" }.into())
    }

    pub(super) async fn init(settings: &Settings, init: &Init) -> Result<Vec<Line>> {
        let _ = (&init.role_prefix, init.single_role, init.partitions);
        owner(settings, "init")?;
        left_out()
    }

    pub(super) async fn migrate(settings: &Settings) -> Result<Vec<Line>> {
        owner(settings, "migrate")?;
        left_out()
    }

    pub(super) async fn check(_: &str, _: Option<&str>) -> Result<Vec<Line>> {
        left_out()
    }

    pub(super) async fn set_up_new(_: &str, _: Option<&str>) -> Result<()> {
        left_out()
    }
}
