//! What the demo's figures must be, computed from its data in plain Rust.
//!
//! Shares nothing with the plugins or with the driver: no code, no constant, no type. It is written from the
//! description of the business, one order after another, in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

#[derive(Clone)]
struct Stock {
    on_hand: i64,
    reorder_level: i64,
}

#[derive(Default)]
struct Warehouse {
    stock: BTreeMap<String, Stock>,
    reserved: BTreeSet<String>,
    short: BTreeSet<String>,
    sales: u64,
    receipts: u64,
    backorders: u64,
    purchases: u64,
    events: u64,
}

/// The figures of the demo on these lines of JSON, in the form that it prints them in, but for the time it took.
pub(crate) fn figures(products: &str, orders: &str) -> Value {
    let stock: BTreeMap<String, Stock> = products
        .lines()
        .map(|line| {
            let product: Value = serde_json::from_str(line).unwrap();
            let stock = Stock {
                on_hand: product["on_hand"].as_i64().unwrap(),
                reorder_level: product["reorder_level"].as_i64().unwrap(),
            };
            (product["sku"].as_str().unwrap().to_owned(), stock)
        })
        .collect();
    let mut north = Warehouse { stock: stock.clone(), ..Warehouse::default() };
    let mut south = Warehouse { stock, ..Warehouse::default() };
    for line in orders.lines() {
        let order: Value = serde_json::from_str(line).unwrap();
        north.receive(&order);
        let digits: String = order["id"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
        if digits.ends_with('0') {
            south.receive(&order);
        }
    }
    json!({
        "tenants": { "northwind": north.shown(), "southridge": south.shown() },
        "events": north.events + south.events,
    })
}

impl Warehouse {
    fn receive(&mut self, order: &Value) {
        let id = order["id"].as_str().unwrap().to_owned();
        let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
        for line in order["lines"].as_array().unwrap() {
            *wanted.entry(line["sku"].as_str().unwrap().to_owned()).or_default() +=
                line["quantity"].as_i64().unwrap();
        }
        // The order itself.
        self.events += 1;
        let missing: Vec<(String, i64)> = wanted
            .iter()
            .map(|(sku, quantity)| {
                (sku.clone(), quantity - self.stock.get(sku).map_or(0, |stock| stock.on_hand))
            })
            .filter(|(_, missing)| *missing > 0)
            .collect();
        let bought: Vec<(String, i64)> =
            if missing.is_empty() { self.sell(wanted, id) } else { self.lack(missing, id) };
        for (sku, quantity) in bought {
            // Approval and receipt, each asked for and each told.
            self.events += 4;
            self.purchases += 1;
            if let Some(stock) = self.stock.get_mut(&sku) {
                stock.on_hand += quantity;
                self.receipts += 1;
            }
        }
    }

    /// Everything is there: it leaves, and what has run low is bought.
    fn sell(&mut self, wanted: BTreeMap<String, i64>, order: String) -> Vec<(String, i64)> {
        self.reserved.insert(order);
        self.events += 1;
        let mut bought = Vec::new();
        for (sku, quantity) in wanted {
            let stock = self.stock.get_mut(&sku).unwrap();
            let was_above = stock.on_hand > stock.reorder_level;
            stock.on_hand -= quantity;
            self.sales += 1;
            if was_above && stock.on_hand <= stock.reorder_level {
                self.events += 1;
                bought.push((sku, 100 + stock.reorder_level - stock.on_hand));
            }
        }
        bought
    }

    /// Something is not there: nothing leaves, and what is missing is bought with a hundred more.
    fn lack(&mut self, missing: Vec<(String, i64)>, order: String) -> Vec<(String, i64)> {
        self.short.insert(order);
        self.events += 1;
        self.backorders += missing.len() as u64;
        missing.into_iter().map(|(sku, missing)| (sku, missing + 100)).collect()
    }

    fn shown(&self) -> Value {
        json!({
            "orders_reserved": self.reserved.len(),
            "orders_short": self.short.len(),
            "stock_movements_sale": self.sales,
            "stock_movements_receipt": self.receipts,
            "backorders": self.backorders,
            "purchase_orders_received": self.purchases,
            "on_hand_total": self.stock.values().map(|stock| stock.on_hand).sum::<i64>(),
        })
    }
}
