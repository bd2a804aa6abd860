//! JSON in and out, with no tree in between for records: input goes through a schema-directed seed into the typed
//! row, output is written as the backend stands on each row.

pub(crate) mod aggregate;
pub(crate) mod batch;
pub(crate) mod changes;
pub(crate) mod cursor;
pub(crate) mod document;
pub(crate) mod filter;
pub(crate) mod page;
pub(crate) mod row;
pub(crate) mod value;
pub(crate) mod verify;
pub(crate) mod write;

use erp_plugin_model::HostError;

/// The error for bytes that are no JSON, or JSON of another kind; `what` is `data`, `filter`, `payload`.
pub(crate) fn syntax_error(what: &str, error: &serde_json::Error) -> HostError {
    HostError::invalid(if error.is_data() {
        format!("{what}: {error}")
    } else {
        format!("{what} is not valid JSON: {error}")
    })
}
