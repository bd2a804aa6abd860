//! The plugin's log. Lines survive a rollback and carry tenant, plugin, invocation and time by themselves.
//!
//! Number and size are limited per call; more is cut off, with a note.

use crate::bindings::erp::plugin::host_api;

/// For the author while looking closely.
pub fn trace(message: impl AsRef<str>) {
    host_api::log_write("trace", message.as_ref());
}

/// For the author.
pub fn debug(message: impl AsRef<str>) {
    host_api::log_write("debug", message.as_ref());
}

/// For whoever runs the plugin: what it did.
pub fn info(message: impl AsRef<str>) {
    host_api::log_write("info", message.as_ref());
}

/// For whoever runs the plugin: it went on, but somebody should know.
pub fn warn(message: impl AsRef<str>) {
    host_api::log_write("warn", message.as_ref());
}

/// For whoever runs the plugin: something did not work.
pub fn error(message: impl AsRef<str>) {
    host_api::log_write("error", message.as_ref());
}
