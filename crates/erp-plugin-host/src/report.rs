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
    /// What it ended with that the plugin can do nothing about.
    pub(crate) fault: Option<Fault>,
    /// Whether the export went well, and what was called after it did not.
    pub(crate) failed_then: bool,
}

/// What an invocation ends with that its plugin can do nothing about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The storage failed.
    Storage,
    /// Another version of the plugin was installed meanwhile.
    Stale,
    /// Somebody else took a step in the plugin's life in the tenant meanwhile.
    Overtaken,
}

impl Fault {
    /// Limits that the guest itself has reached, and questions that should never have been asked, are none.
    pub(crate) fn of(fatal: &Fatal) -> Option<Self> {
        match fatal {
            Fatal::Storage(error) => match error.kind {
                ErrorKind::DeadlineExceeded | ErrorKind::WriterHoldExceeded | ErrorKind::Bug => None,
                ErrorKind::SchemaChanged => Some(Self::Stale),
                _ => Some(Self::Storage),
            },
            _ => None,
        }
    }
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
        let fault = fatal.and_then(Fault::of);
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
            fault,
            failed_then: false,
        }
    }
}

fn written(write: &Write) -> WrittenRecord {
    WrittenRecord { verb: write.verb, entity: write.entity.schema().name.clone(), id: write.id }
}
