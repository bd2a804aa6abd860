//! Words that no finished text holds: reminders, paths of somebody's machine, names that say nothing.

use anyhow::Result;

use super::checkout::{Checkout, File};

/// Put together here, so that this file does not hold them.
const REMINDERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Folders that exist on one machine only.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// Endings of type names that say nothing about the type.
const EMPTY_NAMES: [&str; 5] = ["Manager", "Helper", "Util", "Utils", "Misc"];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    // Lock files and data are not written by hand.
    let written = ["rs", "toml", "md", "wit", "sql", "wat", "sh", "yml", "json"];
    let is_written = |file: &&File| file.path.rsplit('.').next().is_some_and(|end| written.contains(&end));
    Ok(checkout.files.iter().filter(is_written).flat_map(problems_of).collect())
}

fn problems_of(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut problem = |what: String| problems.push(format!("{}:{}: {what}", file.path, index + 1));
        for word in REMINDERS.into_iter().filter(|word| has_word(line, word)) {
            problem(format!("{word}: do it, or say it in the tracker"));
        }
        for path in MACHINE_PATHS.into_iter().filter(|path| line.contains(path)) {
            problem(format!("{path}… exists on one machine only"));
        }
        if let Some(name) = declared_name(line)
            && EMPTY_NAMES.iter().any(|end| name.ends_with(end))
        {
            problem(format!("{name} does not say what it is"));
        }
    }
    problems
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

/// The name of the type that a line of Rust declares.
fn declared_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let name =
        ["struct ", "enum ", "trait ", "type "].iter().find_map(|keyword| line.strip_prefix(keyword))?;
    name.split(|c: char| !c.is_ascii_alphanumeric()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_found_where_people_write() {
        let text = format!(
            "// {} later\npub struct RecordHelper;\nlet p = \"{}me\";\n",
            REMINDERS[0], MACHINE_PATHS[0]
        );
        let checkout = Checkout::of(&[("a.rs", text.as_str()), ("Cargo.lock", text.as_str())]);
        let problems = check(&checkout).unwrap();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert_eq!(problems[1], "a.rs:2: RecordHelper does not say what it is");
    }

    #[test]
    fn words_are_whole_words() {
        let text = format!("let m{}s = 1; struct Utilization;", REMINDERS[0].to_lowercase());
        assert!(check(&Checkout::of(&[("a.rs", text.as_str())])).unwrap().is_empty());
    }
}
