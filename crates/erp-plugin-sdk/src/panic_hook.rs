//! Keeps a panic's message: without WASI there is no standard error for it to go to, and the host would see
//! only an `unreachable` trap.

use std::panic;

use crate::log;

/// Makes a panic write its place and message to the plugin's log, at level `error`, before it traps. To be
/// installed in every call, since every call starts in a fresh sandbox.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| log::error(info.to_string())));
}
