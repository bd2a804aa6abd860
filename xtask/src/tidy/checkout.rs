//! The text files of the checkout, as the checks see them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{repository, step};

/// Everything that is, or would be, committed.
pub(super) struct Checkout {
    pub(super) root: PathBuf,
    pub(super) files: Vec<File>,
}

/// A text file.
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Checkout {
    pub(super) fn read() -> Result<Self> {
        let root = repository::root();
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let paths = step::output(Command::new("git").current_dir(&root).args(list))?;
        let mut files: Vec<File> = paths
            .split_terminator('\0')
            // What is deleted, and what is no text, has nothing to check.
            .filter_map(|path| {
                let text = fs::read_to_string(root.join(path)).ok()?;
                Some(File { path: path.to_owned(), text })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, files })
    }

    /// The Rust sources below a folder; the empty folder is the whole checkout.
    pub(super) fn rust<'a>(&'a self, below: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(below) && file.path.ends_with(".rs"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { root: PathBuf::new(), files: files.iter().map(file).collect() }
    }
}

impl File {
    /// The folder below `crates/` that the file lies in.
    pub(super) fn crate_name(&self) -> Option<&str> {
        Some(self.path.strip_prefix("crates/")?.split_once('/')?.0)
    }

    /// The lines of code that run in production, with their numbers: no comments, and nothing from the test module
    /// on, which stands last in a file or in one of its own.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let lines = if is_test { "".lines() } else { self.text.lines() };
        lines
            .take_while(|line| line.trim() != "#[cfg(test)]")
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_runs_in_production() {
        let text = "//! Docs.\n\nfn main() {} // here\n\n#[cfg(test)]\nmod tests {}\n";
        let file = File { path: "crates/a/src/lib.rs".to_owned(), text: text.to_owned() };
        let code: Vec<_> = file.code().filter(|(_, line)| !line.is_empty()).collect();
        assert_eq!(code, [(3, "fn main() {} // here")]);
        assert_eq!(file.crate_name(), Some("a"));
    }
}
