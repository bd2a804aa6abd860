//! How the numbers of a series are written: `INV-{yyyy}-{00000}`.
//!
//! A pattern is text, parts of the date (`{yyyy}`, `{yy}`, `{mm}`, of a moment in UTC) and one counter, as many zeros as a
//! number has digits at least. A series is what the pattern comes to at a moment with its counter left open: where that
//! differs, counting begins anew, so with `{yyyy}` every year.
//!
//! Invariant: two numbers of one pattern are never written alike. Whatever stands before a counter and behind it has the
//! same length at any moment, and text of another series differs there.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Utc};

use crate::schema::MAX_STRING;

/// The most digits that a counter can ask for.
const MAX_WIDTH: usize = 12;
/// The digits of the largest number that a backend counts to.
const MAX_DIGITS: usize = 19;

/// The pattern of a series of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesPattern {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Year,
    ShortYear,
    Month,
    Counter { width: usize },
}

impl SeriesPattern {
    /// Reads a pattern; the error is the rest of a sentence that begins with its name.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = source;
        while !rest.is_empty() {
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            let (text, braced) = rest.split_at(end);
            if let Some(bad) = text.chars().find(|character| !is_printable(*character)) {
                return Err(format!("has the character {bad:?}, which does not print; take it out"));
            }
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            if braced.is_empty() {
                break;
            }
            let Some(inside) = braced.strip_prefix('{') else {
                return Err("has a } without a { before it; text cannot have braces".to_owned());
            };
            let Some((name, behind)) = inside.split_once('}') else {
                return Err("has a { that is not closed; text cannot have braces".to_owned());
            };
            parts.push(Part::parse(name)?);
            rest = behind;
        }
        let pattern = Self { source: source.to_owned(), parts };
        match pattern.parts.iter().filter(|part| matches!(part, Part::Counter { .. })).count() {
            1 => {}
            0 => {
                return Err(
                    "has no counter; add one such as {00000}, with as many zeros as digits are wanted"
                        .to_owned(),
                );
            }
            counters => return Err(format!("has {counters} counters; leave one of them")),
        }
        let longest = pattern.longest();
        if longest > MAX_STRING as usize {
            return Err(format!(
                "makes numbers of up to {longest} characters, {MAX_STRING} can be kept; shorten its text"
            ));
        }
        Ok(pattern)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The series that a number of this moment is of: `INV-2026-{}`.
    #[must_use]
    pub fn series(&self, at: DateTime<Utc>) -> String {
        self.written(at, |_, out| out.push_str("{}"))
    }

    /// A number of the series of this moment: `INV-2026-00042`.
    #[must_use]
    pub fn number(&self, at: DateTime<Utc>, number: u64) -> String {
        self.written(at, |width, out| {
            let _ = write!(out, "{number:0width$}");
        })
    }

    /// The most characters that a number can have.
    #[must_use]
    pub fn longest(&self) -> usize {
        let lengths = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.chars().count(),
            Part::Year => 4,
            Part::ShortYear | Part::Month => 2,
            Part::Counter { width } => MAX_DIGITS.max(*width),
        });
        lengths.sum()
    }

    fn written(&self, at: DateTime<Utc>, counter: impl Fn(usize, &mut String)) -> String {
        let mut out = String::with_capacity(self.source.len() + MAX_DIGITS);
        for part in &self.parts {
            let _ = match part {
                Part::Text(text) => out.write_str(text),
                Part::Year => write!(out, "{:04}", at.year()),
                Part::ShortYear => write!(out, "{:02}", at.year().rem_euclid(100)),
                Part::Month => write!(out, "{:02}", at.month()),
                Part::Counter { width } => {
                    counter(*width, &mut out);
                    Ok(())
                }
            };
        }
        out
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "yyyy" => Ok(Self::Year),
            "yy" => Ok(Self::ShortYear),
            "mm" => Ok(Self::Month),
            zeros if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => match zeros.len() {
                width @ ..=MAX_WIDTH => Ok(Self::Counter { width }),
                width => Err(format!(
                    "has a counter of {width} digits; ask for 1 to {MAX_WIDTH}, a number has more when it needs them"
                )),
            },
            other => Err(format!(
                "has {{{}}}; known are {{yyyy}}, {{yy}}, {{mm}} and a counter such as {{00000}}",
                other.escape_debug()
            )),
        }
    }
}

