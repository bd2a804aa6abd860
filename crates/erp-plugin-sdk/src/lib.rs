//! Write a business module for a platform that embeds `erp-plugin`.
//!
//! A plugin is a type that implements [`Plugin`], exported with [`export_plugin!`]:
//!
//! ```
//! use erp_plugin_sdk::{Event, Plugin, Result, events, export_plugin, log, records};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Visit {
//!     customer: String,
//!     minutes: i64,
//! }
//!
//! #[derive(Deserialize)]
//! struct CallEnded {
//!     customer: String,
//!     seconds: i64,
//! }
//!
//! struct Visits;
//!
//! impl Plugin for Visits {
//!     fn handle_event(event: &Event) -> Result<()> {
//!         if event.event_type() == "call.ended" {
//!             let call: CallEnded = event.json()?;
//!             let visit = Visit { customer: call.customer, minutes: call.seconds / 60 };
//!             let record = records::insert("visit", &visit)?;
//!             log::info(format!("visit {} of {} minutes", record.id, record.fields.minutes));
//!             events::publish("visits.visit.recorded", &serde_json::json!({ "id": record.id }))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_plugin!(Visits);
//! # fn main() {}
//! ```
//!
//! Three things to know before writing more:
//!
//! - **One call is one transaction.** What a call inserted, updated and published becomes real when it returns
//!   `Ok`, all of it; after an `Err` or a panic none of it. There is nothing to clean up, ever.
//! - **Nothing in memory outlives a call.** Every call starts in a fresh sandbox, so a `static` that one call
//!   sets is unset in the next. State belongs in records.
//! - **The host knows the tenant.** No function takes one, and none can reach another one's data.
//!
//! This crate is the guest's side of the contract in `wit/v0` and depends on no other crate of the project. A
//! host call works only inside a host: keep business decisions in functions that make none, and test those
//! with a plain `cargo test`.

pub mod config;
mod decimal;
mod error;
pub mod events;
mod handler;
pub mod identity;
pub mod integer;
mod jobs;
pub mod log;
mod panic_hook;
pub mod records;

/// What [`export_plugin!`] expands to; not for use by hand.
#[doc(hidden)]
pub mod bindings;

pub use decimal::{Decimal, ParseDecimalError};
pub use error::{Error, ErrorCode, Result};
#[doc(hidden)]
pub use handler::Export;
pub use handler::{Event, Plugin};
pub use jobs::JobRun;
pub use records::{Page, PageRequest, Record};
