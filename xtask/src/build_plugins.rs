//! `cargo xtask build-plugins`: every plugin of `plugins/`, built, made a component, its manifest embedded.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use erp_plugin_package::{BuildOptions, package};

use crate::guests::{Built, print, write_if_changed};
use crate::{preflight, repository};

/// Which plugins to build.
#[derive(Default, clap::Args)]
pub(crate) struct Arguments {
    /// Only this plugin, by the name of its folder; may be given several times
    #[arg(short = 'p', long = "plugin", value_name = "NAME")]
    plugins: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    print(&build(arguments)?);
    Ok(())
}

/// Builds the plugins that are wanted. What has not changed is not built again.
pub(crate) fn build(arguments: &Arguments) -> Result<Vec<Built>> {
    preflight::guests()?;
    let options = BuildOptions { target_dir: Some(repository::target("guests")), ..BuildOptions::default() };
    let mut built = Vec::new();
    for folder in folders(arguments)? {
        let package = package(&folder, &options)?;
        // Two versions of a plugin have one name and two folders.
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = repository::target("plugins").join(format!("{name}.component.wasm"));
        write_if_changed(&path, &package.component)?;
        let contract = package.facts.contract().to_string();
        built.push(Built { name, contract, size: package.component.len(), path });
    }
    Ok(built)
}

/// The folders of the plugins that are wanted, in order.
fn folders(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let all = repository::plugins();
    let entries = fs::read_dir(&all).with_context(|| format!("cannot read {}", all.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("plugin.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if let Some(unknown) = arguments.plugins.iter().find(|wanted| !names.contains(wanted)) {
        bail!("there is no plugin {unknown}; there are: {}", names.join(", "));
    }
    names.retain(|name| arguments.plugins.is_empty() || arguments.plugins.contains(name));
    Ok(names.into_iter().map(|name| all.join(name)).collect())
}
