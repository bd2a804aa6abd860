//! The suite that every storage backend, and every wrapper around one, must pass.
//!
//! For tests alone: of backends, and of whatever wants a storage with [one thing otherwise](intercept). Where two
//! backends might differ, the docs of the traits decide and a case here holds it: so a promise that no case holds is
//! not one.
//!
//! ```ignore
//! async fn file() -> Backend {
//!     let folder = tempfile::tempdir().unwrap();
//!     let storage = SqliteStorage::open(&SqliteOptions::file(folder.path().join("data.db"))).unwrap();
//!     Backend::new(Arc::new(storage)).keeping(folder)
//! }
//!
//! erp_plugin_storage_conformance::conformance_tests!(file);
//! ```
//!
//! expands to one test per case, each on a new backend of its own.
//!
//! Where databases are known to differ, and what holds that ours do not:
//!
//! | difference | held by |
//! | --- | --- |
//! | collation, case | `filters::text_compares_by_code_point`, `aggregate::the_smallest_text_is_by_code_point`, `unique::values_that_differ_only_in_case_accent_or_space_do_not_clash`, `search::a_search_ignores_case_in_every_script` |
//! | where absent values sort | `sorting::absent_values_come_last_in_both_directions`, `aggregate::groups_come_in_the_order_of_their_keys_with_absent_ones_last` |
//! | comparison with absent values | `filters::a_comparison_with_an_absent_value_is_false_and_its_negation_true` |
//! | precision of times, dates | `records::the_extremes_of_every_type_come_back_as_they_were`, `records::a_new_record_has_version_one_and_its_stamp`, `journal::a_log_line_keeps_its_text_and_moment` |
//! | decimals | `records::the_extremes_of_every_type_come_back_as_they_were`, `aggregate::sums_are_exact_beyond_64_bits` |
//! | the limits of 64 bits | `filters::every_type_compares_in_its_own_order`, `aggregate::sums_are_exact_beyond_64_bits` |
//! | equality of JSON | `records::json_keeps_its_spelling_or_at_least_its_value`, `dynamic::a_value_compares_only_with_its_own_type`, `dynamic::documents_come_back_as_they_were` |
//! | Unicode | `records::text_of_every_kind_comes_back_as_it_was`, `search::a_search_makes_a_difference_of_all_but_case` |
//! | the empty text | `records::an_absent_value_is_not_an_empty_one`, `unique::absent_values_never_clash_and_empty_ones_do` |
//! | isolation | `isolation::what_one_reads_the_other_does_not_change_meanwhile`, `isolation::query_then_insert_if_none_leaves_one` |
//! | waiting for locks | `transactions::waiting_for_another_writer_ends_at_the_deadline` |
//!
//! To add a case: 1. a `pub async fn` in the file of its trait, named as a sentence; 2. its name in `list.rs`; 3. its
//! name in the docs of the method whose guarantee it holds; 4. the bug that it is for, as a [`sabotage`]. A test of
//! this crate fails when the second is forgotten, or when a method names no case.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, which fail by panicking"
)]

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use erp_plugin_storage::Storage;
use erp_plugin_storage::transfer::Transfer;
use tokio::runtime::{self, Runtime};

use list::as_boxed;

pub mod cases;
pub mod estate;
mod fixture;
pub mod intercept;
mod killed;
mod kinds;
mod list;
mod model;
mod operations;
pub mod sabotage;
mod stopped;
mod world;

#[doc(hidden)]
pub mod boxed {
    use super::{Arc, Storage};

    crate::each_case! { as_boxed (storage: Arc<dyn Storage>) (storage) }
}

#[doc(hidden)]
pub mod boxed_transfer {
    use super::{Arc, Transfer};

    crate::each_transfer_case! { as_boxed (source: Arc<dyn Transfer>, target: Arc<dyn Transfer>) (source, target) }
}

/// A new and empty backend, and what must live as long as it.
pub struct Backend {
    storage: Option<Arc<dyn Transfer>>,
    kept: Vec<Box<dyn Any + Send>>,
}

impl Backend {
    /// A backend that needs nothing else.
    #[must_use]
    pub fn new(storage: Arc<dyn Transfer>) -> Self {
        Self { storage: Some(storage), kept: Vec::new() }
    }

    /// No backend, because what it needs is not there: its cases are passed over. Whether that may be, and saying so,
    /// is for the caller.
    #[must_use]
    pub fn absent() -> Self {
        Self { storage: None, kept: Vec::new() }
    }

    /// Keeps something until the case is over: a temporary folder, a server.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send) -> Self {
        self.kept.push(Box::new(guard));
        self
    }
}

/// A case that runs.
#[doc(hidden)]
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a case on a new backend, on a runtime of its own.
#[doc(hidden)]
pub fn run<F: Future<Output = Backend>>(setup: fn() -> F, case: fn(Arc<dyn Storage>) -> Running) {
    runtime().block_on(async {
        let Backend { storage, kept } = setup().await;
        if let Some(storage) = storage {
            case(storage).await;
        }
        drop(kept);
    });
}

/// Runs a case of two new backends, on a runtime of its own.
#[doc(hidden)]
pub fn run_transfer<S: Future<Output = Backend>, T: Future<Output = Backend>>(
    source: fn() -> S,
    target: fn() -> T,
    case: fn(Arc<dyn Transfer>, Arc<dyn Transfer>) -> Running,
) {
    runtime().block_on(async {
        let (source, target) = (source().await, target().await);
        if let (Some(source), Some(target)) = (source.storage, target.storage) {
            case(source, target).await;
        }
        drop((source.kept, target.kept));
    });
}

fn runtime() -> Runtime {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// One test per case for the backend that `$setup`, an async function without arguments, makes as a [`Backend`].
#[macro_export]
macro_rules! conformance_tests {
    ($setup:ident) => {
        $crate::each_case! { __tests $setup }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($setup:ident $($module:ident: [$($case:ident),* $(,)?],)*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                $crate::run(super::$setup, $crate::boxed::$module::$case);
            })*
        })*
    };
}

/// One test per case of moving from one backend to another, or to another of its kind: `$source` and `$target` make them
/// as for [`conformance_tests`].
#[macro_export]
macro_rules! transfer_tests {
    ($source:ident, $target:ident) => {
        $crate::each_transfer_case! { __tests_of_transfer $source $target }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests_of_transfer {
    ($source:ident $target:ident $($module:ident: [$($case:ident),* $(,)?],)*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                $crate::run_transfer(super::$source, super::$target, $crate::boxed_transfer::$module::$case);
            })*
        })*
    };
}

#[cfg(test)]
mod tests;
