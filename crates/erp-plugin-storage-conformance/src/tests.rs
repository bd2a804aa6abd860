//! The list of cases is complete, and the docs of the traits name those that there are.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

fn source() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every case, as `module::name`.
fn cases() -> BTreeSet<String> {
    let mut cases = BTreeSet::new();
    for entry in std::fs::read_dir(source().join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in read_to_string(&path).unwrap().lines() {
            if let Some(name) = line.strip_prefix("pub async fn ") {
                cases.insert(format!("{module}::{}", name.split('(').next().unwrap()));
            }
        }
    }
    assert!(cases.len() > 100, "{}", cases.len());
    cases
}

/// What stands in a text as `` `module::name` ``.
fn named(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect()
}

#[test]
fn every_case_is_in_the_list() {
    let list = read_to_string(source().join("list.rs")).unwrap();
    for case in cases() {
        let (module, name) = case.split_once("::").unwrap();
        let listed = list.split(&format!("            {module}: [")).nth(1).unwrap_or_default();
        let listed = listed.split(']').next().unwrap_or_default();
        assert!(listed.lines().any(|line| line.trim() == format!("{name},")), "{case}");
    }
}

#[test]
fn every_difference_between_databases_names_cases_that_there_are() {
    let cases = cases();
    let docs = read_to_string(source().join("lib.rs")).unwrap();
    let rows: Vec<_> = docs.lines().filter(|line| line.starts_with("//! | ")).skip(2).collect();
    assert!(rows.len() > 10);
    for row in rows {
        let names = named(row);
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(cases.contains(name), "no case {name}");
        }
    }
}

#[test]
fn every_method_of_a_storage_trait_names_the_cases_that_hold_it() {
    let cases = cases();
    let mut methods = 0;
    for entry in std::fs::read_dir(source().join("../../erp-plugin-storage/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let (mut in_trait, mut docs) = (false, String::new());
        for line in read_to_string(&path).unwrap().lines() {
            match line.trim_start() {
                _ if line.starts_with("pub trait ") => in_trait = true,
                _ if line == "}" => in_trait = false,
                doc if doc.starts_with("///") => docs.extend([doc.trim_start_matches('/'), "\n"]),
                code if in_trait && (code.starts_with("async fn ") || code.starts_with("fn ")) => {
                    let held = docs.rsplit_once("Held by ").map_or("", |(_, held)| held);
                    let names = named(held);
                    assert!(!names.is_empty(), "{}: {code} names no case", path.display());
                    for name in names {
                        assert!(cases.contains(name), "{}: {code}: no case {name}", path.display());
                    }
                    methods += 1;
                }
                _ => {}
            }
            if !line.trim_start().starts_with("///") {
                docs.clear();
            }
        }
    }
    assert!(methods > 40, "{methods}");
}
