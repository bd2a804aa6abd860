//! `erp-plugin demo`: a year of orders, in one command.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use erp_plugin::{HostError, PluginHostBuilder};
use indicatif::{ProgressBar, ProgressStyle};

use crate::database::{self, Database};
use crate::demo::{self, DEFAULT_SEED, Data, Plugins, Progress};
use crate::exit::Exit;
use crate::settings::{Cache, Flags, Settings};
use crate::{host, output};

/// Work off a year of orders of two tenants
///
/// Installs the plugins inventory and purchasing for the tenants northwind and southridge (and test-sample, for the
/// endless loop), gives both the same products, and sends northwind every order and southridge those whose number divides by ten. Orders that run short
/// lead to purchase orders, which are approved and received at once. Then tries four things that a host must refuse,
/// closes the database, opens it again, and shows what is in it.
///
/// The database must be new: a file that is not there, or an empty database of Postgres, which is set up first. Without
/// one it is a temporary file.
///
/// With --hosts the orders of eight tenants wait, and so many processes work them off while inventory is upgraded; then each
/// order must be answered once, and the stock be what it was less what left it.
///
/// It runs on the default limits, and every commit waits for the disk.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin demo
  erp-plugin demo --data my-data --db demo.db --json
  erp-plugin demo --hosts 3 --db postgres://erp@db.example/demo

Exit codes:
  0  everything worked, and what must be refused was
  1  something did not work, or something was let through")]
pub(crate) struct Arguments {
    /// The folder with inventory, purchasing and test-sample, each a .component.wasm file
    #[arg(long, value_name = "DIR", default_value = "target/plugins")]
    plugins: PathBuf,
    /// A folder with products.jsonl and orders.jsonl; the demo's own data without it
    #[arg(long, value_name = "DIR", conflicts_with = "seed")]
    data: Option<PathBuf>,
    #[command(flatten)]
    _database: database::Flags,
    /// Other orders for another number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// On Postgres: have so many processes work off the orders of eight tenants, and upgrade inventory in the middle of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    hosts: Option<u8>,
    #[command(flatten)]
    _cache: Flags<Cache>,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let data = match &arguments.data {
        Some(folder) => Data::read(folder)?,
        None => Data::generated(arguments.seed)?,
    };
    let plugins = Plugins::read(&arguments.plugins)?;
    let temporary = tempfile::tempdir().context("no temporary folder can be made")?;
    let database = match Database::set(settings)? {
        None | Some(Database::Memory) => Database::File(temporary.path().join("demo.db")),
        Some(Database::File(file)) if file.exists() => bail!(HostError::invalid(format!(
            "{} is there already, and the demo needs a new database; delete it or name another file",
            file.display()
        ))),
        Some(named) => named,
    };
    if let Database::Postgres { url, migration_url } = &database {
        super::db::set_up_new(url, migration_url.as_deref()).await?;
    }
    let open = async || host::builder(settings, &database).await;
    if let Some(hosts) = arguments.hosts {
        return with_hosts(arguments, &data, &plugins, &database, open, hosts.into()).await;
    }
    let report = demo::run(&data, &plugins, open, &Bar::default()).await?;
    if arguments.json {
        output::print_json(&report.summary())?;
    } else {
        output::print(&report.to_text())?;
    }
    report.verdict()?;
    Ok(Exit::Done)
}

/// Many processes on one Postgres.
async fn with_hosts(
    arguments: &Arguments,
    data: &Data,
    plugins: &Plugins,
    database: &Database,
    open: impl AsyncFn() -> Result<PluginHostBuilder>,
    hosts: usize,
) -> Result<Exit> {
    let Database::Postgres { url, .. } = database else {
        bail!(HostError::invalid(
            "--hosts is for many processes on one Postgres; give --backend postgres to `cargo xtask demo`, or --db postgres://…"
        ));
    };
    let program = env::current_exe().context("this program does not know where it lies")?;
    let start = || {
        let mut command = Command::new(&program);
        // A URL may hold a password, which others would see among the arguments.
        command.args(["host", "run", "--json"]).env("ERP_PLUGIN_DB", url);
        Ok(command)
    };
    let report = demo::run_with_hosts(data, plugins, hosts, open, start, &Bar::default()).await?;
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&report.to_text())?;
    }
    Ok(Exit::Done)
}

/// A bar on standard error, if that is a terminal.
#[derive(Default)]
struct Bar(OnceLock<ProgressBar>);

impl Progress for Bar {
    fn begin(&self, orders: u64) {
        let bar = ProgressBar::new(orders);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} orders, {eta} left") {
            bar.set_style(style);
        }
        drop(self.0.set(bar));
    }

    fn worked(&self) {
        if let Some(bar) = self.0.get() {
            bar.inc(1);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.0.get() {
            bar.finish_and_clear();
        }
    }
}