/// Whether a character is seen on paper, or is a space.
fn is_printable(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_number_has_the_date_and_as_many_digits_as_it_needs() {
        let new_year = at("2026-01-31T23:59:59.999999Z");
        for (pattern, number, written) in [
            ("INV-{yyyy}-{00000}", 42, "INV-2026-00042"),
            ("INV-{yyyy}-{00000}", 123_456, "INV-2026-123456"),
            ("{0}", 7, "7"),
            ("{mm}/{yy} № {000000000000}.x", 1, "01/26 № 000000000001.x"),
            ("'{00}\\\"", 5, "'05\\\""),
        ] {
            let pattern = SeriesPattern::parse(pattern).unwrap();
            assert_eq!(pattern.number(new_year, number), written);
            assert!(written.chars().count() <= pattern.longest());
        }
        assert_eq!(SeriesPattern::parse("{0}").unwrap().number(new_year, u64::MAX / 2).len(), MAX_DIGITS);
        assert_eq!(SeriesPattern::parse("{yyyy}{0}").unwrap().number(at("0007-01-01T00:00:00Z"), 1), "00071");
    }

    #[test]
    fn a_series_is_the_text_around_the_counter_at_a_moment() {
        let series = |pattern: &str, moment: &str| SeriesPattern::parse(pattern).unwrap().series(at(moment));
        let (old, new) = ("2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
        assert_eq!(series("INV-{yyyy}-{00000}", old), "INV-2026-{}");
        assert_eq!(series("INV-{yyyy}-{00000}", new), "INV-2027-{}");
        assert_eq!(series("INV-{00000}", old), series("INV-{00000}", new));
        // More digits do not begin a series anew: its numbers would be written as the old ones are.
        assert_eq!(series("INV-{0}", old), series("INV-{00000}", old));
        assert_ne!(series("{mm}-{0}", old), series("{mm}-{0}", new));
    }

    #[test]
    fn a_pattern_that_cannot_be_is_refused_with_the_way_out() {
        let long = format!("{}{{0}}", "x".repeat(482));
        for (pattern, error) in [
            ("", "has no counter; add one such as {00000}, with as many zeros as digits are wanted"),
            (
                "INV-{yyyy}",
                "has no counter; add one such as {00000}, with as many zeros as digits are wanted",
            ),
            ("{0}-{00}", "has 2 counters; leave one of them"),
            (
                "{0000000000000}",
                "has a counter of 13 digits; ask for 1 to 12, a number has more when it needs them",
            ),
            ("{YYYY}{0}", "has {YYYY}; known are {yyyy}, {yy}, {mm} and a counter such as {00000}"),
            ("{}{0}", "has {}; known are {yyyy}, {yy}, {mm} and a counter such as {00000}"),
            ("{{0}}", "has {{0}; known are {yyyy}, {yy}, {mm} and a counter such as {00000}"),
            ("INV-{0", "has a { that is not closed; text cannot have braces"),
            ("INV-0}", "has a } without a { before it; text cannot have braces"),
            ("a\n{0}", "has the character '\\n', which does not print; take it out"),
            ("a\u{200b}{0}", "has the character '\\u{200b}', which does not print; take it out"),
            (&long, "makes numbers of up to 501 characters, 500 can be kept; shorten its text"),
        ] {
            assert_eq!(SeriesPattern::parse(pattern).unwrap_err(), error, "{pattern:?}");
        }
        assert_eq!(SeriesPattern::parse(&long[1..]).unwrap().longest(), 500);
    }
}
