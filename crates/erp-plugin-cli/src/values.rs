//! Sizes and durations as people write them.

use std::time::Duration;

const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
const DURATIONS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];

/// Reads `64MiB`, `512 KiB` or a number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    amount(text, &SIZES, 1).ok_or_else(|| "write it as 64MiB, 512KiB or a number of bytes".to_owned())
}

/// Reads `500ms`, `2s` or `1m`, at least a millisecond.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    amount(text, &DURATIONS, 1)
        .filter(|_| !text.trim().ends_with(|last: char| last.is_ascii_digit()))
        .map(Duration::from_millis)
        .ok_or_else(|| "write it as 500ms, 2s or 1m".to_owned())
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
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_mins(1)));
        for bad in ["", "2", "2h", "0s", "s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 10_000_000].map(grouped), ["0", "999", "1,000", "10,000,000"]);
    }
}
