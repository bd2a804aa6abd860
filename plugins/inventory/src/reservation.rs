//! `order.created`: reserve everything an order asks for, or nothing and say what is missing.

use std::collections::BTreeMap;

use erp_plugin_sdk::{Error, Record, Result, events, log, records};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::entities::{BACKORDER, Backorder, ITEM, Item, Reason, STOCK_MOVEMENT, StockMovement};

/// The part of an order that concerns the stock.
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    id: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

/// What is to happen with an order.
#[derive(Debug, PartialEq)]
enum Decision<'a> {
    Reserve(Vec<Take<'a>>),
    Short(Vec<Shortage<'a>>),
}

/// So much of an item leaves the stock.
#[derive(Debug, PartialEq)]
struct Take<'a> {
    item: &'a Record<Item>,
    quantity: i64,
}

impl Take<'_> {
    fn left(&self) -> i64 {
        self.item.fields.on_hand - self.quantity
    }

    /// Whether this take is the one that brings the item down to its reorder level.
    fn runs_low(&self) -> bool {
        let Item { on_hand, reorder_level, .. } = self.item.fields;
        on_hand > reorder_level && self.left() <= reorder_level
    }
}

/// So much of a sku is missing.
#[derive(Debug, PartialEq, Serialize)]
struct Shortage<'a> {
    sku: &'a str,
    missing: i64,
}

/// Handles the event.
pub(crate) fn reserve(order: &Order) -> Result<()> {
    let demand = demand(order)?;
    let skus: Vec<&str> = demand.keys().copied().collect();
    let items = records::query_all(ITEM, &json!({ "sku": { "$in": skus } }))?;
    match decide(&demand, &items) {
        Decision::Reserve(takes) => take_from_stock(order, &takes),
        Decision::Short(shortages) => put_on_backorder(order, &shortages),
    }
}

fn take_from_stock(order: &Order, takes: &[Take<'_>]) -> Result<()> {
    for take in takes {
        records::update(ITEM, take.item, &json!({ "on_hand": take.left() }))?;
        let movement = StockMovement {
            item: take.item.id.clone(),
            order_id: order.id.clone(),
            quantity: -take.quantity,
            reason: Reason::Sale,
        };
        records::insert(STOCK_MOVEMENT, &movement)?;
    }
    events::publish("inventory.order.reserved", &json!({ "order_id": order.id }))?;
    for take in takes.iter().filter(|take| take.runs_low()) {
        let Item { sku, reorder_level, .. } = &take.item.fields;
        events::publish(
            "inventory.stock.low",
            &json!({ "sku": sku, "on_hand": take.left(), "reorder_level": reorder_level }),
        )?;
    }
    log::info(format!("order {} reserved", order.id));
    Ok(())
}

fn put_on_backorder(order: &Order, shortages: &[Shortage<'_>]) -> Result<()> {
    for shortage in shortages {
        let backorder = Backorder {
            order_id: order.id.clone(),
            sku: shortage.sku.to_owned(),
            quantity: shortage.missing,
        };
        records::insert(BACKORDER, &backorder)?;
    }
    events::publish("inventory.order.short", &json!({ "order_id": order.id, "lines": shortages }))?;
    log::info(format!("order {} is short of {} skus", order.id, shortages.len()));
    Ok(())
}

/// The quantity of each sku over all lines of an order.
fn demand(order: &Order) -> Result<BTreeMap<&str, i64>> {
    let mut demand = BTreeMap::new();
    for Line { sku, quantity } in &order.lines {
        if *quantity < 1 {
            return Err(Error::invalid_input(format!(
                "order {}: quantity of {sku} is {quantity}; it must be at least 1",
                order.id
            )));
        }
        let sum: &mut i64 = demand.entry(sku.as_str()).or_default();
        *sum = sum.checked_add(*quantity).ok_or_else(|| {
            Error::invalid_input(format!("order {}: quantity of {sku} is more than {}", order.id, i64::MAX))
        })?;
    }
    Ok(demand)
}

/// All or nothing. A sku that no item has counts as one of which nothing is there.
fn decide<'a>(demand: &BTreeMap<&'a str, i64>, items: &'a [Record<Item>]) -> Decision<'a> {
    let stock: BTreeMap<&str, &Record<Item>> =
        items.iter().map(|item| (item.fields.sku.as_str(), item)).collect();
    let mut takes = Vec::new();
    let mut shortages = Vec::new();
    for (&sku, &quantity) in demand {
        match stock.get(sku) {
            Some(item) if item.fields.on_hand >= quantity => takes.push(Take { item, quantity }),
            found => {
                let on_hand = found.map_or(0, |item| item.fields.on_hand);
                shortages.push(Shortage { sku, missing: quantity - on_hand });
            }
        }
    }
    if shortages.is_empty() { Decision::Reserve(takes) } else { Decision::Short(shortages) }
}

#[cfg(test)]
mod tests {
    use erp_plugin_sdk::ErrorCode;

    use super::*;

    fn order(lines: &[(&str, i64)]) -> Order {
        let lines = lines.iter().map(|(sku, quantity)| Line { sku: (*sku).to_owned(), quantity: *quantity });
        Order { id: "SO-1".to_owned(), lines: lines.collect() }
    }

    fn item(sku: &str, on_hand: i64, reorder_level: i64) -> Record<Item> {
        Record {
            id: format!("id of {sku}"),
            tenant_id: "t".to_owned(),
            version: 1,
            created_at: String::new(),
            created_by: String::new(),
            updated_at: String::new(),
            updated_by: String::new(),
            fields: Item { sku: sku.to_owned(), on_hand, reorder_level },
        }
    }

    #[test]
    fn lines_of_one_sku_add_up() {
        let order = order(&[("B", 2), ("A", 1), ("B", 3)]);
        assert_eq!(demand(&order).unwrap(), BTreeMap::from([("A", 1), ("B", 5)]));
    }

    #[test]
    fn quantities_must_be_positive_and_must_fit() {
        for lines in [&[("A", 0)][..], &[("A", -1)], &[("A", i64::MAX), ("A", 1)]] {
            assert_eq!(demand(&order(lines)).unwrap_err().code, ErrorCode::InvalidInput, "{lines:?}");
        }
    }

    #[test]
    fn an_order_that_is_covered_to_the_last_piece_is_reserved() {
        let order = order(&[("A", 5), ("B", 1)]);
        let items = [item("A", 5, 0), item("B", 9, 0)];
        let Decision::Reserve(takes) = decide(&demand(&order).unwrap(), &items) else { panic!("short") };
        assert_eq!(takes.iter().map(Take::left).collect::<Vec<_>>(), [0, 8]);
    }

    #[test]
    fn one_uncovered_sku_stops_the_whole_order_and_only_it_is_missing() {
        let order = order(&[("A", 5), ("B", 10), ("C", 2)]);
        let items = [item("A", 5, 0), item("B", 9, 0)];
        assert_eq!(
            decide(&demand(&order).unwrap(), &items),
            Decision::Short(vec![Shortage { sku: "B", missing: 1 }, Shortage { sku: "C", missing: 2 },])
        );
    }

    #[test]
    fn stock_is_low_once_when_it_reaches_the_reorder_level() {
        for (on_hand, quantity, runs_low) in [(11, 1, true), (12, 1, false), (20, 15, true), (10, 1, false)] {
            let item = item("A", on_hand, 10);
            assert_eq!(Take { item: &item, quantity }.runs_low(), runs_low, "{on_hand} - {quantity}");
        }
    }
}
