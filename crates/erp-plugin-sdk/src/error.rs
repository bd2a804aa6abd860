//! Errors: a code to decide by, a message for people.

use std::fmt;

/// The result of every host call and of every call that a plugin answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. The host's list; a code that this version of the SDK does not know reads as
/// [`ErrorCode::Internal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// There is no such record, or it is another tenant's, which looks the same.
    NotFound,
    /// The record has changed since it was read: read it again and decide again.
    Conflict,
    /// A unique field already has this value in another record.
    AlreadyExists,
    /// The data, filter, page or name is wrong; the message names the field.
    InvalidInput,
    /// The plugin was not granted this, or the acting user may not do it.
    PermissionDenied,
    /// One of the call's limits is used up. The first time can be answered, the second ends the call.
    LimitExceeded,
    /// Not possible after this call has written something.
    InTransaction,
    /// A business rule says no.
    Rejected,
    /// The host cannot do this now; later it may.
    Unavailable,
    /// A fault of the host, or a code that is newer than this SDK.
    Internal,
}

impl ErrorCode {
    const ALL: [Self; 10] = [
        Self::NotFound,
        Self::Conflict,
        Self::AlreadyExists,
        Self::InvalidInput,
        Self::PermissionDenied,
        Self::LimitExceeded,
        Self::InTransaction,
        Self::Rejected,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::AlreadyExists => "already-exists",
            Self::InvalidInput => "invalid-input",
            Self::PermissionDenied => "permission-denied",
            Self::LimitExceeded => "limit-exceeded",
            Self::InTransaction => "in-transaction",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of a host call, or one that a plugin answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What to decide by.
    pub code: ErrorCode,
    /// What to show or log: names the field, the limit, the value and the way out.
    pub message: String,
}

impl Error {
    /// An error with this code and message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The data that came in is wrong.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidInput, message)
    }

    /// There is no such record.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// A business rule says no.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Rejected, message)
    }

    /// A fault of the plugin itself or of the host.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Reads the contract's `code: message`. Text with an unknown code, or none, is kept whole as the message.
    pub(crate) fn from_wire(text: String) -> Self {
        match text.split_once(": ").map(|(code, message)| (ErrorCode::parse(code), message)) {
            Some((Some(code), message)) => Self::new(code, message),
            _ => Self::internal(text),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in ErrorCode::ALL {
            let error = Error::new(code, "field `sku`: at most 40 characters");
            assert_eq!(Error::from_wire(error.to_string()), error);
        }
    }

    #[test]
    fn an_unknown_code_reads_as_internal_and_loses_no_text() {
        let error = Error::from_wire("quota-frozen: ask the operator".to_owned());
        assert_eq!(error, Error::internal("quota-frozen: ask the operator"));
    }

    #[test]
    fn text_without_a_code_is_the_message() {
        assert_eq!(Error::from_wire("gone".to_owned()), Error::internal("gone"));
    }
}
