//! The log: what plugins write, and what the host writes about them.

use erp_plugin_model::usage::{LogLevel, LogLine};

use crate::error::{CallError, CallResult};
use crate::invocation::Invocation;

impl Invocation {
    /// Keeps a log line. Beyond the limit lines are counted and dropped; a line that is too long is cut; control
    /// characters are escaped, so that no line can pretend to be another.
    pub fn log(&mut self, level: &str, message: &str) -> CallResult<()> {
        match self.enter(0).and_then(|()| self.budget.transfer_cut(level.len() + message.len())) {
            // The call has no answer to give; the host's budget still ends a flood.
            Err(CallError::Answer(_)) => return Ok(()),
            other => other?,
        }
        if !self.budget.log_line() {
            return Ok(());
        }
        let max = usize::try_from(self.budget.limits().log_line_bytes).unwrap_or(usize::MAX);
        let (level, message) = match LogLevel::parse(level) {
            Some(level) => (level, escape_control(message, max)),
            None => (LogLevel::Info, escape_control(&format!("[{level}] {message}"), max)),
        };
        self.log.push(LogLine { level, message, at: self.services.clock.now() });
        Ok(())
    }

    /// Keeps a line that the host itself writes about the invocation: never dropped.
    pub fn log_by_host(&mut self, level: LogLevel, message: &str) {
        let max = usize::try_from(self.budget.limits().log_line_bytes).unwrap_or(usize::MAX);
        let line = LogLine { level, message: escape_control(message, max), at: self.services.clock.now() };
        self.log.push(line);
    }

    pub(crate) fn log_dropped(&mut self, lines: u64) {
        let allowed = self.budget.limits().log_lines;
        self.log_by_host(
            LogLevel::Warn,
            &format!("{lines} more log lines were dropped; one invocation keeps {allowed} (log-lines)"),
        );
    }
}

/// Escapes control characters and cuts the text to `max` bytes, saying how much is missing.
#[must_use]
pub fn escape_control(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max) + 16);
    for (position, character) in text.char_indices() {
        if out.len() + character.len_utf8() > max {
            out.push_str(&format!("… ({} bytes more)", text.len() - position));
            break;
        }
        if character.is_control() || is_layout(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Separators that some viewers break lines at, and the bidirectional controls, which reorder what people see.
fn is_layout(character: char) -> bool {
    matches!(
        character,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_lines_cut() {
        assert_eq!(escape_control("a\nb\x1b[31mc\u{202E}", 100), "a\\nb\\u{1b}[31mc\\u{202e}");
        assert_eq!(escape_control("a\u{2028}b\u{9b}", 100), "a\\u{2028}b\\u{9b}");
        assert_eq!(escape_control("库存不足", 6), "库存… (6 bytes more)");
    }
}
