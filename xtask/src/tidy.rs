//! `cargo xtask tidy`: what must stay true of the whole and what no compiler checks.
//!
//! One file per rule. A check is a function from the checkout to its problems; to add one, write that file and name
//! it in [`CHECKS`].

mod brief;
mod checkout;
mod clock;
mod contracts;
mod exceptions;
pub(crate) mod layers;
mod length;
mod manifests;
mod sql;
mod tenants;
mod words;

use anyhow::{Result, bail};

use checkout::Checkout;

/// A rule: its problems, one line each, with file and line where there are some.
type Check = fn(&Checkout) -> Result<Vec<String>>;

const CHECKS: [(&str, Check); 9] = [
    ("crates depend on the layers below them alone", layers::check),
    ("only the backends know SQL", sql::check),
    ("every tenant operation takes its scope, and no contract names a tenant", tenants::check),
    ("released contracts never change", contracts::check),
    ("no ambient clock or randomness", clock::check),
    ("nothing can panic the host, and every exception has its reason", exceptions::check),
    ("docs/brief.md names what exists", brief::check),
    ("no leftovers", words::check),
    ("crates inherit lints and list dependencies in order", manifests::check),
];

pub(crate) fn run() -> Result<()> {
    let checkout = Checkout::read()?;
    let mut problems = 0;
    for (rule, check) in CHECKS {
        let found = check(&checkout)?;
        if !found.is_empty() {
            println!("broken rule: {rule}");
        }
        for problem in &found {
            println!("  {problem}");
        }
        problems += found.len();
    }
    for note in length::notes(&checkout) {
        println!("note: {note}");
    }
    match problems {
        0 => println!("tidy: {} rules hold in {} files", CHECKS.len(), checkout.files.len()),
        1 => bail!("tidy: 1 problem"),
        _ => bail!("tidy: {problems} problems"),
    }
    Ok(())
}
