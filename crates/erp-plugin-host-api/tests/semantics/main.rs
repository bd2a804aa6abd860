//! What each host call of contract v0 means, on a real database in memory, with a fixed clock and counted ids.
//!
//! Answers and errors are compared as the guest gets them, to the letter.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod batches;
mod config;
mod cursors;
mod delete;
mod deleted;
mod dynamic;
mod dynamic_queries;
mod events;
mod faults;
mod field_options;
mod field_permissions;
mod field_types;
mod figures;
mod filters;
mod fixture;
mod history;
mod hooks;
mod identity;
mod insert;
mod journal;
mod limits;
mod log;
mod malformed;
mod number_series;
mod on_delete;
mod pages;
mod read_only;
mod references;
mod rights;
mod search;
mod storage;
mod system_fields;
mod tenants;
mod unique;
mod update;
mod versions;
