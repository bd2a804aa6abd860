//! What the tests of the whole have in common: the guests, and a platform that runs them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod guests;
mod platform;
pub mod sample;

pub use platform::{Platform, TENANT, system_of, user};
