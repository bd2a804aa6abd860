//! Jobs: what a plugin does at times of its own, in each tenant in which it is enabled.
//!
//! An *occasion* is a moment at which a job is to run, as its [`Schedule`] says or as somebody asked for; a *run* is what
//! becomes of it. Which occasions are due, [`plan()`] computes, without a clock of its own, so that all processes agree.

mod jitter;
mod plan;
mod schedule;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::{ClaimToken, RetryPolicy};
use crate::ids::{JobName, PluginName, RunId, TenantId};
use crate::limits::LimitKind;

pub use jitter::spread;
pub use plan::{MOST_CAUGHT_UP, Missed, ON_TIME, Plan, plan};
pub use schedule::{InvalidSchedule, Schedule};

/// A job that a plugin declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name; the plugin is called with the event `job.<name>`.
    pub name: JobName,
    /// When it runs; `None` for one that runs only when somebody asks for it.
    pub schedule: Option<Schedule>,
    /// By how much a run comes later than its occasion at most.
    pub jitter: Duration,
    /// What becomes of an occasion when the run before it has not ended.
    pub overlap: Overlap,
    /// What becomes of the occasions that were missed.
    pub catch_up: CatchUp,
    /// How a failed run is tried again.
    pub retry: RetryPolicy,
    /// The limits that it asks for; what is not named is ten times an invocation's.
    pub limits: Vec<(LimitKind, u64)>,
}

/// What becomes of an occasion when the run before it has not ended. Runs of one job never overlap in a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// It waits.
    Wait,
}

impl Overlap {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Skip, Self::Wait];

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Wait => "wait",
        }
    }
}

/// What becomes of occasions at which nothing ran: no host was up, the plugin was disabled, the tenant suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// The last of them runs.
    #[default]
    Last,
    /// They run one after the other, the last [`MOST_CAUGHT_UP`] of them.
    All,
    /// None of them runs.
    None,
}

impl CatchUp {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Last, Self::All, Self::None];

    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// Why a run is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// The job's schedule says so.
    Cron,
    /// Somebody asked for it.
    OneOff,
}

impl RunKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cron, Self::OneOff];

    /// Its name, as people and databases have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::OneOff => "one-off",
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It waits for its time, or to be tried again.
    Waiting,
    /// It is being attempted.
    Running,
    /// It was committed.
    Done,
    /// It failed for good.
    Failed,
    /// It never ran, or was cancelled; its note says why.
    Skipped,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Skipped];

    /// Its name, as people and databases have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads a state's name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A run that somebody has in hand.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRun {
    /// Its id.
    pub id: RunId,
    /// The tenant in which it runs.
    pub tenant: TenantId,
    /// The plugin.
    pub plugin: PluginName,
    /// The plugin's job.
    pub job: JobName,
    /// The moment for which it was meant: the schedule's, without jitter, or the one that was asked for.
    pub occasion: DateTime<Utc>,
    /// Why it is there.
    pub kind: RunKind,
    /// What came with a one-off: one JSON value.
    pub payload: Option<String>,
    /// The proof of the claim.
    pub token: ClaimToken,
    /// Which attempt this is, from 1; counted when it begins, so that a job that kills the process counts too.
    pub attempt: u32,
}
