//! Who works off deliveries and runs of jobs, and whether they live.
//!
//! A worker that has claims gives signs of life. That one is dead is decided by those who watch: its last sign stayed the
//! same for a time that they measure themselves. No clock of one machine is compared with that of another, and none that
//! jumps has anything to say.

use async_trait::async_trait;
use erp_plugin_model::WorkerId;

use crate::StorageResult;

/// A worker's last sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerState {
    /// Who.
    pub worker: WorkerId,
    /// Another number with each sign of life.
    pub beat: i64,
    /// Whether it has streams or runs in hand.
    pub is_busy: bool,
}

/// The workers of a database.
#[async_trait]
pub trait Workers: Send {
    /// Gives a sign of life.
    ///
    /// Held by `workers::a_sign_of_life_is_another_each_time`.
    async fn beat(&mut self, worker: WorkerId) -> StorageResult<()>;

    /// Every worker that gave a sign of life and was not retired, by id.
    ///
    /// Held by `workers::a_sign_of_life_is_another_each_time`, `workers::who_is_retired_has_nothing_in_hand`.
    async fn workers(&mut self) -> StorageResult<Vec<WorkerState>>;

    /// Retires a worker if its last sign of life is still this one, and returns whether it was: what it has in hand is
    /// claimed anew. Of a stream the first delivery that is not done was attempted, and what was claimed behind it was not.
    /// One that lives after all comes back with its next sign of life.
    ///
    /// Held by `workers::who_is_retired_has_nothing_in_hand`, `workers::who_is_retired_attempted_the_first_alone`,
    /// `workers::a_new_sign_of_life_comes_before_retirement`,
    /// `jobs::who_is_retired_has_no_run_in_hand`.
    async fn retire(&mut self, worker: WorkerState) -> StorageResult<bool>;
}
