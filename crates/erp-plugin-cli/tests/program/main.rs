//! The program as its users meet it: what it prints, on which stream, and how it ends.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod config;
mod demo;
mod doctor;
mod events;
mod help;
mod inspect;
mod jobs;
mod place;
mod plugins;
mod program;
mod records;
mod roles;
mod run;
mod schema;
mod tenants;
