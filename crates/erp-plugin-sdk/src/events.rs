//! Publishing events.

use serde::Serialize;

use crate::bindings::erp::plugin::host_api;
use crate::{Error, Result, records};

/// Publishes an event of a type that the manifest's `events-publish` was granted. It leaves with this call's
/// transaction: if the call fails, nobody sees it.
pub fn publish(event_type: &str, payload: &impl Serialize) -> Result<()> {
    let payload = records::to_json("payload", payload)?;
    host_api::event_publish(event_type, &payload).map_err(Error::from_wire)
}
