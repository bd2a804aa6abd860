//! What commands about a whole database have in common: which one, and how they answer.

use anyhow::Result;
use erp_plugin::{Limits, PluginHost};
use serde_json::Value as Json;

use crate::{database, host, output};

/// The arguments that every such verb has.
#[derive(clap::Args)]
pub(super) struct Target {
    #[command(flatten)]
    pub(super) database: database::Arguments,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(super) json: bool,
}

impl Target {
    /// A host that calls no plugin, on a database that is there. `what` is what one in memory has none of.
    pub(super) async fn host(&self, what: &str) -> Result<PluginHost> {
        Ok(host::without_calls(&self.database.existing(what)?, Limits::default()).await?.build().await?)
    }

    /// Tells what was done.
    pub(super) fn done(&self, text: &str, answer: Json) -> Result<()> {
        if self.json { output::print_json(&answer) } else { output::print(&format!("{text}\n")) }
    }
}
