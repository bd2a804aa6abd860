//! A guest cannot panic the host, because the lints refuse the ways in which our code could. An exception to any
//! lint says why it is safe.

use anyhow::Result;

use super::checkout::Checkout;

/// The lints that the workspace must go on having.
const PANICS: [&str; 5] = ["expect_used", "indexing_slicing", "panic", "unreachable", "unwrap_used"];

const ATTRIBUTES: [&str; 4] = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let manifest = checkout.file("Cargo.toml").map(|file| file.text.as_str()).unwrap_or_default();
    for lint in PANICS {
        let is_set = manifest.lines().any(|line| line.starts_with(lint) && !line.contains("allow"));
        if !is_set {
            problems.push(format!("Cargo.toml: [workspace.lints.clippy] lacks {lint}"));
        }
    }
    for file in checkout.rust("") {
        for attribute in ATTRIBUTES {
            for (start, _) in file.text.match_indices(attribute) {
                let (before, rest) = file.text.split_at(start);
                let own_line = before.rsplit('\n').next().unwrap_or_default();
                let body = rest.split(")]").next().unwrap_or_default();
                if own_line.trim().is_empty() && !body.contains("reason") {
                    let line = before.lines().count().max(1);
                    problems.push(format!("{}:{line}: {attribute}…)] without a reason", file.path));
                }
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_have_reasons_and_the_lints_are_there() {
        let checkout = Checkout::of(&[
            (
                "Cargo.toml",
                "indexing_slicing = \"warn\"\npanic = \"warn\"\nunreachable = \"warn\"\nunwrap_used = \"warn\"",
            ),
            (
                "crates/a/src/good.rs",
                "#[allow(\n    dead_code,\n    reason = \"generated\",\n)]\nfn f() {}\n",
            ),
            ("crates/a/src/bad.rs", "fn g() {}\n\n    #[expect(dead_code)]\n    fn f() {}\n"),
        ]);
        let problems = check(&checkout).unwrap();
        assert_eq!(
            problems,
            [
                "Cargo.toml: [workspace.lints.clippy] lacks expect_used",
                "crates/a/src/bad.rs:3: #[expect(…)] without a reason",
            ]
        );
    }
}
