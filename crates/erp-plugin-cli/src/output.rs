//! Where text goes: results to standard output, everything else to standard error. Colours only where somebody sees
//! them: `anstream` takes them out when the stream is no terminal, and when `NO_COLOR` asks for none.

use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Error, Result};
use serde::Serialize;
use serde_json::json;

use crate::exit;

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What did not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is there for completeness.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// What works, and somebody should know of.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Text in a style.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text that somebody else chose, made safe for a terminal and cut to a length that people read.
pub(crate) fn foreign(text: &str) -> String {
    const SHOWN: usize = 4096;
    erp_plugin::escape_control(text, SHOWN)
}

/// Writes a result. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Writes a result for programs: one object on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", json(value)?))
}

/// JSON on one line. What could move a terminal's cursor or turn its text around is written as `\u009b`: it stands in
/// strings alone, where that means the same.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(value)?;
    let is_safe = |text: &str| erp_plugin::escape_control(text, usize::MAX) == text;
    if is_safe(&json) {
        return Ok(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_safe(c.encode_utf8(&mut [0; 4])) {
            out.push(c);
        } else {
            out += &format!("\\u{:04x}", u32::from(c));
        }
    }
    Ok(out)
}

/// Writes an error: one line, and with `json` an object on standard output as well.
pub(crate) fn error(error: &Error, json: bool) {
    let line = exit::line(error);
    say(BAD, "error", &line);
    if json {
        let (_, code) = exit::classify(error);
        // Standard error has it already.
        drop(print_json(&json!({ "error": { "code": code.as_str(), "message": line } })));
    }
}

/// Something to know that is no reason to stop.
pub(crate) fn warning(text: &str) {
    say(WARNING, "warning", text);
}

/// Something to know.
pub(crate) fn note(text: &str) {
    say(HEADING, "note", text);
}

/// What is wrong with one line of many; the rest goes on.
pub(crate) fn refused(line: u64, code: &str, why: &str) {
    let text = erp_plugin::escape_control(&format!("{code}: {why}"), usize::MAX);
    say(BAD, &format!("line {line}"), &text);
}

fn say(style: Style, kind: &str, text: &str) {
    // There is nowhere left to report that standard error cannot be written.
    drop(writeln!(anstream::stderr().lock(), "{style}{kind}:{style:#} {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_moves_no_cursor_and_means_the_same() {
        let value = json!({ "a": "库\u{9b}31m\u{202e}\u{1b}\u{7f}" });
        let text = json(&value).unwrap();
        assert_eq!(text, r#"{"a":"库\u009b31m\u202e\u001b\u007f"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
