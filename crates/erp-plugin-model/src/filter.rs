//! A filter that has been checked against its entity: every column exists, every value has the column's type.
//!
//! Two-valued logic, on every backend: a comparison with an absent value is false, its negation true. Text compares
//! by code point.

use crate::Value;
use crate::schema::SystemField;

/// A column that a filter or sort names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// One of the host's own.
    System(SystemField),
    /// The declared field at this position of the schema.
    Field(usize),
    /// A top-level key of a dynamic entity's document.
    Document(String),
}

/// How a column is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Present and not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

/// What a record must fulfil.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of these; none is always true.
    All(Vec<Filter>),
    /// At least one of these; none is always false.
    Any(Vec<Filter>),
    /// The opposite.
    Not(Box<Filter>),
    /// The column compared with a value that is not [`Value::Null`].
    Compare(Column, Comparison, Value),
    /// The column is one of these values; none is always false.
    In(Column, Vec<Value>),
    /// The text begins with this.
    Prefix(Column, String),
    /// The text of the searchable field at this position of the schema is this one, whatever the case of either. The
    /// text given is [folded](crate::fold::fold).
    FoldedEq(usize, String),
    /// It begins with this, whatever the case of either. The text given is folded.
    FoldedPrefix(usize, String),
    /// The column is absent.
    Absent(Column),
}

impl Filter {
    /// The filter that every record fulfils.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }
}

/// The smallest text that is greater than every text beginning with `prefix`, by code point: with it a prefix is a
/// range. `None` when there is no such text.
#[must_use]
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            // The surrogates are no characters.
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_text_begins() {
        assert_eq!(prefix_end("Ch").as_deref(), Some("Ci"));
        assert_eq!(prefix_end("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(prefix_end("\u{10FFFF}"), None);
        assert_eq!(prefix_end(""), None);
    }
}
