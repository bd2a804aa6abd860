//! `erp-plugin demo-data`: the demo's own data as files.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::demo::{DEFAULT_SEED, generate};
use crate::exit::Exit;
use crate::output;

/// Write the demo's own data as files, to look at or to change
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  erp-plugin demo-data my-data --seed 7
  erp-plugin demo --data my-data")]
pub(crate) struct Arguments {
    /// The folder for products.jsonl and orders.jsonl; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Other orders for another number
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = generate(arguments.seed);
    for (name, lines) in [("products.jsonl", &files.products), ("orders.jsonl", &files.orders)] {
        let path = folder.join(name);
        fs::write(&path, lines.join("\n") + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        output::print(&format!("{}: {} lines\n", path.display(), lines.len()))?;
    }
    Ok(Exit::Done)
}
