//! `erp-plugin copy`: everything from one database into another, and the proof that it is all there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use erp_plugin::HostError;
use erp_plugin::copy::{self, CopyReport, Progress, Step, Summary, TableReport};
use serde_json::json;

use crate::database::{self, Database};
use crate::exit::Exit;
use crate::output::{self, BAD, GOOD, HEADING, styled};
use crate::progress::Rows;
use crate::settings::Settings;

/// Copy everything that a database holds into another one, and verify it
///
/// Tenants, plugins with their components, configuration, records with ids, versions and times, deleted ones as well,
/// events, deliveries with their numbers and attempts, invocations and log: from SQLite to Postgres, back, or between two
/// of a kind. A copy that was stopped is begun again and goes on. At the end each table of each tenant is compared by the
/// number and the SHA-256 of its rows.
///
/// Stop every host of the source first, and start none on the target. Postgres must have been set up (`db init`), and
/// takes a migration URL whose user may act as the owner.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin copy erp.db postgres://erp@db.example/erp --migration-url postgres://admin@db.example/erp
  erp-plugin copy postgres://erp@db.example/erp copy.db

Exit codes:
  0  both hold the same
  1  something could not be read or written, or the target holds other things
  4  a table is not equal: somebody wrote to one of the databases meanwhile")]
pub(crate) struct Arguments {
    /// The database to copy from, a file or a URL
    #[arg(value_name = "FROM")]
    source: String,
    /// The database to copy into, a file or a URL
    #[arg(value_name = "TO")]
    target: String,
    #[command(flatten)]
    _owner: database::OwnerFlag,
    /// Copy nothing: compare the two
    #[arg(long)]
    verify_only: bool,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let source = Database::parse(&arguments.source, None)?;
    source.must_be_there()?;
    let target = Database::parse(&arguments.target, settings.options.migration_url.clone())?;
    if source.is_same(&target) {
        bail!(HostError::invalid("both are the same database; name another one to copy into"));
    }
    if arguments.verify_only {
        target.must_be_there()?;
    }
    let (source, target) =
        (erp_plugin::transfer(source.url()?).await?, erp_plugin::transfer(target.url()?).await?);
    let shown = Rows::new();
    let mut progress = |step: Progress| tell(&shown, &step);
    let report = if arguments.verify_only {
        copy::verify(&*source, &*target, &mut progress).await?
    } else {
        copy::copy(&*source, &*target, &mut progress).await?
    };
    shown.clear();
    if arguments.json {
        let tables: Vec<_> = report.tables.iter().map(as_json).collect();
        output::print_json(&json!({ "equal": report.is_equal(), "tables": tables }))?;
    } else {
        output::print(&as_text(&report))?;
    }
    Ok(if report.is_equal() { Exit::Done } else { Exit::HandlerError })
}

/// What is being done.
fn tell(shown: &Rows, step: &Progress) {
    let doing = match step.step {
        Step::Compared => "comparing",
        Step::Copied => "copying",
        Step::Verified => "verifying",
    };
    let tenant = step.tenant.as_ref().map(|tenant| format!("{tenant} ")).unwrap_or_default();
    shown.tell(&format!("{doing} {tenant}{}", step.table), step.rows);
}

fn hash(summary: Summary) -> String {
    summary.hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn as_json(table: &TableReport) -> serde_json::Value {
    let side = |summary: Summary| json!({ "rows": summary.rows, "sha256": hash(summary) });
    json!({
        "tenant": table.tenant.as_ref().map(ToString::to_string),
        "table": table.table,
        "source": side(table.source),
        "target": side(table.target),
        "equal": table.is_equal(),
    })
}

fn as_text(report: &CopyReport) -> String {
    let mut by_tenant: BTreeMap<Option<String>, Vec<&TableReport>> = BTreeMap::new();
    for table in &report.tables {
        by_tenant.entry(table.tenant.as_ref().map(ToString::to_string)).or_default().push(table);
    }
    let mut text = String::new();
    for (tenant, tables) in by_tenant {
        let _ = writeln!(text, "{}", styled(HEADING, tenant.as_deref().unwrap_or("the platform")));
        for table in tables {
            let (rows, sha) = (table.source.rows, hash(table.source));
            let sha = sha.get(..12).unwrap_or_default();
            let _ = if table.is_equal() {
                writeln!(text, "{} {:30} {rows:>10} rows  sha256 {sha}…", styled(GOOD, "ok"), table.table)
            } else {
                writeln!(
                    text,
                    "{} {:30} {rows:>10} rows, {} in the target, or others than these",
                    styled(BAD, "no"),
                    table.table,
                    table.target.rows
                )
            };
        }
    }
    text
}
