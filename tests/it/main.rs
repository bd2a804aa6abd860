//! Tests of the whole: guests on a host on a database. What one layer can show by itself is tested there.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod atomicity;
mod brief;
mod demo;
mod events;
mod hostile;
mod lifecycle;
mod rights;
mod troubleshooting;
