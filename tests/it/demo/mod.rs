//! The demo's figures against a computation that shares nothing with it, and storages that break a promise, each of
//! which must show in a figure.

mod computation;
mod sabotage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use erp_plugin::{
    Identity, InstallOptions, PluginHost, PluginHostBuilder, SystemClock, SystemIds, TenantId, UserId,
};
use erp_plugin_cli::demo::{self, Data, Plugins, Progress, Report};
use erp_plugin_storage_conformance::intercept::Intercepted;
use erp_plugin_tests::{Database, guests};
use serde_json::Value;

use sabotage::Broken;

/// Nobody watches.
struct Unseen;

impl Progress for Unseen {
    fn begin(&self, _orders: u64) {}
    fn worked(&self) {}
    fn end(&self) {}
}

async fn run(data: &Data, open: impl AsyncFn(&str) -> Result<PluginHostBuilder>) -> Result<Report> {
    let database = Database::lasting().await;
    let plugins = Plugins::read(&guests::plugins_folder())?;
    demo::run(data, &plugins, async || open(database.url()).await, &Unseen).await
}

async fn honest(data: &Data) -> Result<Report> {
    run(data, async |url| Ok(erp_plugin::host(url).await?)).await
}

async fn sabotaged(data: &Data, broken: Broken) -> Result<Report> {
    run(data, async |url| {
        let storage = Arc::new(Intercepted::new(erp_plugin::storage(url).await?, Arc::new(broken)));
        Ok(PluginHost::builder(storage, Arc::new(SystemClock), Arc::new(SystemIds::default())))
    })
    .await
}

/// What the demo prints, but for the time it took.
fn shown(report: &Report) -> Value {
    let mut json = serde_json::to_value(report.summary()).unwrap();
    json.as_object_mut().unwrap().remove("seconds");
    json
}

/// The real data, if they are there: `cargo xtask test` looks for them, and fails in CI without.
fn northwind() -> Option<PathBuf> {
    let folder = std::env::var_os("ERP_PLUGIN_NORTHWIND").map(PathBuf::from);
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ERP_PLUGIN_NORTHWIND does not say where the Northwind data are"
        );
        eprintln!("NOT RUN: ERP_PLUGIN_NORTHWIND does not say where the Northwind data are");
    }
    folder
}

fn read(folder: &Path, file: &str) -> Result<String> {
    std::fs::read_to_string(folder.join(file)).with_context(|| format!("{file} of {}", folder.display()))
}

#[tokio::test]
async fn the_figures_are_those_of_an_independent_computation_for_three_seeds() -> Result<()> {
    for seed in [1, 7, 20_261] {
        let files = demo::generate(seed);
        let expected = computation::figures(&files.products.join("\n"), &files.orders.join("\n"));
        let report = honest(&Data::generated(seed)?).await?;
        assert_eq!(shown(&report), expected, "seed {seed}");
        report.verdict()?;
    }
    Ok(())
}

#[tokio::test]
async fn the_figures_are_those_of_an_independent_computation_for_real_data() -> Result<()> {
    let Some(folder) = northwind() else { return Ok(()) };
    let expected = computation::figures(&read(&folder, "products.jsonl")?, &read(&folder, "orders.jsonl")?);
    let report = honest(&Data::read(&folder)?).await?;
    assert_eq!(shown(&report), expected);
    report.verdict()
}

/// Half of it on a file of SQLite's, the other half on whatever the tests run on.
#[tokio::test]
async fn a_database_that_is_moved_half_way_ends_with_the_same_figures() -> Result<()> {
    let files = demo::generate(7);
    let expected = computation::figures(&files.products.join("\n"), &files.orders.join("\n"));
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("first.db").display());
    let database = Database::lasting().await;
    let moved = AtomicBool::new(false);
    let report = demo::run_in_halves(
        &Data::generated(7)?,
        &Plugins::read(&guests::plugins_folder())?,
        async || {
            let url = if moved.load(Ordering::Relaxed) { database.url() } else { &file };
            Ok(erp_plugin::host(url).await?)
        },
        async || {
            let (from, to) =
                (erp_plugin::transfer(&file).await?, erp_plugin::transfer(database.url()).await?);
            let copied = erp_plugin::copy::copy(&*from, &*to, &mut |_| {}).await?;
            assert!(copied.is_equal(), "{copied:?}");
            moved.store(true, Ordering::Relaxed);
            Ok(())
        },
        &Unseen,
    )
    .await?;
    assert!(moved.load(Ordering::Relaxed));
    assert_eq!(shown(&report), expected);
    report.verdict()
}

