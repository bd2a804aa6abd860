//! What an invocation did, as its caller is told.

use erp_plugin_host_api::{Fatal, Finish, Finished, Verb, Write};
use erp_plugin_model::event::NewEvent;
use erp_plugin_model::usage::{LogLine, Usage};
use erp_plugin_model::{EntityRef, HostError, InvocationId, RecordId};
use erp_plugin_runtime::FailureKind;
use erp_plugin_storage::ErrorKind;

/// A record that an invocation wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRecord {
    /// What was done to it.
    pub verb: Verb,
    /// Its entity.
    pub entity: EntityRef,
    /// Its id.
    pub id: RecordId,
}

/// What an invocation did.
#[derive(Debug)]
pub struct InvocationReport {
    /// Its id; that of the last attempt.
    pub id: InvocationId,
    /// `Err` when everything was rolled back.
    pub outcome: Result<(), HostError>,
    /// How the guest ended if it gave no answer.
    pub failure: Option<FailureKind>,
    /// Why the guest ended without an answer, for the operator: never shown to a tenant.
    pub detail: Option<String>,
    /// What it used; fuel of all attempts together.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What it published; empty unless committed.
    pub events: Vec<NewEvent>,
    /// What it wrote, in order; undone unless committed.
    pub writes: Vec<WrittenRecord>,
    /// How often it was run: more than once after a lost transaction.
    pub attempts: u32,
    /// Whether the storage failed, which the plugin can do nothing about.
    pub(crate) platform_fault: bool,
}

impl InvocationReport {
    pub(crate) fn new(
        finished: Finished,
        failure: Option<(FailureKind, String)>,
        attempts: u32,
        earlier_fuel: u64,
    ) -> Self {
        let Finished { id, outcome, usage, log, events, writes, .. } = finished;
        let (failure, detail) = failure.unzip();
        let fatal = match (&outcome, &failure) {
            (_, Some(FailureKind::Host(fatal))) | (Err(Finish::Failed(fatal)), _) => Some(fatal),
            _ => None,
        };
        let platform_fault = fatal.is_some_and(is_platform_fault);
        Self {
            id,
            outcome: outcome.map_err(|reason| reason.to_host_error()),
            failure,
            detail,
            usage: Usage { fuel: usage.fuel.saturating_add(earlier_fuel), ..usage },
            log,
            events,
            writes: writes.iter().map(written).collect(),
            attempts,
            platform_fault,
        }
    }
}

/// Limits that the guest itself has reached, and questions that should never have been asked, are none.
pub(crate) fn is_platform_fault(fatal: &Fatal) -> bool {
    matches!(fatal, Fatal::Storage(error) if !matches!(
        error.kind,
        ErrorKind::DeadlineExceeded | ErrorKind::WriterHoldExceeded | ErrorKind::Bug
    ))
}

fn written(write: &Write) -> WrittenRecord {
    WrittenRecord { verb: write.verb, entity: write.entity.schema().name.clone(), id: write.id }
}
