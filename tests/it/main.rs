//! Tests of the whole: guests on a host on a database. What one layer can show by itself is tested there.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod altering;
mod atomicity;
mod audit;
mod bad_input;
mod brief;
mod canary;
mod compiling;
mod core;
mod crash;
mod delivery;
mod demo;
mod events;
mod faults;
mod hostile;
mod interface;
mod jobs;
mod leaving;
mod lifecycle;
mod limits;
mod quarantine;
mod rights;
mod roles;
mod subscribers;
mod tenants;
mod troubleshooting;
mod upgrade;
