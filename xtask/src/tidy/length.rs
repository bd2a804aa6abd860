//! A file has one subject. Past 500 lines of code there mostly are two, so such files are listed; it is no error,
//! since only a reader can tell.

use super::checkout::Checkout;

const LONG: usize = 500;

/// The files that are long, counting production code alone.
pub(super) fn notes(checkout: &Checkout) -> Vec<String> {
    checkout
        .rust("")
        .filter_map(|file| {
            let lines = file.code().filter(|(_, code)| !code.trim().is_empty()).count();
            (lines > LONG).then(|| format!("{} has {lines} lines of code; look for the seam", file.path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_counts() {
        let long = "let a = 1;\n".repeat(LONG + 1);
        let documented = "// why\n\nlet a = 1;\n".repeat(LONG);
        let checkout = Checkout::of(&[("a.rs", long.as_str()), ("b.rs", documented.as_str())]);
        assert_eq!(notes(&checkout), ["a.rs has 501 lines of code; look for the seam"]);
    }
}
