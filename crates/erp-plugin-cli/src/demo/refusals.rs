//! Four things that must not work, tried on the demo's own records: each would change a figure if it did.

use anyhow::{Context as _, Result};
use erp_plugin::{ErrorCode, HostError, HostFailure, HostResult, PluginHost, RecordId, Version};
use serde_json::{Value, json};

use super::Tenant;
use super::identities::{clerk, platform};

/// Something that was tried, and how it ended.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What was tried.
    pub what: &'static str,
    /// What it ended with.
    pub answer: Result<(), HostError>,
    /// Whether that is what it must end with.
    pub holds: bool,
}

impl Refusal {
    fn new(what: &'static str, answer: Result<(), HostError>, expected: ErrorCode) -> Self {
        let holds = matches!(&answer, Err(error) if error.code == expected);
        Self { what, answer, holds }
    }
}

const ITEM: &str = "inventory.item";

/// An item, and what an update of it must know.
struct Item {
    id: RecordId,
    version: Version,
}

/// Tries all four. An error is for what kept one of them from being tried.
pub(super) async fn attempt(host: &PluginHost) -> Result<[Refusal; 4]> {
    Ok([
        another_tenants_record(host).await?,
        stale_version(host).await?,
        endless_loop(host).await?,
        missing_permission(host).await?,
    ])
}

/// Much more than anybody has: it shows in the total on hand.
fn forged() -> Value {
    json!({ "on_hand": 1_000_000 })
}

async fn another_tenants_record(host: &PluginHost) -> Result<Refusal> {
    let item = some_item(host).await?;
    let intruder = host.records(platform(Tenant::Southridge)?);
    let read = answer(intruder.get(ITEM, item.id).await)?;
    let written = answer(intruder.update(ITEM, item.id, &forged(), item.version).await)?;
    let answer = match (read, written) {
        // Any other no would tell that there is such a record.
        (Err(read), Err(_)) if read.code != ErrorCode::NotFound => Err(read),
        (Err(_), written) => written,
        (Ok(()), _) => Ok(()),
    };
    Ok(Refusal::new("another tenant's record", answer, ErrorCode::NotFound))
}

async fn stale_version(host: &PluginHost) -> Result<Refusal> {
    let records = host.records(platform(Tenant::Northwind)?);
    let item = some_item(host).await?;
    // Somebody else is faster, and changes nothing but the version.
    records.update(ITEM, item.id, &json!({}), item.version).await.context("update of an item")?;
    let late = records.update(ITEM, item.id, &forged(), item.version).await;
    Ok(Refusal::new("an update with a stale version", answer(late)?, ErrorCode::Conflict))
}

async fn endless_loop(host: &PluginHost) -> Result<Refusal> {
    let platform = platform(Tenant::Northwind)?;
    let payload = json!({ "data": { "title": "written before the loop" } });
    let report = host.call(platform.clone(), "test-sample", "sample.loop", &payload).await.context("loop")?;
    let notes = host.records(platform).query("test-sample.note", &json!({}), &json!({})).await?;
    let left = notes.pointer("/items/0").is_some();
    let by_fuel = matches!(&report.outcome, Err(error) if error.message.starts_with("fuel "));
    let refusal = Refusal::new("an endless loop", report.outcome, ErrorCode::LimitExceeded);
    Ok(Refusal { holds: refusal.holds && by_fuel && !left, ..refusal })
}

async fn missing_permission(host: &PluginHost) -> Result<Refusal> {
    let clerk = host.records(clerk(Tenant::Northwind)?);
    let item = some_item(host).await?;
    clerk.get(ITEM, item.id).await.context("a clerk may look at an item")?;
    let change = clerk.update(ITEM, item.id, &forged(), item.version).await;
    Ok(Refusal::new("a clerk without inventory.item.update", answer(change)?, ErrorCode::PermissionDenied))
}

/// The first item of northwind.
async fn some_item(host: &PluginHost) -> Result<Item> {
    let records = host.records(platform(Tenant::Northwind)?);
    let page = records.query(ITEM, &json!({}), &json!({ "limit": 1, "sort": ["sku"] })).await?;
    let item = page.pointer("/items/0").context("northwind has no item")?;
    let id = item.get("id").and_then(Value::as_str).and_then(RecordId::parse);
    let version = item.get("version").and_then(Value::as_i64).and_then(Version::new);
    let (id, version) = id.zip(version).context("an item has no id or version")?;
    Ok(Item { id, version })
}

/// Tells the host's no from a host that failed.
fn answer<T>(result: HostResult<T>) -> HostResult<Result<(), HostError>> {
    match result {
        Ok(_) => Ok(Ok(())),
        Err(HostFailure::Refused(error)) => Ok(Err(error)),
        Err(failure) => Err(failure),
    }
}
