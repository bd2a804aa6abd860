//! Every `Cargo.toml`: lints come from the workspace, dependencies stand in alphabetical order.

use anyhow::Result;

use super::checkout::{Checkout, File};

/// The brief's own plugin, which is kept word for word.
const VERBATIM: &str = "tests/fixtures/brief-plugin/";

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let manifests = checkout
        .files
        .iter()
        .filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
        .filter(|file| !file.path.starts_with(VERBATIM));
    Ok(manifests.flat_map(problems_of).collect())
}

fn problems_of(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    let is_package = file.text.lines().any(|line| line.trim() == "[package]");
    if is_package && !file.text.contains("[lints]\nworkspace = true") {
        problems.push(format!("{}: lacks [lints] workspace = true", file.path));
    }
    let mut in_dependencies = false;
    let mut previous = "";
    for (index, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.trim_end().ends_with("dependencies]");
            previous = "";
        } else if let Some(name) = key(line).filter(|_| in_dependencies) {
            if name < previous {
                problems.push(format!("{}:{}: {name} stands after {previous}", file.path, index + 1));
            }
            previous = name;
        }
    }
    problems
}

/// The key that a line begins with; continuations of a value are indented or begin with a bracket.
fn key(line: &str) -> Option<&str> {
    let end = line.find([' ', '=', '.'])?;
    let name = line.get(..end)?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (is_name && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_lints_are_checked() {
        let good = "[package]\nname = \"a\"\n[lints]\nworkspace = true\n[dependencies]\na = \"1\"\n# why\n\
                    b = { version = \"1\", features = [\n    \"a\",\n] }\nc.workspace = true\n[dev-dependencies]\na = \"1\"\n";
        let bad = "[package]\n[dependencies]\nb = \"1\"\na.workspace = true\n";
        let checkout = Checkout::of(&[("a/Cargo.toml", good), ("b/Cargo.toml", bad)]);
        assert_eq!(
            check(&checkout).unwrap(),
            ["b/Cargo.toml: lacks [lints] workspace = true", "b/Cargo.toml:4: a stands after b"]
        );
    }
}
