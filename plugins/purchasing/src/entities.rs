//! The entity of `plugin.toml` as Rust.

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) const PURCHASE_ORDER: &str = "purchase_order";

/// An order for one sku.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PurchaseOrder {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) status: Status,
    /// Why it was drafted.
    pub(crate) reason: Option<String>,
}

/// How far a purchase order is. It only ever goes on to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Draft,
    Approved,
    Received,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::Received => "received",
        })
    }
}
