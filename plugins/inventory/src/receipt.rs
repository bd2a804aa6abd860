//! `purchasing.order.received`: goods have arrived.

use erp_plugin_sdk::{Error, PageRequest, Record, Result, log, records};
use serde::Deserialize;
use serde_json::json;

use crate::entities::{ITEM, Item, Reason, STOCK_MOVEMENT, StockMovement};

/// What has arrived, and for which purchase order.
#[derive(Debug, Deserialize)]
pub(crate) struct Receipt {
    order_id: String,
    sku: String,
    quantity: i64,
}

/// Handles the event.
pub(crate) fn receive(receipt: &Receipt) -> Result<()> {
    let Receipt { order_id, sku, quantity } = receipt;
    let page = records::query(ITEM, &json!({ "sku": sku }), &PageRequest::first(1))?;
    let item: Record<Item> = page
        .items
        .into_iter()
        .next()
        .ok_or_else(|| Error::not_found(format!("there is no item with sku {sku}")))?;
    records::update(ITEM, &item, &json!({ "on_hand": raised(&item.fields, *quantity)? }))?;
    let movement = StockMovement {
        item: item.id,
        order_id: order_id.clone(),
        quantity: *quantity,
        reason: Reason::Receipt,
    };
    records::insert(STOCK_MOVEMENT, &movement)?;
    log::info(format!("{quantity} of {sku} received for order {order_id}"));
    Ok(())
}

fn raised(item: &Item, quantity: i64) -> Result<i64> {
    if quantity < 1 {
        let sku = &item.sku;
        return Err(Error::invalid_input(format!("quantity of {sku} is {quantity}; it must be at least 1")));
    }
    item.on_hand
        .checked_add(quantity)
        .ok_or_else(|| Error::invalid_input(format!("stock of {} would be more than {}", item.sku, i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_rises_by_what_arrived_and_by_nothing_else() {
        let item = Item { sku: "A".to_owned(), on_hand: 3, reorder_level: 0 };
        assert_eq!(raised(&item, 4), Ok(7));
        for quantity in [0, -1, i64::MAX] {
            assert!(raised(&item, quantity).is_err(), "{quantity}");
        }
    }
}
