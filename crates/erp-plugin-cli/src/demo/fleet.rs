//! Many hosts on one database: a backlog of orders of several tenants is worked off by processes of their own, and in the
//! middle of it the plugin is upgraded for all tenants.
//!
//! Each order of a tenant must be answered once, by one of the two versions, and the stock must be what it was less what left
//! it. Nothing here knows how an order is decided.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use erp_plugin::{Identity, InstallOptions, PluginHost, TenantId, UserId};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Data, Plugins, Progress};
use crate::output::{HEADING, styled};
use crate::values::grouped;

/// Each has every order: enough for many streams at once.
const TENANTS: usize = 8;
/// What 0.2 of inventory does without.
const CONSENT: &str = "inventory.item.discontinued";
/// How often it is looked how far the hosts are.
const LOOK: Duration = Duration::from_millis(50);
/// A stream is worked off within this, or something is wrong.
const PATIENCE: Duration = Duration::from_mins(10);

/// What came of it.
#[derive(Debug, Serialize)]
pub struct FleetReport {
    /// The orders of all tenants.
    pub orders: u64,
    /// Those that got everything they asked for.
    pub reserved: u64,
    /// Those that did not.
    pub short: u64,
    /// From when the hosts were started to the last order, the upgrade in it.
    pub seconds: f64,
    /// How long the upgrade took.
    pub upgrade_seconds: f64,
    /// How many orders were worked off before it.
    pub before_upgrade: u64,
    /// The deliveries that each host handled.
    pub delivered: Vec<u64>,
}