/// Half of it on one version of a plugin, the other half on the next, which has some of its fields otherwise.
#[tokio::test]
async fn a_plugin_that_is_upgraded_half_way_ends_with_the_same_figures() -> Result<()> {
    let files = demo::generate(7);
    let expected = computation::figures(&files.products.join("\n"), &files.orders.join("\n"));
    let database = Database::lasting().await;
    let open = async || Ok(erp_plugin::host(database.url()).await?);
    let upgraded = AtomicBool::new(false);
    let report = demo::run_in_halves(
        &Data::generated(7)?,
        &Plugins::read(&guests::plugins_folder())?,
        open,
        async || {
            let host = open().await?.build().await?;
            let before = items(&host).await?;
            let component = guests::plugin("inventory-0.2");
            let refused = host.install(component.clone(), InstallOptions::default()).await.unwrap_err();
            assert!(refused.to_string().contains("inventory.item.discontinued"), "{refused}");
            assert_eq!(items(&host).await?, before, "nothing was done");
            let consent = vec!["inventory.item.discontinued".to_owned()];
            let installed =
                host.install(component, InstallOptions { consent, ..InstallOptions::default() }).await?;
            assert_eq!((installed.version.to_string().as_str(), installed.notes.len()), ("0.2.0", 0));
            for (old, new) in before.iter().zip(items(&host).await?) {
                assert_eq!(new["unit_of_measure"], old["unit"]);
                let price = old["unit_price"].as_str().map(|price| format!("{price}00"));
                assert_eq!(new["unit_price"].as_str(), price.as_deref());
                assert_eq!((&new["lead_days"], new.get("discontinued")), (&7.into(), None));
                for same in ["id", "sku", "name", "category", "on_hand", "reorder_level", "version"] {
                    assert_eq!(new[same], old[same], "{same}");
                }
            }
            upgraded.store(true, Ordering::Relaxed);
            Ok(())
        },
        &Unseen,
    )
    .await?;
    assert!(upgraded.load(Ordering::Relaxed));
    assert_eq!(shown(&report), expected);
    report.verdict()
}

/// Every item of a tenant, by id.
async fn items(host: &PluginHost) -> Result<Vec<Value>> {
    let tenant = TenantId::parse(demo::Tenant::Northwind.as_str())?;
    let system = Identity::system(tenant, UserId::parse("system")?, None);
    let page = serde_json::json!({ "sort": ["id"], "limit": 1000 });
    let page = host.records(system).query("inventory.item", &serde_json::json!({}), &page).await?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

async fn changes_a_figure(broken: Broken) -> Result<()> {
    let files = demo::generate(7);
    let expected = computation::figures(&files.products.join("\n"), &files.orders.join("\n"));
    let report = sabotaged(&Data::generated(7)?, broken).await?;
    assert_ne!(shown(&report)["tenants"], expected["tenants"]);
    Ok(())
}

#[tokio::test]
async fn a_missing_version_check_changes_a_figure() -> Result<()> {
    changes_a_figure(Broken::VersionCheck).await
}

#[tokio::test]
async fn a_missing_tenant_predicate_changes_a_figure() -> Result<()> {
    changes_a_figure(Broken::TenantPredicate).await
}

#[tokio::test]
async fn a_missing_subscription_changes_a_figure() -> Result<()> {
    changes_a_figure(Broken::Subscription).await
}
