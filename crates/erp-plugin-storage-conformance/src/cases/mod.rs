//! The cases, a file for each trait or concern.

#![allow(missing_docs, reason = "the name of a case is the sentence that it holds")]

pub mod access;
pub mod aggregate;
pub mod archives;
pub mod audit;
pub mod batch;
pub mod dead_letters;
pub mod deleted;
pub mod dispatch;
pub mod dynamic;
pub mod each_kind;
pub mod erasure;
pub mod events;
pub mod evolution;
pub mod filters;
pub mod history;
pub mod isolation;
pub mod jobs;
pub mod journal;
pub mod outbox;
pub mod portable;
pub mod property;
pub mod queries;
pub mod records;
pub mod references;
pub mod registry;
pub mod roles;
pub mod schema;
pub mod search;
pub mod series;
pub mod soft_delete;
pub mod sorting;
pub mod subscribers;
pub mod tenants;
pub mod transactions;
pub mod transfer;
pub mod unique;
pub mod versions;
pub mod workers;
