//! Stock. An order gets everything it asks for or nothing, and what is missing is said; goods that arrive raise
//! the stock again. Every change leaves a movement behind.
//!
//! Each handler reads, decides in a function that makes no host call (and is tested without a host), and writes.
//! It never undoes anything: one call is one transaction, so an error half-way leaves no trace.

mod entities;
mod receipt;
mod reservation;

use erp_plugin_sdk::{Event, Plugin, Result, export_plugin, log};

struct Inventory;

impl Plugin for Inventory {
    fn handle_event(event: &Event) -> Result<()> {
        match event.event_type() {
            "order.created" => reservation::reserve(&event.json()?),
            "purchasing.order.received" => receipt::receive(&event.json()?),
            other => {
                log::debug(format!("nothing to do for {other}"));
                Ok(())
            }
        }
    }
}

export_plugin!(Inventory);
