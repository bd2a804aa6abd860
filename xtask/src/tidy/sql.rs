//! SQL lives in the backends: a statement anywhere else would run on one of them only.

use anyhow::Result;

use super::checkout::Checkout;

const BACKENDS: [&str; 2] = ["erp-plugin-storage-sqlite", "erp-plugin-storage-postgres"];

const STATEMENTS: [&str; 13] = [
    "SELECT ",
    "INSERT INTO ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "ALTER TABLE ",
    "PRAGMA ",
    "SAVEPOINT ",
    "ON CONFLICT ",
    "CREATE POLICY ",
    "CREATE ROLE ",
    "CREATE SCHEMA ",
    "SET LOCAL ",
];

pub(super) fn check(checkout: &Checkout) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in checkout.rust("crates/") {
        if file.crate_name().is_some_and(|name| BACKENDS.contains(&name)) {
            continue;
        }
        for (line, code) in file.code() {
            if let Some(statement) = STATEMENTS.iter().find(|statement| code.contains(**statement)) {
                problems.push(format!("{}:{line}: SQL outside a backend ({})", file.path, statement.trim()));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_is_found_outside_the_backends_and_outside_tests() {
        let sql = "fn f() { run(\"SELECT 1\") }";
        let test = "#[cfg(test)]\nmod tests { const SQL: &str = \"SELECT 1\"; }";
        let checkout = Checkout::of(&[
            ("crates/erp-plugin-host/src/a.rs", sql),
            ("crates/erp-plugin-host/src/b.rs", test),
            ("crates/erp-plugin-storage-sqlite/src/a.rs", sql),
            ("crates/erp-plugin-storage-postgres/src/a.rs", sql),
        ]);
        assert_eq!(
            check(&checkout).unwrap(),
            ["crates/erp-plugin-host/src/a.rs:1: SQL outside a backend (SELECT)"]
        );
    }
}
