//! `workflow.task.completed` and `goods.received`: a purchase order goes on to its next status.

use erp_plugin_sdk::{Error, Record, Result, events, log, records};
use serde::Deserialize;
use serde_json::json;

use crate::entities::{PURCHASE_ORDER, PurchaseOrder, Status};

/// Which purchase order it is about.
#[derive(Debug, Deserialize)]
pub(crate) struct About {
    /// The purchase order's record id.
    order_id: String,
}

/// Handles `workflow.task.completed`.
pub(crate) fn approve(about: &About) -> Result<()> {
    move_on(about, Status::Draft, Status::Approved, "purchasing.order.approved")
}

/// Handles `goods.received`.
pub(crate) fn receive(about: &About) -> Result<()> {
    move_on(about, Status::Approved, Status::Received, "purchasing.order.received")
}

fn move_on(about: &About, from: Status, to: Status, event: &str) -> Result<()> {
    let order = find(&about.order_id)?;
    check_status(&order.fields, from, to)?;
    let order = records::update(PURCHASE_ORDER, &order, &json!({ "status": to }))?;
    let PurchaseOrder { sku, quantity, .. } = &order.fields;
    events::publish(event, &json!({ "order_id": order.id, "sku": sku, "quantity": quantity }))?;
    log::info(format!("purchase order {} {to}: {quantity} of {sku}", order.id));
    Ok(())
}

fn find(id: &str) -> Result<Record<PurchaseOrder>> {
    records::get(PURCHASE_ORDER, id)?
        .ok_or_else(|| Error::not_found(format!("there is no purchase order {id}")))
}

fn check_status(order: &PurchaseOrder, from: Status, to: Status) -> Result<()> {
    if order.status == from {
        return Ok(());
    }
    let (sku, is) = (&order.sku, order.status);
    Err(Error::rejected(format!(
        "the purchase order for {sku} is {is}; only one that is {from} can become {to}"
    )))
}

#[cfg(test)]
mod tests {
    use erp_plugin_sdk::ErrorCode;

    use super::*;

    #[test]
    fn a_status_moves_forward_one_step_at_a_time() {
        let order = |status| PurchaseOrder { sku: "A".to_owned(), quantity: 1, status, reason: None };
        assert_eq!(check_status(&order(Status::Draft), Status::Draft, Status::Approved), Ok(()));
        for status in [Status::Draft, Status::Received] {
            let error = check_status(&order(status), Status::Approved, Status::Received).unwrap_err();
            assert_eq!(error.code, ErrorCode::Rejected);
        }
        let error = check_status(&order(Status::Received), Status::Draft, Status::Approved).unwrap_err();
        assert_eq!(
            error.message,
            "the purchase order for A is received; only one that is draft can become approved"
        );
    }
}
