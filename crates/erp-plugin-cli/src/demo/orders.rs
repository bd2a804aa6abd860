//! The work: installs the plugins, loads the products, and lets order after order run through.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use erp_plugin::{DeadDelivery, InstallOptions, PluginHost};
use serde_json::{Value, json};

use super::data::{Data, Order, Placed};
use super::identities::platform;
use super::{Plugins, Tenant};

/// Who wants to know how far the work is.
pub trait Progress {
    /// A part of the work begins: so many orders.
    fn begin(&self, orders: u64);
    /// One order of a tenant is worked off.
    fn worked(&self);
    /// That part is done.
    fn end(&self);
}

/// What was worked off, and how long that took.
#[derive(Clone, Copy, Debug)]
pub struct Worked {
    /// Orders of both tenants.
    pub orders: u64,
    /// From the first order to the last.
    pub time: Duration,
}

/// Makes the tenants, installs and enables the plugins, and loads the products.
pub(super) async fn prepare(host: &PluginHost, plugins: &Plugins, data: &Data) -> Result<()> {
    for component in [&plugins.inventory, &plugins.purchasing, &plugins.test_sample] {
        let plugin = host.install(component.clone(), InstallOptions::default()).await?;
        for tenant in Tenant::ALL {
            host.create_tenant(tenant.as_str()).await?;
            host.enable(tenant.as_str(), plugin.name.as_str()).await?;
        }
    }
    for tenant in Tenant::ALL {
        let records = host.records(platform(tenant)?);
        for product in &data.products {
            let item = serde_json::to_value(&product.value)?;
            records.insert("inventory.item", &item).await.with_context(|| product.place.clone())?;
        }
    }
    Ok(())
}

/// Every order of each tenant, in the order in which they come.
pub(super) fn of(data: &Data) -> Vec<(Tenant, &Placed<Order>)> {
    data.orders
        .iter()
        .flat_map(|order| Tenant::ALL.map(|tenant| (tenant, order)))
        .filter(|(tenant, order)| *tenant == Tenant::Northwind || order.value.number.is_multiple_of(10))
        .collect()
}

/// Works off orders, one after the other.
pub(super) async fn work(
    host: &PluginHost,
    orders: &[(Tenant, &Placed<Order>)],
    progress: &dyn Progress,
) -> Result<Worked> {
    let count = orders.len() as u64;
    progress.begin(count);
    let start = Instant::now();
    for (tenant, order) in orders {
        work_off(host, *tenant, &order.value)
            .await
            .with_context(|| format!("{}: order {} of {tenant}", order.place, order.value.id))?;
        progress.worked();
    }
    let time = start.elapsed();
    progress.end();
    Ok(Worked { orders: count, time })
}

/// One order, and every purchase order that it led to.
async fn work_off(host: &PluginHost, tenant: Tenant, order: &Order) -> Result<()> {
    publish(host, tenant, "order.created", &order.payload).await?;
    for draft in drafts(host, tenant).await? {
        let about = json!({ "order_id": draft });
        publish(host, tenant, "workflow.task.completed", &about).await?;
        publish(host, tenant, "goods.received", &about).await?;
    }
    Ok(())
}

/// The ids of a tenant's draft purchase orders, the oldest first. Found by an index, in a reader's snapshot.
async fn drafts(host: &PluginHost, tenant: Tenant) -> Result<Vec<Value>> {
    let filter = json!({ "status": "draft" });
    let page = json!({ "sort": ["created_at"], "limit": 1000 });
    let mut drafts =
        host.records(platform(tenant)?).query("purchasing.purchase_order", &filter, &page).await?;
    let items = drafts.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    Ok(items.into_iter().filter_map(|mut item| item.get_mut("id").map(Value::take)).collect())
}

/// Publishes an event and works off everything that follows from it.
async fn publish(host: &PluginHost, tenant: Tenant, event: &str, payload: &Value) -> Result<()> {
    host.publish(platform(tenant)?, event, payload).await?;
    let drained = host.drain().await?;
    if let Some(dead) = drained.dead.first() {
        let DeadDelivery { plugin, event_type, tenant, error, .. } = dead;
        bail!("{plugin} could not handle {event_type} of {tenant}: {error}");
    }
    Ok(())
}
