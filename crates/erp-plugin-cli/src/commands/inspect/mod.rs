//! `erp-plugin inspect`: what a component is, wants and declares, and whether this host would take it.

mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Error, Result};
use erp_plugin::{HostFailure, LoadError, Manifest, PluginHostBuilder};
use erp_plugin_package::{Contract, Facts, Interface};
use serde_json::{Value, json};

use crate::exit::{self, Exit};
use crate::settings::{Cache, Flags, Settings};
use crate::{host, input, output};

/// Show what a component is, wants and declares
///
/// Tells contract, imports, exports, manifest, entities, size and hash, and whether this host would take it; if not,
/// why not. The component is compiled, and nothing of it is run.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  erp-plugin inspect crm.component.wasm
  erp-plugin inspect crm.component.wasm --json

Exit codes:
  0  this host takes the component
  1  the file cannot be read, or the host does not start
  2  the command line is wrong
  3  this host refuses the component")]
pub(crate) struct Arguments {
    /// The component, a .component.wasm file
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
    #[command(flatten)]
    _cache: Flags<Cache>,
    /// Print one JSON object, and nothing else on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was found.
struct Inspected {
    facts: Facts,
    manifest: Option<Manifest>,
    /// Why this host would not take it.
    refusal: Option<Error>,
}

pub(crate) async fn run(arguments: &Arguments, settings: &Settings) -> Result<Exit> {
    let path = &arguments.component;
    let component = input::component(path)?;
    let host = host::without_storage(settings)?;
    let found = inspect(host, path, &component).await.with_context(|| path.display().to_string())?;
    if arguments.json {
        output::print_json(&to_json(path, &found)?)?;
    } else {
        output::print(&text::of(path, &found))?;
    }
    Ok(if found.refusal.is_some() { Exit::Refused } else { Exit::Done })
}

/// Looks at the component. An error is for what there is nothing to tell about.
async fn inspect(host: PluginHostBuilder, path: &Path, component: &Arc<[u8]>) -> Result<Inspected> {
    let refusal = match input::install_options(path, component, None) {
        Err(error) => Some(error),
        Ok(options) => match host.judge(component, &options).await {
            Ok(()) => None,
            Err(failure) if tells_nothing(&failure) => return Err(failure.into()),
            Err(failure) => Some(failure.into()),
        },
    };
    match (Facts::read(component), refusal) {
        (Ok(facts), refusal) => {
            // A manifest that cannot be read is a refusal, which says what is wrong with it.
            let manifest = erp_plugin_package::manifest::read(component).ok().flatten();
            Ok(Inspected { facts, manifest, refusal })
        }
        (Err(_), Some(refusal)) => Err(refusal),
        (Err(error), None) => Err(error.into()),
    }
}

/// Whether the refusal is all there is: the bytes are no component, or one in which to look further could take for
/// ever.
fn tells_nothing(failure: &HostFailure) -> bool {
    matches!(
        failure,
        HostFailure::Load(
            LoadError::CoreModule
                | LoadError::NotWasm
                | LoadError::Truncated(_)
                | LoadError::TooMany { .. }
                | LoadError::Engine(_)
        ) | HostFailure::Storage(_)
            | HostFailure::ShuttingDown
    )
}

/// The contract by its version; `None` for none, or for several at once.
fn contract(facts: &Facts) -> Option<String> {
    match facts.contract() {
        Contract::One(version) => Some(version),
        Contract::None | Contract::Mixed(_) => None,
    }
}

fn to_json(path: &Path, found: &Inspected) -> Result<Value> {
    let Inspected { facts, manifest, refusal } = found;
    let interfaces = |interfaces: &[Interface]| -> Value {
        interfaces
            .iter()
            .map(|interface| json!({ "name": interface.name, "functions": interface.functions }))
            .collect()
    };
    let manifest: Option<Value> = manifest
        .as_ref()
        .map(|manifest| serde_json::from_slice(&manifest.to_canonical_json()))
        .transpose()?;
    Ok(json!({
        "file": path.to_string_lossy(),
        "size": facts.size,
        "sha256": facts.sha256,
        "contract": contract(facts),
        "accepted": refusal.is_none(),
        "error": refusal.as_ref().map(|refusal| {
            json!({ "code": exit::classify(refusal).1.as_str(), "message": exit::line(refusal) })
        }),
        "imports": interfaces(&facts.imports),
        "exports": interfaces(&facts.exports),
        "manifest": manifest,
    }))
}
