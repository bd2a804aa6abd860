//! A released contract is a promise to components that nobody can build again: `wit/hashes.txt` holds the SHA-256 of
//! every file of `wit/<version>/`, and neither file nor line may ever change.

use std::collections::BTreeMap;

use anyhow::Result;
use sha2::{Digest, Sha256};

use super::checkout::Checkout;

const HASHES: &str = "wit/hashes.txt";

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let list = checkout.file(HASHES).map(|file| file.text.as_str()).unwrap_or_default();
    let mut released: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(hash, path)| (path, hash)).collect();
    let mut problems = Vec::new();
    for file in checkout.files.iter().filter(|file| file.path.ends_with(".wit")) {
        let Some(path) = file.path.strip_prefix("wit/") else { continue };
        let hash: String = Sha256::digest(&file.text).iter().map(|byte| format!("{byte:02x}")).collect();
        match released.remove(path) {
            Some(released) if released == hash => {}
            Some(_) => problems.push(format!(
                "{}: a released contract has changed; undo it, and put what is new into a new version",
                file.path
            )),
            None => problems.push(format!("{HASHES}: lacks the line `{hash}  {path}`")),
        }
    }
    problems.extend(
        released.keys().map(|path| format!("wit/{path}: a released contract is gone; bring it back")),
    );
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_contract_may_neither_change_nor_go_nor_come_unseen() {
        let hashes = format!("{EMPTY}  v0/a.wit\n{EMPTY}  v0/b.wit\n{EMPTY}  v0/c.wit\n");
        let checkout = Checkout::of(&[
            (HASHES, hashes.as_str()),
            ("wit/v0/a.wit", ""),
            ("wit/v0/b.wit", "changed"),
            ("wit/v1/d.wit", ""),
        ]);
        let problems = check(&checkout).unwrap();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("wit/v0/b.wit: a released contract has changed"));
        assert_eq!(problems[1], format!("{HASHES}: lacks the line `{EMPTY}  v1/d.wit`"));
        assert!(problems[2].starts_with("wit/v0/c.wit: a released contract is gone"));
    }
}
