//! The two sources of what cannot be repeated: time and ids. Both are passed in by the composition root, so that a
//! test can fix them; nothing else in the system reads the wall clock or draws random numbers.
//!
//! `std::time::Instant` is free to use: deadlines and durations are not data.

use chrono::{DateTime, Datelike, SubsecRound, Timelike, Utc};
use uuid::Uuid;

/// The wall clock.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> DateTime<Utc>;
}

/// Where record, event and invocation ids come from.
pub trait IdGenerator: Send + Sync {
    /// A new UUIDv7 for the given time. Never returns the same id twice.
    fn new_id(&self, now: DateTime<Utc>) -> Uuid;
}

/// Cuts a time to the microsecond, the precision in which every backend keeps it.
#[must_use]
pub fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}

/// Whether a time can be kept and written: years 0001 to 9999.
#[must_use]
pub fn in_range(time: DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

/// Appends a time as RFC 3339 in UTC with six decimals: `2026-01-31T09:30:00.000000Z`. Written by hand because it
/// stands twice in every record, and chrono's formatter takes longer than the rest of the record.
pub fn write_rfc3339(time: DateTime<Utc>, out: &mut Vec<u8>) {
    let time = time.naive_utc();
    digits::<4>(time.year().unsigned_abs(), out);
    out.push(b'-');
    digits::<2>(time.month(), out);
    out.push(b'-');
    digits::<2>(time.day(), out);
    out.push(b'T');
    digits::<2>(time.hour(), out);
    out.push(b':');
    digits::<2>(time.minute(), out);
    out.push(b':');
    digits::<2>(time.second(), out);
    out.push(b'.');
    // A leap second's fraction runs on past one million; it is shown as the last microsecond of its second.
    digits::<6>((time.nanosecond() / 1000).min(999_999), out);
    out.push(b'Z');
}

/// Appends a date as `2026-01-31`.
pub fn write_date(date: chrono::NaiveDate, out: &mut Vec<u8>) {
    digits::<4>(date.year().unsigned_abs(), out);
    out.push(b'-');
    digits::<2>(date.month(), out);
    out.push(b'-');
    digits::<2>(date.day(), out);
}

fn digits<const N: usize>(mut number: u32, out: &mut Vec<u8>) {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_chrono_writes_them() {
        for text in
            ["2026-01-31T09:30:00.000000Z", "0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999999Z"]
        {
            let time: DateTime<Utc> = text.parse().unwrap();
            let mut out = Vec::new();
            write_rfc3339(time, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        let mut out = Vec::new();
        write_date("1996-07-04".parse().unwrap(), &mut out);
        assert_eq!(out, b"1996-07-04");
    }
}
