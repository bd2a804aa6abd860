//! A year of orders of two tenants, worked off by the example plugins: what a whole host does, in one command.
//!
//! Everything goes through [`PluginHost`], as a platform would do it: `orders` installs,
//! loads the products, publishes and drains; `refusals` tries four things that must not work, on the very same
//! records; then the database is closed, opened again, and `figures` reads what is in it. A host that let one of
//! the four things through would show other figures, and the demo fails.
//!
//! The plugins decide; this module knows none of their rules.

mod data;
mod figures;
mod fleet;
mod generator;
mod identities;
mod orders;
mod refusals;
mod report;

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use erp_plugin::{PluginHost, PluginHostBuilder};

pub use data::Data;
pub use figures::Figures;
pub use fleet::FleetReport;
pub use generator::{DEFAULT_SEED, Files, generate};
pub use orders::{Progress, Worked};
pub use refusals::Refusal;
pub use report::{Report, Summary};

/// A tenant of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// Gets every order.
    Northwind,
    /// Gets the orders whose number divides by ten.
    Southridge,
}

impl Tenant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Northwind, Self::Southridge];

    /// Its id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Northwind => "northwind",
            Self::Southridge => "southridge",
        }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The components that take part.
#[derive(Clone, Debug)]
pub struct Plugins {
    inventory: Arc<[u8]>,
    next_inventory: Arc<[u8]>,
    purchasing: Arc<[u8]>,
    test_sample: Arc<[u8]>,
}

impl Plugins {
    /// Reads them from the folder that `cargo xtask build-plugins` writes.
    pub fn read(folder: &Path) -> Result<Self> {
        let component = |name: &str| -> Result<Arc<[u8]>> {
            let path = folder.join(format!("{name}.component.wasm"));
            let bytes = std::fs::read(&path).with_context(|| {
                format!("cannot read {}; build it with `cargo xtask build-plugins`", path.display())
            })?;
            Ok(bytes.into())
        };
        Ok(Self {
            inventory: component("inventory")?,
            next_inventory: component("inventory-0.2")?,
            purchasing: component("purchasing")?,
            test_sample: component("test-sample")?,
        })
    }
}

/// Runs the demo. `open` opens the database, which must be new: once to work on it, and again to read the figures.
pub async fn run(
    data: &Data,
    plugins: &Plugins,
    open: impl AsyncFn() -> Result<PluginHostBuilder>,
    progress: &dyn Progress,
) -> Result<Report> {
    let host = host(&open).await?;
    orders::prepare(&host, plugins, data).await?;
    let worked = orders::work(&host, &orders::of(data), progress).await?;
    finish(host, worked, open).await
}

/// Has so many processes, each made by `start`, work off the orders of several tenants on one database, which must be new, and
/// upgrades a plugin in the middle of it.
pub async fn run_with_hosts(
    data: &Data,
    plugins: &Plugins,
    hosts: usize,
    open: impl AsyncFn() -> Result<PluginHostBuilder>,
    start: impl Fn() -> Result<Command>,
    progress: &dyn Progress,
) -> Result<FleetReport> {
    let host = host(&open).await?;
    fleet::run(&host, data, plugins, hosts, start, progress).await
}

/// As [`run`], but after half of the orders the database is closed and `between` called. From then on `open` may open
/// another one that holds the same.
pub async fn run_in_halves(
    data: &Data,
    plugins: &Plugins,
    open: impl AsyncFn() -> Result<PluginHostBuilder>,
    between: impl AsyncFnOnce() -> Result<()>,
    progress: &dyn Progress,
) -> Result<Report> {
    let orders = orders::of(data);
    let (first, second) = orders.split_at(orders.len() / 2);
    let before = host(&open).await?;
    orders::prepare(&before, plugins, data).await?;
    let mut worked = orders::work(&before, first, progress).await?;
    drop(before);
    between().await?;

    let after = host(&open).await?;
    let Worked { orders, time } = orders::work(&after, second, progress).await?;
    worked = Worked { orders: worked.orders + orders, time: worked.time + time };
    finish(after, worked, open).await
}

async fn host(open: &impl AsyncFn() -> Result<PluginHostBuilder>) -> Result<PluginHost> {
    Ok(open().await?.authorizer(identities::roles()).build().await?)
}

/// Tries what must not work, closes the database, and reads what is in it.
async fn finish(
    host: PluginHost,
    worked: Worked,
    open: impl AsyncFn() -> Result<PluginHostBuilder>,
) -> Result<Report> {
    let refusals = refusals::attempt(&host).await?;
    drop(host);

    let host = self::host(&open).await?;
    let (mut tenants, mut events, mut fuel) = (Vec::new(), 0, 0);
    for tenant in Tenant::ALL {
        tenants.push((tenant, Figures::read(&host, tenant).await?));
        events += host.event_count(tenant.as_str()).await?;
        fuel += host.usage(tenant.as_str()).await?.iter().map(|total| total.usage.fuel).sum::<u64>();
    }
    Ok(Report { tenants, events, fuel, worked, refusals })
}
