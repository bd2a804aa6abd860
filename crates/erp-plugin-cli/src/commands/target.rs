//! What commands about a whole database have in common: which one, and how they answer.

use anyhow::Result;
use erp_plugin::PluginHost;
use serde_json::Value as Json;

use crate::database::{self, Database};
use crate::settings::Settings;
use crate::{host, output};

/// The arguments that every such verb has.
#[derive(clap::Args)]
pub(super) struct Target {
    #[command(flatten)]
    _database: database::Flags,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(super) json: bool,
}

impl Target {
    /// A host that calls no plugin, on a database that is there. `what` is what one in memory has none of.
    pub(super) async fn host(&self, settings: &Settings, what: &str) -> Result<PluginHost> {
        Ok(host::without_calls(settings, &Database::existing(settings, what)?).await?.build().await?)
    }

    /// Tells what was done.
    pub(super) fn done(&self, text: &str, answer: Json) -> Result<()> {
        if self.json { output::print_json(&answer) } else { output::print(&format!("{text}\n")) }
    }
}
