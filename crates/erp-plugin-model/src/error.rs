//! The closed list of error codes, and the error that a host call answers with.

use std::fmt;

/// What went wrong, for programs. The list grows only with a documented release; readers treat an unknown code as
/// [`Internal`](Self::Internal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No such record, configuration key or thing. Also the answer for what belongs to another tenant.
    NotFound,
    /// The record has another version than the caller read.
    Conflict,
    /// A unique field already has this value.
    AlreadyExists,
    /// The data, filter, page or name is not what the call takes.
    InvalidInput,
    /// The caller may not do this.
    PermissionDenied,
    /// A limit is used up.
    LimitExceeded,
    /// Not possible once the invocation has written.
    InTransaction,
    /// A business rule, veto or restricted reference says no.
    Rejected,
    /// The service is busy or gone; the same call may succeed later.
    Unavailable,
    /// A fault of the host.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 10] = [
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

    /// The code as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
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

    /// Reads a code from the wire; an unknown one is [`Internal`](Self::Internal).
    #[must_use]
    pub fn from_wire(text: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == text).unwrap_or(Self::Internal)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest message, in bytes. Some list what would have been right, and that a plugin may have made long.
const LONGEST_MESSAGE: usize = 4 << 10;

/// An answer that says no: a code for programs and a message that names the field, the limit, the value and the
/// way out. Never SQL, a path, or anything of another tenant. `Display` is contract v0's form, `code: message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct HostError {
    /// The code.
    pub code: ErrorCode,
    /// The message.
    pub message: String,
}

impl HostError {
    /// An error with this code and message, which is cut after 4 KiB.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
            message.push('…');
        }
        Self { code, message }
    }

    /// `invalid-input`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidInput, message)
    }

    /// `not-found`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// `permission-denied`.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::PermissionDenied, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_wire_and_unknown_ones_are_internal() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_wire(code.as_str()), code);
        }
        assert_eq!(ErrorCode::from_wire("teapot"), ErrorCode::Internal);
        assert_eq!(HostError::invalid("no").to_string(), "invalid-input: no");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let longest = "x".repeat(LONGEST_MESSAGE);
        assert_eq!(HostError::invalid(&*longest).message, longest);
        let cut = HostError::invalid(format!("x{}", "名".repeat(LONGEST_MESSAGE))).message;
        assert!(cut.starts_with("x名") && cut.ends_with("名…"));
        assert!(cut.len() <= LONGEST_MESSAGE + '…'.len_utf8());
    }
}
