//! `inventory.stock.low` and `inventory.order.short`: draft a purchase order, unless one stands there already.

use std::collections::BTreeSet;

use erp_plugin_sdk::{Error, Record, Result, log, records};
use serde::Deserialize;
use serde_json::json;

use crate::entities::{PURCHASE_ORDER, PurchaseOrder, Status};

/// How many pieces more than needed are ordered.
const RESERVE: i64 = 100;

/// An item has reached its reorder level.
#[derive(Debug, Deserialize)]
pub(crate) struct StockLow {
    sku: String,
    on_hand: i64,
    reorder_level: i64,
}

/// An order could not be reserved.
#[derive(Debug, Deserialize)]
pub(crate) struct OrderShort {
    order_id: String,
    lines: Vec<Shortage>,
}

#[derive(Debug, Deserialize)]
struct Shortage {
    sku: String,
    missing: i64,
}

/// Handles `inventory.stock.low`.
pub(crate) fn stock_low(event: &StockLow) -> Result<()> {
    draft(vec![wanted_when_low(event)?])
}

/// Handles `inventory.order.short`.
pub(crate) fn order_short(event: &OrderShort) -> Result<()> {
    draft(wanted_when_short(event)?)
}

/// Inserts those of the orders whose sku has no draft yet.
fn draft(wanted: Vec<PurchaseOrder>) -> Result<()> {
    let skus: Vec<&str> = wanted.iter().map(|order| order.sku.as_str()).collect();
    let drafts: Vec<Record<PurchaseOrder>> =
        records::query_all(PURCHASE_ORDER, &json!({ "sku": { "$in": skus }, "status": Status::Draft }))?;
    let drafted = drafts.into_iter().map(|draft| draft.fields.sku).collect();
    for order in without_drafted(wanted, drafted) {
        let record = records::insert(PURCHASE_ORDER, &order)?;
        log::info(format!("purchase order {} drafted: {} of {}", record.id, order.quantity, order.sku));
    }
    Ok(())
}

fn wanted_when_low(event: &StockLow) -> Result<PurchaseOrder> {
    let StockLow { sku, on_hand, reorder_level } = event;
    let quantity = reorder_level.checked_sub(*on_hand).and_then(|below| below.checked_add(RESERVE));
    order(sku, quantity, format!("stock low: {on_hand} on hand, reorder level {reorder_level}"))
}

fn wanted_when_short(event: &OrderShort) -> Result<Vec<PurchaseOrder>> {
    event
        .lines
        .iter()
        .map(|Shortage { sku, missing }| {
            let reason = format!("order {} is short of {missing}", event.order_id);
            order(sku, missing.checked_add(RESERVE), reason)
        })
        .collect()
}

fn order(sku: &str, quantity: Option<i64>, reason: String) -> Result<PurchaseOrder> {
    let quantity = quantity.filter(|quantity| *quantity > 0).ok_or_else(|| {
        Error::invalid_input(format!(
            "no quantity between 1 and {} of {sku} can be ordered: {reason}",
            i64::MAX
        ))
    })?;
    Ok(PurchaseOrder { sku: sku.to_owned(), quantity, status: Status::Draft, reason: Some(reason) })
}

/// At most one draft per sku, those that stand there already included.
fn without_drafted(wanted: Vec<PurchaseOrder>, mut drafted: BTreeSet<String>) -> Vec<PurchaseOrder> {
    wanted.into_iter().filter(|order| drafted.insert(order.sku.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_stock_is_filled_up_to_the_reorder_level_and_the_reserve() {
        let event = StockLow { sku: "A".to_owned(), on_hand: 7, reorder_level: 25 };
        let order = wanted_when_low(&event).unwrap();
        assert_eq!((order.sku.as_str(), order.quantity, order.status), ("A", 118, Status::Draft));
        assert_eq!(order.reason.as_deref(), Some("stock low: 7 on hand, reorder level 25"));
    }

    #[test]
    fn every_line_of_a_short_order_is_wanted_with_the_reserve() {
        let lines = [("A", 3), ("B", 1)];
        let event = OrderShort {
            order_id: "SO-1".to_owned(),
            lines: lines.map(|(sku, missing)| Shortage { sku: sku.to_owned(), missing }).into(),
        };
        let quantities: Vec<i64> =
            wanted_when_short(&event).unwrap().iter().map(|order| order.quantity).collect();
        assert_eq!(quantities, [103, 101]);
    }

    #[test]
    fn a_sku_with_a_draft_gets_no_second_one() {
        let wanted = |sku| order(sku, Some(1), String::new()).unwrap();
        let left =
            without_drafted(vec![wanted("A"), wanted("B"), wanted("B")], BTreeSet::from(["A".to_owned()]));
        assert_eq!(left, [wanted("B")]);
    }

    #[test]
    fn quantities_that_make_no_sense_are_refused() {
        let low = |on_hand, reorder_level| {
            wanted_when_low(&StockLow { sku: "A".to_owned(), on_hand, reorder_level })
        };
        assert!(low(i64::MIN, 1).is_err());
        assert!(low(200, 10).is_err());
    }
}
