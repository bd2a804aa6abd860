//! `docs/brief.md` maps what the project was asked for to what it does. What it names must exist:
//!
//! - a path in backticks (`crates/…`, `docs/…`), with a test's name after `::` where one is meant
//!   (`tests/tests/run.rs::a_core_module_is_refused`);
//! - in the last column of a table, a test's name alone in backticks (`v5_low_fuel_traps`).

use std::collections::BTreeSet;

use anyhow::Result;

use super::checkout::{Checkout, File};

const DOCUMENT: &str = "docs/brief.md";

/// What a path begins with, as opposed to anything else that stands in backticks.
const TOP_LEVEL: [&str; 9] =
    ["benches/", "crates/", "docs/", "examples/", "plugins/", "tests/", "web/", "wit/", "xtask/"];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let Some(document) = checkout.file(DOCUMENT) else {
        let has_docs = checkout.files.iter().any(|file| file.path.starts_with("docs/"));
        return Ok(if has_docs { vec![format!("{DOCUMENT} is missing")] } else { Vec::new() });
    };
    let functions: BTreeSet<&str> = checkout.rust("").flat_map(functions_of).collect();
    let mut problems = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        let mut problem = |what: String| problems.push(format!("{DOCUMENT}:{}: {what}", index + 1));
        for quoted in in_backticks(line).filter(|quoted| is_path(quoted)) {
            let (path, test) =
                quoted.split_once("::").map_or((quoted, None), |(path, test)| (path, Some(test)));
            if !exists(checkout, path) {
                problem(format!("there is no {path}"));
            } else if let Some(test) = test
                && !checkout
                    .file(path)
                    .is_some_and(|file| functions_of(file).any(|function| function == test))
            {
                problem(format!("{path} has no test {test}"));
            }
        }
        for test in in_backticks(last_column(line)).filter(|quoted| is_test_name(quoted)) {
            if !functions.contains(test) {
                problem(format!("there is no test {test}"));
            }
        }
    }
    Ok(problems)
}

fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_path(quoted: &str) -> bool {
    TOP_LEVEL.iter().any(|top| quoted.starts_with(top)) && !quoted.contains([' ', '<', '*', '…'])
}

fn exists(checkout: &Checkout, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    checkout.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// The text of a table row's last cell; nothing of any other line.
fn last_column(line: &str) -> &str {
    let row = line.trim().strip_prefix('|').and_then(|row| row.strip_suffix('|'));
    row.and_then(|row| row.rsplit('|').next()).unwrap_or_default()
}

/// Tests are sentences: several words.
fn is_test_name(quoted: &str) -> bool {
    quoted.matches('_').count() >= 2
        && quoted.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn functions_of(file: &File) -> impl Iterator<Item = &str> {
    file.text
        .split("fn ")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_must_exist() {
        let document = "\
| asked | answer | test |
| --- | --- | --- |
| V1 | `crates/erp-plugin-wit/` | `tests/tests/v.rs::v1_bindings_compile` |
| V2 | `db_insert` is `crates/gone.rs` | `v2_host_calls_every_export`, `host_api_and_more` |
| V3 | `crates/<name>/src` | `tests/tests/v.rs::v3_is_not_there` |
";
        let checkout = Checkout::of(&[
            (DOCUMENT, document),
            ("crates/erp-plugin-wit/src/lib.rs", ""),
            ("tests/tests/v.rs", "fn v1_bindings_compile() {}\nasync fn v2_host_calls_every_export() {}"),
        ]);
        assert_eq!(
            check(&checkout).unwrap(),
            [
                "docs/brief.md:4: there is no crates/gone.rs",
                "docs/brief.md:4: there is no test host_api_and_more",
                "docs/brief.md:5: tests/tests/v.rs has no test v3_is_not_there",
            ]
        );
    }

    #[test]
    fn the_document_is_wanted_once_there_are_documents() {
        assert!(check(&Checkout::of(&[])).unwrap().is_empty());
        assert_eq!(check(&Checkout::of(&[("docs/a.md", "")])).unwrap(), ["docs/brief.md is missing"]);
    }
}
