//! `erp-plugin records`: looks at the records of a tenant and changes them, from a terminal or a script. One file a
//! verb; what they share is `target`, and for whole files `format`, `cell`, `csv` and `lines`.
//!
//! Every request goes through the host as one of a REST client would: it is validated, versioned, permitted and
//! recorded, and knows no way around a plugin's schema.

mod aggregate;
mod cell;
mod count;
mod csv;
mod delete;
mod export;
mod format;
mod get;
mod history;
mod import;
mod insert;
mod lines;
mod prune_history;
mod purge;
mod query;
mod restore;
mod target;
mod update;

use anyhow::Result;

use crate::exit::Exit;
use crate::settings::Settings;

/// Look at the records of a tenant, and change them
///
/// The database is one that a host has worked on: the plugin that declares the entity was installed there before, by
/// `erp-plugin run --db`, `erp-plugin demo --db` or a platform of your own. Without --user the host itself acts, and may
/// do everything; with it the user may do what their roles in the tenant give and --permission says:
/// <PLUGIN>.<ENTITY>.read, insert, update, delete, restore or purge.
///
/// Records are printed as JSON, one object a line.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin records query inventory.item --db erp.db --tenant acme --filter '{\"on_hand\":{\"$lt\":5}}'
  erp-plugin records export inventory.item --db erp.db --tenant acme -o items.csv

Exit codes:
  0  it was done
  1  it was not: a file, the database or an argument is wrong, or the host says no
  2  the command line is wrong
  4  of several records some were refused; the others are in")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Insert(insert::Arguments),
    Get(get::Arguments),
    Query(query::Arguments),
    Update(update::Arguments),
    Delete(delete::Arguments),
    Restore(restore::Arguments),
    Purge(purge::Arguments),
    History(history::Arguments),
    PruneHistory(prune_history::Arguments),
    Count(count::Arguments),
    Aggregate(aggregate::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
}

impl Arguments {
    pub(crate) fn json(&self) -> bool {
        let target = match &self.verb {
            Verb::Insert(arguments) => &arguments.target,
            Verb::Get(arguments) => &arguments.target,
            Verb::Query(arguments) => &arguments.target,
            Verb::Update(arguments) => &arguments.target,
            Verb::Delete(arguments) => &arguments.target,
            Verb::Restore(arguments) => &arguments.target,
            Verb::Purge(arguments) => &arguments.target,
            Verb::History(arguments) => &arguments.target,
            Verb::PruneHistory(arguments) => &arguments.target,
            Verb::Count(arguments) => &arguments.target,
            Verb::Aggregate(arguments) => &arguments.target,
            Verb::Export(arguments) => &arguments.target,
            Verb::Import(arguments) => &arguments.target,
        };
        target.json
    }
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    match &arguments.verb {
        Verb::Insert(arguments) => insert::run(arguments, settings).await,
        Verb::Get(arguments) => get::run(arguments, settings).await,
        Verb::Query(arguments) => query::run(arguments, settings).await,
        Verb::Update(arguments) => update::run(arguments, settings).await,
        Verb::Delete(arguments) => delete::run(arguments, settings).await,
        Verb::Restore(arguments) => restore::run(arguments, settings).await,
        Verb::Purge(arguments) => purge::run(arguments, settings).await,
        Verb::History(arguments) => history::run(arguments, settings).await,
        Verb::PruneHistory(arguments) => prune_history::run(arguments, settings).await,
        Verb::Count(arguments) => count::run(arguments, settings).await,
        Verb::Aggregate(arguments) => aggregate::run(arguments, settings).await,
        Verb::Export(arguments) => export::run(arguments, settings).await,
        Verb::Import(arguments) => import::run(arguments, settings).await,
    }
}
