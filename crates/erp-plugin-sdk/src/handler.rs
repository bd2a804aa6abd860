//! What the host calls: the [`Plugin`] trait, and how it meets the contract's exports.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::exports::erp::plugin::plugin_api::Guest;
use crate::{Error, Result, panic_hook};

/// A business module. Each function is one invocation: one transaction, one budget, a fresh sandbox.
pub trait Plugin {
    /// Called once per tenant when the plugin is enabled there or upgraded, as the system. It must be idempotent,
    /// and installation tries it once in a transaction that is rolled back.
    fn init() -> Result<()> {
        Ok(())
    }

    /// Called once per tenant after [`init`](Self::init), for new tenants and for those that were there before.
    fn on_tenant_created(tenant_id: &str) -> Result<()> {
        let _ = tenant_id;
        Ok(())
    }

    /// Called for each event that the manifest subscribes to, in order per stream. Its effects happen exactly
    /// once; after an `Err` or a panic the host tries again.
    fn handle_event(event: &Event) -> Result<()> {
        let _ = event;
        Ok(())
    }
}

/// An event to handle.
#[derive(Clone, Debug)]
pub struct Event {
    event_type: String,
    payload: Vec<u8>,
}

impl Event {
    /// An event with this type and JSON payload; inside a host they come from there.
    pub fn new(event_type: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { event_type: event_type.into(), payload: payload.into() }
    }

    /// The type, such as `order.created`.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The payload as it came: UTF-8 JSON.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads the payload. What does not fit `T` is an `invalid-input` error that names the event and the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Error::invalid_input(format!("payload of event {}: {error}", self.event_type)))
    }
}

/// Exports a [`Plugin`] to the host. Once per crate, at module level; the crate is a `cdylib`.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "exports are functions that the host calls by name")]
        mod __erp_plugin_export {
            use super::*;
            type Exported = $crate::Export<$plugin>;
            $crate::bindings::export!(Exported with_types_in $crate::bindings);
        }
    };
}

/// The exports of contract v0 for a [`Plugin`].
#[doc(hidden)]
pub struct Export<P>(PhantomData<P>);

impl<P: Plugin> Guest for Export<P> {
    fn init() -> Result<(), String> {
        panic_hook::install();
        P::init().map_err(|error| error.to_string())
    }

    fn on_tenant_created(tenant_id: String) -> Result<(), String> {
        panic_hook::install();
        P::on_tenant_created(&tenant_id).map_err(|error| error.to_string())
    }

    fn handle_event(event_type: String, payload: Vec<u8>) -> Result<(), String> {
        panic_hook::install();
        P::handle_event(&Event { event_type, payload }).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::ErrorCode;

    #[derive(Debug, Deserialize)]
    struct Order {
        quantity: i64,
    }

    #[test]
    fn a_payload_that_does_not_fit_names_the_event_and_the_place() {
        let error = Event::new("order.created", r#"{"quantity":"two"}"#).json::<Order>().unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidInput);
        assert!(error.message.starts_with("payload of event order.created: invalid type"), "{error}");
        assert!(error.message.contains("line 1 column 17"), "{error}");
    }

    #[test]
    fn a_payload_that_fits_is_read() {
        let order: Order = Event::new("order.created", r#"{"quantity":2}"#).json().unwrap();
        assert_eq!(order.quantity, 2);
    }
}
