//! Purchase orders: drafted when stock runs low or an order is short, approved when the workflow says so, received
//! when the goods arrive.
//!
//! Each handler reads, decides in a function that makes no host call (and is tested without a host), and writes.

mod entities;
mod progress;
mod replenishment;

use erp_plugin_sdk::{Event, Plugin, Result, export_plugin, log};

struct Purchasing;

impl Plugin for Purchasing {
    fn handle_event(event: &Event) -> Result<()> {
        match event.event_type() {
            "inventory.stock.low" => replenishment::stock_low(&event.json()?),
            "inventory.order.short" => replenishment::order_short(&event.json()?),
            "workflow.task.completed" => progress::approve(&event.json()?),
            "goods.received" => progress::receive(&event.json()?),
            other => {
                log::debug(format!("nothing to do for {other}"));
                Ok(())
            }
        }
    }
}

export_plugin!(Purchasing);
