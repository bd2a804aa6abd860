//! What a long command is doing, on standard error if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Rows of one table after the other.
pub(crate) struct Rows(ProgressBar);

impl Rows {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {pos} rows") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Tells of more rows, and of what is done with them.
    pub(crate) fn tell(&self, doing: &str, rows: u64) {
        self.0.set_message(doing.to_owned());
        self.0.inc(rows);
    }

    /// Another hand on the same bar, for a task of its own.
    pub(crate) fn handle(&self) -> Self {
        Self(self.0.clone())
    }

    /// Takes it from the screen.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
