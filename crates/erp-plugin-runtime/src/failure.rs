//! How a guest's call can fail, told apart by type.

use std::fmt;

use erp_plugin_host_api::{CallError, Fatal, escape_control};
use erp_plugin_model::limits::{LimitExceeded, LimitKind};
use erp_plugin_model::{ErrorCode, HostError, Limits};
use erp_plugin_storage::ErrorKind;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

/// Why a call ended without an answer.
#[derive(Debug)]
pub enum FailureKind {
    /// The fuel is used up, the host's work included.
    OutOfFuel,
    /// The deadline has passed.
    Deadline,
    /// The embedded database's writer was held for too long.
    WriterHold,
    /// The guest was refused memory and gave up.
    Memory,
    /// The guest's stack is used up.
    Stack,
    /// The guest gave up: a panic, an assertion.
    Unreachable,
    /// The guest did something that WebAssembly or the contract does not allow.
    Trap,
    /// The host refused to go on.
    Host(Fatal),
    /// The host's own code panicked.
    HostPanic,
}

/// A call that ended without an answer: everything it wrote is rolled back.
#[derive(Debug)]
pub struct GuestFailure {
    /// Why.
    pub kind: FailureKind,
    /// What the caller is told.
    pub error: HostError,
    /// What the log is told: Wasmtime's words and the guest's functions, innermost first.
    pub detail: String,
}

impl fmt::Display for GuestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for GuestFailure {}

/// Raised by the epoch callback.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Overtime {
    #[error("the deadline has passed")]
    Deadline,
    #[error("the writer was held for too long")]
    WriterHold,
}

/// Raised when the host's work has used up the guest's fuel.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the host's work has used up the fuel")]
pub(crate) struct HostWorkOutOfFuel;

impl GuestFailure {
    pub(crate) fn from_wasmtime(error: wasmtime::Error, memory_denied: bool, limits: &Limits) -> Self {
        let detail = detail(&error);
        // Our own adapters raise `Fatal`; an embedder's functions pass on whole call errors with `?`.
        let raised = match error.downcast::<CallError>() {
            Ok(CallError::Fatal(fatal)) => Ok(fatal),
            Ok(CallError::Answer(error)) => return Self { kind: FailureKind::Trap, error, detail },
            Err(error) => error.downcast::<Fatal>(),
        };
        let (kind, trap) = match raised {
            // The storage looks at the same two clocks.
            Ok(Fatal::Storage(fault)) if fault.kind == ErrorKind::DeadlineExceeded => {
                (FailureKind::Deadline, None)
            }
            Ok(Fatal::Storage(fault)) if fault.kind == ErrorKind::WriterHoldExceeded => {
                (FailureKind::WriterHold, None)
            }
            Ok(fatal) => (FailureKind::Host(fatal), None),
            Err(error) => (kind(&error, memory_denied), error.downcast_ref::<Trap>().copied()),
        };
        Self { error: message(&kind, trap, limits), kind, detail }
    }

    pub(crate) fn host_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Self {
            kind: FailureKind::HostPanic,
            error: HostError::new(ErrorCode::Internal, "internal error"),
            detail: format!("the host panicked: {text}"),
        }
    }

    /// Whether the whole invocation may be run again at once, in a fresh sandbox.
    #[must_use]
    pub fn may_rerun(&self) -> bool {
        matches!(&self.kind, FailureKind::Host(fatal) if fatal.may_rerun())
    }

    /// Whether another version of the plugin runs by now: [`Fatal::is_stale`].
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(&self.kind, FailureKind::Host(fatal) if fatal.is_stale())
    }
}

fn kind(error: &wasmtime::Error, memory_denied: bool) -> FailureKind {
    if error.is::<HostWorkOutOfFuel>() {
        return FailureKind::OutOfFuel;
    }
    if let Some(overtime) = error.downcast_ref::<Overtime>() {
        return match overtime {
            Overtime::Deadline => FailureKind::Deadline,
            Overtime::WriterHold => FailureKind::WriterHold,
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => FailureKind::OutOfFuel,
        Some(Trap::Interrupt) => FailureKind::Deadline,
        Some(Trap::StackOverflow) => FailureKind::Stack,
        // An allocator that is refused memory ends in `unreachable`, or writes where it was not given any.
        Some(Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds) if memory_denied => FailureKind::Memory,
        // So does an instance that asks for more at its start than it may have, which is an error but no trap.
        None if memory_denied => FailureKind::Memory,
        Some(Trap::UnreachableCodeReached) => FailureKind::Unreachable,
        _ => FailureKind::Trap,
    }
}

fn message(kind: &FailureKind, trap: Option<Trap>, limits: &Limits) -> HostError {
    let limit = |kind: LimitKind| {
        let allowed = limits.get(kind);
        let exceeded = LimitExceeded { kind, used: allowed, allowed };
        HostError::new(ErrorCode::LimitExceeded, exceeded.to_string())
    };
    match kind {
        FailureKind::OutOfFuel => limit(LimitKind::Fuel),
        FailureKind::Deadline => limit(LimitKind::Deadline),
        FailureKind::WriterHold => limit(LimitKind::WriterHold),
        FailureKind::Memory => limit(LimitKind::Memory),
        FailureKind::Stack => HostError::new(
            ErrorCode::LimitExceeded,
            "the plugin's stack is used up: it calls itself without end?",
        ),
        FailureKind::Unreachable => HostError::new(
            ErrorCode::Internal,
            "the plugin gave up (panic or `unreachable`); its log may say why",
        ),
        FailureKind::Trap => HostError::new(
            ErrorCode::Internal,
            match trap {
                Some(trap) => format!("the plugin trapped: {trap}"),
                // It can be the text of an embedder's own function, which may hold anything.
                None => {
                    "the plugin broke the contract, or a function of the platform failed; the log says which"
                        .to_owned()
                }
            },
        ),
        FailureKind::Host(fatal) => fatal.to_host_error(),
        FailureKind::HostPanic => HostError::new(ErrorCode::Internal, "internal error"),
    }
}

/// Wasmtime's root cause, safe to show: parts of it can be of the guest's choosing.
fn cause(error: &wasmtime::Error) -> String {
    escape_control(&error.root_cause().to_string(), 400)
}

/// The cause, and the guest's functions, innermost first; one that calls itself is named once.
fn detail(error: &wasmtime::Error) -> String {
    const FRAMES: usize = 20;
    let mut text = cause(error);
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let name = |frame: &FrameInfo| match frame.func_name() {
            // The alternate form leaves out the hash that rustc appends.
            Some(name) => escape_control(&format!("{:#}", rustc_demangle::demangle(name)), 100),
            None => format!("function {}", frame.func_index()),
        };
        let mut names: Vec<String> = backtrace.frames().iter().take(FRAMES).map(name).collect();
        names.dedup();
        if !names.is_empty() {
            text.push_str("; in ");
            text.push_str(&names.join(" < "));
        }
    }
    text
}