/// Sets everything up, has so many processes work it off, and checks what is in the database. `start` makes the command of
/// one of them: a host that works until it gets SIGTERM, and then prints its report.
pub(super) async fn run(
    host: &PluginHost,
    data: &Data,
    plugins: &Plugins,
    hosts: usize,
    start: impl Fn() -> Result<Command>,
    progress: &dyn Progress,
) -> Result<FleetReport> {
    let tenants = prepare(host, plugins, data).await?;
    let stock_before = stock(host, &tenants).await?;
    let orders = (data.orders.len() * tenants.len()) as u64;
    for order in &data.orders {
        for tenant in &tenants {
            host.publish(system(tenant)?, "order.created", &order.value.payload).await?;
        }
    }

    progress.begin(orders);
    let begun = Instant::now();
    let mut running = (0..hosts).map(|_| Running::start(start()?)).collect::<Result<Vec<_>>>()?;
    let (mut shown, mut upgrade) = (0, None);
    loop {
        let backlog = host.events().backlog(None).await?;
        // What waits of other events is counted as if it were orders.
        let answered = orders.saturating_sub(backlog.unnumbered + backlog.pending);
        (shown..answered).for_each(|_| progress.worked());
        shown = shown.max(answered);
        if upgrade.is_none() && answered >= orders / 2 {
            let begun = Instant::now();
            let consent = vec![CONSENT.to_owned()];
            let options = InstallOptions { consent, ..InstallOptions::default() };
            let upgraded = host.install(plugins.next_inventory.clone(), options).await?;
            if let Some(note) = upgraded.notes.first() {
                bail!("the upgrade did not come to every tenant: {note}");
            }
            upgrade = Some((begun.elapsed(), answered));
        }
        if answered == orders {
            break;
        }
        running.iter_mut().try_for_each(Running::check)?;
        if begun.elapsed() > PATIENCE {
            bail!("{answered} of {orders} orders were worked off in {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    progress.end();
    let delivered = running.into_iter().map(Running::stop).collect::<Result<Vec<_>>>()?;
    let Some((upgrade, before_upgrade)) = upgrade else { bail!("the hosts ended before half was done") };

    let (mut reserved, mut short) = (0, 0);
    for tenant in &tenants {
        let own_reserved = answered_by(host, tenant, RESERVED, "item").await?;
        let own_short = answered_by(host, tenant, SHORT, "sku").await?;
        for order in &data.orders {
            let id = &order.value.id;
            match (own_reserved.contains(id), own_short.contains(id)) {
                (true, false) | (false, true) => {}
                (false, false) => bail!("order {id} of {tenant} was lost"),
                (true, true) => bail!("order {id} of {tenant} was answered in both ways"),
            }
        }
        (reserved, short) = (reserved + own_reserved.len() as u64, short + own_short.len() as u64);
    }
    let (stock_after, moved) = (stock(host, &tenants).await?, moved(host, &tenants).await?);
    if stock_before + moved != stock_after {
        bail!("of {stock_before} pieces {moved} were moved, and {stock_after} are left");
    }
    let upgrade_seconds = upgrade.as_secs_f64();
    Ok(FleetReport { orders, reserved, short, seconds, upgrade_seconds, before_upgrade, delivered })
}

/// Where an order that got everything is found.
const RESERVED: &str = "inventory.stock_movement";
/// Where one that did not is.
const SHORT: &str = "inventory.backorder";

async fn prepare(host: &PluginHost, plugins: &Plugins, data: &Data) -> Result<Vec<TenantId>> {
    let plugin = host.install(plugins.inventory.clone(), InstallOptions::default()).await?;
    let mut tenants = Vec::new();
    for number in 1..=TENANTS {
        let tenant = TenantId::parse(&format!("tenant-{number}"))?;
        host.create_tenant(tenant.as_str()).await?;
        host.enable(tenant.as_str(), plugin.name.as_str()).await?;
        let items = data.products.iter().map(|product| serde_json::to_value(&product.value));
        let items = Value::Array(items.collect::<Result<_, _>>()?);
        host.records(system(&tenant)?).insert_many("inventory.item", &items).await?;
        tenants.push(tenant);
    }
    Ok(tenants)
}

fn system(tenant: &TenantId) -> Result<Identity> {
    Ok(Identity::system(tenant.clone(), UserId::parse("platform")?, None))
}

/// A host in a process of its own, which dies with this one's patience.
struct Running(Option<Child>);

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Ok(Self(Some(child.context("a host cannot be started")?)))
    }

    /// Fails if it has ended by itself.
    fn check(&mut self) -> Result<()> {
        match self.0.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => bail!("a host ended with {status} before it was told to"),
            Some(Err(error)) => Err(error).context("a host cannot be looked at"),
            _ => Ok(()),
        }
    }

    /// Tells it to stop, and returns how many deliveries it handled.
    fn stop(mut self) -> Result<u64> {
        let Some(child) = self.0.take() else { bail!("a host was stopped before") };
        let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        told.context("a host cannot be told to stop")?;
        let done = child.wait_with_output().context("a host cannot be waited for")?;
        if !done.status.success() {
            bail!("a host ended with {}", done.status);
        }
        let report: Value = serde_json::from_slice(&done.stdout).context("a host's report is no JSON")?;
        report.get("delivered").and_then(Value::as_u64).context("a host's report has no number of deliveries")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // One that has ended already needs no more.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The orders that the records of an entity are about, of which none has two records about the same thing.
async fn answered_by(
    host: &PluginHost,
    tenant: &TenantId,
    entity: &str,
    thing: &str,
) -> Result<HashSet<String>> {
    let (mut orders, mut seen) = (HashSet::new(), HashSet::new());
    let mut cursor = Value::Null;
    loop {
        let page = json!({ "limit": 200, "cursor": cursor });
        let mut answer = host.records(system(tenant)?).query(entity, &json!({}), &page).await?;
        for record in answer.get("items").and_then(Value::as_array).context("a page has no items")? {
            let order = record.get("order_id").and_then(Value::as_str).context("a record has no order")?;
            let thing = record.get(thing).with_context(|| format!("{entity} has no {thing}"))?;
            if !seen.insert((order.to_owned(), thing.to_string())) {
                bail!("order {order} of {tenant} was done twice: {entity} has two records of {thing}");
            }
            orders.insert(order.to_owned());
        }
        cursor = answer.get_mut("next_cursor").map(Value::take).unwrap_or_default();
        if cursor.is_null() {
            return Ok(orders);
        }
    }
}

async fn stock(host: &PluginHost, tenants: &[TenantId]) -> Result<i64> {
    total(host, tenants, "inventory.item", "on_hand").await
}

async fn moved(host: &PluginHost, tenants: &[TenantId]) -> Result<i64> {
    total(host, tenants, "inventory.stock_movement", "quantity").await
}

async fn total(host: &PluginHost, tenants: &[TenantId], entity: &str, field: &str) -> Result<i64> {
    let figures = json!({ "figures": { "total": { "sum": field } } });
    let mut sum = 0;
    for tenant in tenants {
        let answer = host.records(system(tenant)?).aggregate(entity, &json!({}), &figures).await?;
        let total = answer.pointer("/groups/0/total").and_then(Value::as_i64);
        sum += total.with_context(|| format!("{entity} has no sum of {field}"))?;
    }
    Ok(sum)
}

impl FleetReport {
    /// The report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { orders, reserved, short, seconds, upgrade_seconds, before_upgrade, delivered } = self;
        let mut text = styled(HEADING, format!("{:26}{:>12}", "", "deliveries")) + "\n";
        for (host, delivered) in (1..).zip(delivered) {
            text += &format!("host {host:<21}{:>12}\n", grouped(*delivered));
        }
        #[allow(clippy::cast_precision_loss, reason = "there are not that many orders")]
        let per_minute = *orders as f64 / seconds.max(f64::EPSILON) * 60.0;
        text += &format!(
            "\n{} orders of {TENANTS} tenants, each answered once: {} reserved, {} short\n",
            grouped(*orders),
            grouped(*reserved),
            grouped(*short)
        );
        text += &format!(
            "inventory 0.1.0 → 0.2.0 in {upgrade_seconds:.2} s, after {} of them, while the others went on\n",
            grouped(*before_upgrade)
        );
        text += &format!("{seconds:.2} s, {per_minute:.0} orders a minute\n");
        text
    }
}
