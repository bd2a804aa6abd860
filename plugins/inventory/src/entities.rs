//! The entities of `plugin.toml`, as far as the code has to do with them.

use serde::{Deserialize, Serialize};

pub(crate) const ITEM: &str = "item";
pub(crate) const STOCK_MOVEMENT: &str = "stock_movement";
pub(crate) const BACKORDER: &str = "backorder";

/// What is in stock of an item. Its other fields (name, price, …) are left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) on_hand: i64,
    pub(crate) reorder_level: i64,
}

/// One change of one item's stock; what leaves is negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StockMovement {
    /// The item's record id.
    pub(crate) item: String,
    pub(crate) order_id: String,
    pub(crate) quantity: i64,
    pub(crate) reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    Sale,
    Receipt,
}

/// What an order could not get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backorder {
    pub(crate) order_id: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}
