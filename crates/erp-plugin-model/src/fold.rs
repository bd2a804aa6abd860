//! Text without the difference of upper and lower case, for searches.
//!
//! Folded here and stored beside the text, so that every backend finds the same: databases do not agree on what a
//! lower-case letter is.

use crate::schema::MAX_STRING;

/// A text as searches compare it: every letter in the lower case of its upper case, which makes one text of `Straße`
/// and `STRASSE`, and of the two lower-case forms of the Greek sigma. Letter by letter, so that the fold of a prefix is
/// a prefix of the fold. Accents stay, and so does the choice between composed and decomposed letters. At most
/// [`MAX_STRING`] characters, which an index entry of every backend can hold.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).take(MAX_STRING as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_makes_no_difference() {
        for (one, other) in [
            ("Chai", "CHAI"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("Ünïcödé", "ÜNÏCÖDÉ"),
            ("名前", "名前"),
            ("ﬁsh", "FISH"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("resume"), fold("résumé"));
    }

    #[test]
    fn the_fold_of_a_prefix_is_a_prefix_of_the_fold() {
        for text in ["Straße", "ΟΔΟΣΟΔΟΣ", "İstanbul", "ΐx"] {
            for (at, _) in text.char_indices() {
                assert!(fold(text).starts_with(&fold(&text[..at])), "{text} {at}");
            }
        }
    }

    #[test]
    fn a_fold_is_no_longer_than_a_string_may_be() {
        assert_eq!(fold(&"ΐ".repeat(500)).chars().count(), 500);
    }
}
