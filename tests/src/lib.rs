//! What the tests of the whole have in common: the guests, and a platform that runs them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod clock;
mod database;
pub mod guests;
mod losses;
mod platform;
pub mod sample;
mod veto;

pub use clock::TestClock;
pub use database::{Database, ONE_WRITER, on_postgres, only_on_sqlite};
pub use losses::Losses;
pub use platform::{Platform, TENANT, system_of, user};
pub use veto::Veto;

/// Runs these at the same time, and returns their results in order.
pub async fn together<F>(work: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let running: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(running.len());
    for task in running {
        done.push(task.await.unwrap());
    }
    done
}
