//! What is in the database when all is done: read page by page, as any reader would.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use erp_plugin::{PluginHost, Records};
use serde::Serialize;
use serde_json::{Value, json};

use super::Tenant;
use super::identities::platform;

/// The figures of one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Orders that got what they asked for: distinct orders among the sales.
    pub orders_reserved: u64,
    /// Orders that did not: distinct orders among the backorders.
    pub orders_short: u64,
    /// Movements out of the stock.
    pub stock_movements_sale: u64,
    /// Movements into it.
    pub stock_movements_receipt: u64,
    /// What orders could not get, one for each order and sku.
    pub backorders: u64,
    /// Purchase orders that were received.
    pub purchase_orders_received: u64,
    /// Pieces in stock, of all items.
    pub on_hand_total: i64,
}

impl Figures {
    /// Reads them.
    pub(super) async fn read(host: &PluginHost, tenant: Tenant) -> Result<Self> {
        let records = host.records(platform(tenant)?);
        let mut figures = Self::default();

        let (mut reserved, mut short) = (BTreeSet::new(), BTreeSet::new());
        let sales = json!({ "reason": "sale" });
        figures.stock_movements_sale = each(&records, "inventory.stock_movement", &sales, |movement| {
            reserved.insert(text(movement, "order_id")?.to_owned());
            Ok(())
        })
        .await?;
        figures.orders_reserved = reserved.len() as u64;
        figures.backorders = each(&records, "inventory.backorder", &json!({}), |backorder| {
            short.insert(text(backorder, "order_id")?.to_owned());
            Ok(())
        })
        .await?;
        figures.orders_short = short.len() as u64;

        let receipts = json!({ "reason": "receipt" });
        figures.stock_movements_receipt =
            each(&records, "inventory.stock_movement", &receipts, |_| Ok(())).await?;
        let received = json!({ "status": "received" });
        figures.purchase_orders_received =
            each(&records, "purchasing.purchase_order", &received, |_| Ok(())).await?;
        each(&records, "inventory.item", &json!({}), |item| {
            figures.on_hand_total +=
                item.get("on_hand").and_then(Value::as_i64).context("an item has no on_hand")?;
            Ok(())
        })
        .await?;
        Ok(figures)
    }
}

/// Visits every record that fulfils the filter, and counts them.
async fn each(
    records: &Records<'_>,
    entity: &str,
    filter: &Value,
    mut visit: impl FnMut(&Value) -> Result<()>,
) -> Result<u64> {
    let mut count = 0;
    let mut page = json!({ "limit": 500 });
    loop {
        let answer = records.query(entity, filter, &page).await?;
        let items = answer.get("items").and_then(Value::as_array).context("a page has no items")?;
        items.iter().try_for_each(&mut visit)?;
        count += items.len() as u64;
        match answer.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => page = json!({ "limit": 500, "cursor": cursor }),
            None => return Ok(count),
        }
    }
}

fn text<'a>(record: &'a Value, field: &str) -> Result<&'a str> {
    record.get(field).and_then(Value::as_str).with_context(|| format!("a record has no {field}"))
}
