//! Time and ids are passed in, so that a test can choose them. Clippy refuses the ambient ones; this rule sees to it
//! that it goes on doing so.

use anyhow::Result;

use super::checkout::Checkout;

/// What `clippy.toml` must go on refusing.
const AMBIENT: [&str; 5] = [
    "std::time::SystemTime::now",
    "chrono::Utc::now",
    "chrono::Local::now",
    "uuid::Uuid::now_v7",
    "uuid::Uuid::new_v4",
];

/// Who makes the clock that everybody else is given.
const COMPOSITION_ROOTS: [&str; 3] = ["erp-plugin", "erp-plugin-cli", "erp-plugin-testing"];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let clippy = checkout.file("clippy.toml").map(|file| file.text.as_str()).unwrap_or_default();
    for method in AMBIENT.iter().filter(|method| !clippy.contains(**method)) {
        problems.push(format!("clippy.toml: disallowed-methods lacks {method}"));
    }
    for file in checkout.rust("crates/") {
        if file.crate_name().is_some_and(|name| COMPOSITION_ROOTS.contains(&name)) {
            continue;
        }
        for (line, code) in file.code().filter(|(_, code)| code.contains("clippy::disallowed_methods")) {
            problems.push(format!(
                "{}:{line}: `{}` outside a composition root; take a Clock or an IdGenerator",
                file.path,
                code.trim()
            ));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_exceptions_are_made_at_the_roots() {
        let exception = "#[allow(clippy::disallowed_methods, reason = \"the clock\")]";
        let checkout = Checkout::of(&[
            ("clippy.toml", &AMBIENT[1..].join("\n")),
            ("crates/erp-plugin-cli/src/clock.rs", exception),
            ("crates/erp-plugin-host/src/jobs.rs", exception),
        ]);
        let problems = check(&checkout).unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].ends_with(AMBIENT[0]));
        assert!(problems[1].starts_with("crates/erp-plugin-host/src/jobs.rs:1"));
    }
}
