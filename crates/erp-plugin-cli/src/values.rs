//! Sizes, durations and moments as people write them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// Reads `64MiB`, `512 KiB` or a number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    amount(text, &SIZES, 1).ok_or_else(|| "write it as 64MiB, 512KiB or a number of bytes".to_owned())
}

/// A size as [`size`] reads it.
pub(crate) fn size_text(bytes: u64) -> String {
    let whole = |(unit, factor): &(&str, u64)| {
        (*factor > 1 && bytes > 0 && bytes.is_multiple_of(*factor))
            .then(|| format!("{}{unit}", bytes / factor))
    };
    SIZES.iter().rev().find_map(whole).unwrap_or_else(|| bytes.to_string())
}

/// Reads a whole number, in which `_` may set digits apart.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().replace('_', "").parse().ok()
}

/// Reads `500ms`, `1m 30s` or `7d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A length of time in its largest whole unit, as [`duration`] reads it.
pub(crate) fn duration_text(duration: Duration) -> String {
    const UNITS: [(&str, u128); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let milliseconds = duration.as_millis();
    let whole = UNITS.iter().find(|(_, factor)| milliseconds.is_multiple_of(*factor) && milliseconds > 0);
    match whole {
        Some((unit, factor)) => format!("{}{unit}", milliseconds / factor),
        None => format!("{milliseconds}ms"),
    }
}

const AGES: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// A moment: named, or so long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

impl Moment {
    /// The moment, seen from now; `None` before there was time.
    pub(crate) fn seen_from(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::At(time) => Some(time),
            Self::Ago(age) => now.checked_sub_signed(age),
        }
    }
}

/// Reads `90d`, `12h`, `2026-01-31` (when that day begins, in UTC) or `2026-01-31T09:30:00Z`.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(time.to_utc()));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc()));
    }
    amount(text, &AGES, 0)
        .filter(|_| !text.ends_with(|last: char| last.is_ascii_digit()))
        .and_then(|seconds| TimeDelta::try_seconds(i64::try_from(seconds).ok()?))
        .map(Moment::Ago)
        .ok_or_else(|| "write it as 90d, 12h, 2026-01-31 or 2026-01-31T09:30:00Z".to_owned())
}

/// A whole number of at least `least`, with or without one of the units.
fn amount(text: &str, units: &[(&str, u64)], least: u64) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))
        .unwrap_or((text, 1));
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(unit).filter(|amount| *amount >= least)
}

/// A number with its thousands apart: `10,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("512 KiB"), Ok(512 << 10));
        assert_eq!(size("65536"), Ok(65_536));
        for bad in ["", "MiB", "64MB", "-1", "1.5GiB", "0", "99999999999999GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Some(Duration::from_hours(7 * 24)));
        for bad in ["", "2", "s", "-1d", "1 y2"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in ["0ms", "250ms", "1500ms", "90s", "2m", "25h", "30d"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        for text in ["1", "1000", "8KiB", "1025KiB", "64MiB", "2GiB"] {
            assert_eq!(size_text(size(text).unwrap()), text);
        }
    }

    #[test]
    fn moments_are_ages_days_or_times() {
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("90d", "2025-12-01T12:00:00Z"),
            ("0d", "2026-03-01T12:00:00Z"),
            ("1w", "2026-02-22T12:00:00Z"),
            ("36h", "2026-02-28T00:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T09:30:00+08:00", "2026-01-31T01:30:00Z"),
        ] {
            let expected: DateTime<Utc> = expected.parse().unwrap();
            assert_eq!(moment(text).unwrap().seen_from(now), Some(expected), "{text}");
        }
        for bad in ["", "90", "d", "-1d", "90 y", "2026-02-30", "99999999999999999999d", "9999999999999999d"]
        {
            assert!(moment(bad).is_err(), "{bad}");
        }
        assert_eq!(moment("99999999999d").unwrap().seen_from(now), None);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 10_000_000].map(grouped), ["0", "999", "1,000", "10,000,000"]);
    }
}
