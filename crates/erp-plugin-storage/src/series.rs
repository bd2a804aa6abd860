//! Series of numbers: the last one that was given of each.

use async_trait::async_trait;
use erp_plugin_model::{EntityRef, Field};

use crate::StorageResult;

/// A series of the transaction's tenant. It is of a field's column, not of its name: a field that gets another name
/// counts on.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// The entity.
    pub entity: &'a EntityRef,
    /// The field whose values they are.
    pub field: &'a Field,
    /// Which of its series, as [`SeriesPattern::series`](erp_plugin_model::SeriesPattern::series) says.
    pub text: &'a str,
}

/// The series of the transaction's tenant. How a number is written is decided above.
///
/// Who takes a number has the series until the transaction ends: another writer of it waits, and where the backend cannot
/// let it go on then it gets [`TransactionLost`](crate::ErrorKind::TransactionLost), and is run again as a whole.
#[async_trait]
pub trait NumberSeries: Send {
    /// Takes the next `count` numbers of a series, at least one, and returns the first of them; a series that nobody
    /// had a number of begins with 1. They are taken when the transaction commits: after a rollback they are the next
    /// ones again.
    ///
    /// Held by `series::numbers_follow_one_another_from_one`, `series::several_are_taken_at_once`,
    /// `series::a_rollback_leaves_no_gap`, `series::no_two_writers_get_one_number`,
    /// `series::each_series_counts_for_itself`, `series::a_field_that_is_renamed_counts_on`,
    /// `series::a_read_transaction_takes_no_number`, `tenants::series_are_the_tenants_own`.
    async fn take_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<u64>;

    /// Gives back the last `count` numbers of a series, which this transaction took and did not use.
    ///
    /// Held by `series::numbers_that_are_given_back_are_the_next_ones`.
    async fn give_back_numbers(&mut self, series: Series<'_>, count: u32) -> StorageResult<()>;
}
