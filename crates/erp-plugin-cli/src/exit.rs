//! How the program ends: exit codes, and errors as one line for people and one object for programs.

use std::io;
use std::process::ExitCode;

use anyhow::Error;
use erp_plugin::portable::PortableError;
use erp_plugin::{ErrorCode, HostError, HostFailure, LoadError, OpenError};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked to do.
    Done,
    /// It could not: a file, the database, an argument.
    Failed,
    /// The component cannot be installed.
    Refused,
    /// The handler answered with an error.
    HandlerError,
    /// Some of the records were refused; the others are in.
    SomeRefused,
    /// Something was looked at and is not as it must be.
    Unhealthy,
    /// The plugin was stopped.
    Stopped,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 2 is clap's, for a command line that it cannot read.
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Refused => 3,
            Exit::HandlerError | Exit::SomeRefused | Exit::Unhealthy => 4,
            Exit::Stopped => 5,
        })
    }
}

/// The exit codes, for help texts.
pub(crate) const CODES: &str = "\
Exit codes:
  0  the handler said ok
  1  nothing was called: a file, the database or an argument is wrong
  2  the command line is wrong
  3  the component cannot be installed: it is none, imports what there is not, has a wrong
     manifest, or its init failed
  4  the handler answered with an error
  5  the plugin was stopped: trap, fuel, deadline, memory";

/// What an error means for the exit code, and its code for programs: that of the first cause that has one.
pub(crate) fn classify(error: &Error) -> (Exit, ErrorCode) {
    error.chain().find_map(meaning).unwrap_or((Exit::Failed, ErrorCode::Internal))
}

fn meaning(cause: &(dyn std::error::Error + 'static)) -> Option<(Exit, ErrorCode)> {
    if let Some(failure) = cause.downcast_ref::<HostFailure>() {
        let exit = match failure {
            HostFailure::Load(LoadError::Engine(_)) => Exit::Failed,
            HostFailure::Load(_)
            | HostFailure::Manifest(_)
            | HostFailure::Name(_)
            | HostFailure::Lifecycle { .. } => Exit::Refused,
            HostFailure::Refused(_)
            | HostFailure::Busy(_)
            | HostFailure::Schema(_)
            | HostFailure::Storage(_)
            | HostFailure::ShuttingDown => Exit::Failed,
        };
        return Some((exit, failure.code()));
    }
    if let Some(failure) = cause.downcast_ref::<OpenError>() {
        let code = match failure {
            OpenError::Storage(error) => error.to_host_error().code,
            _ => ErrorCode::InvalidInput,
        };
        return Some((Exit::Failed, code));
    }
    if let Some(error) = cause.downcast_ref::<PortableError>() {
        return Some((Exit::Failed, error.code()));
    }
    if let Some(error) = cause.downcast_ref::<HostError>() {
        return Some((Exit::Failed, error.code));
    }
    let code = match cause.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::NotFound => ErrorCode::NotFound,
        io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
        io::ErrorKind::InvalidData => ErrorCode::InvalidInput,
        _ => ErrorCode::Unavailable,
    };
    Some((Exit::Failed, code))
}

/// The error in one line, without the codes, which are for programs.
pub(crate) fn line(error: &Error) -> String {
    let words: Vec<String> = error.chain().map(words).collect();
    // Parts of it may be a guest's own.
    erp_plugin::escape_control(&words.join(": "), usize::MAX)
}

fn words(cause: &(dyn std::error::Error + 'static)) -> String {
    match (cause.downcast_ref::<HostError>(), cause.downcast_ref::<HostFailure>()) {
        (Some(error), _) | (None, Some(HostFailure::Refused(error) | HostFailure::Busy(error))) => {
            error.message.clone()
        }
        (None, _) => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_first_cause_that_has_a_meaning_gives_the_code() {
        let refused = Error::new(HostFailure::Load(LoadError::NotWasm)).context("a.wasm");
        assert_eq!(classify(&refused), (Exit::Refused, ErrorCode::InvalidInput));
        let missing = Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)).context("a.wasm").unwrap_err();
        assert_eq!(classify(&missing), (Exit::Failed, ErrorCode::NotFound));
        assert_eq!(classify(&anyhow::anyhow!("odd")), (Exit::Failed, ErrorCode::Internal));
    }

    #[test]
    fn an_error_is_one_line_without_codes() {
        let refused = HostError::invalid("a line\nand one that pretends to be another");
        let error = Error::new(HostFailure::Refused(refused)).context("a.wasm");
        assert_eq!(line(&error), "a.wasm: a line\\nand one that pretends to be another");
    }
}
