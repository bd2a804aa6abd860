//! The hash of a table: SHA-256 over its rows in the order of their keys.
//!
//! A row is the number of its values (8 bytes, big-endian) and each value; a value is a byte for its type and the rest
//! in a form that is no backend's. Texts and bytes have their length before them, so that no two tables of different
//! values read the same.

use chrono::{DateTime, Datelike, Utc};
use erp_plugin_model::Value;
use sha2::{Digest as _, Sha256};

use super::Summary;

/// A table's hash in the making.
#[derive(Default)]
pub(super) struct Digest {
    hash: Sha256,
    rows: u64,
}

impl Digest {
    /// Takes a row.
    pub(super) fn row(&mut self, row: &[Value]) {
        self.start_row(row.len());
        for value in row {
            self.value(value);
        }
    }

    /// Begins a row of so many values.
    pub(super) fn start_row(&mut self, values: usize) {
        self.rows += 1;
        self.hash.update((values as u64).to_be_bytes());
    }

    pub(super) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.hash.update([0]),
            Value::Text(text) => self.text(1, text.as_bytes()),
            Value::Integer(number) => self.number(2, *number),
            Value::Decimal(number) => self.number(3, *number),
            Value::Boolean(truth) => self.hash.update([4, u8::from(*truth)]),
            Value::Date(date) => self.number(5, i64::from(date.num_days_from_ce())),
            Value::DateTime(time) => self.time(*time),
            Value::Uuid(id) => {
                self.hash.update([7]);
                self.hash.update(id.as_bytes());
            }
            Value::Json(text) => self.text(8, text.as_bytes()),
            Value::Number(number) => {
                self.hash.update([9]);
                self.hash.update(number.to_bits().to_be_bytes());
            }
        }
    }

    pub(super) fn str(&mut self, text: &str) {
        self.text(1, text.as_bytes());
    }

    pub(super) fn time(&mut self, time: DateTime<Utc>) {
        self.number(6, time.timestamp_micros());
    }

    pub(super) fn bytes(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.text(10, bytes),
            None => self.hash.update([0]),
        }
    }

    pub(super) fn finish(self) -> Summary {
        Summary { rows: self.rows, hash: self.hash.finalize().into() }
    }

    fn text(&mut self, tag: u8, bytes: &[u8]) {
        self.hash.update([tag]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    fn number(&mut self, tag: u8, number: i64) {
        self.hash.update([tag]);
        self.hash.update(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&[Value]]) -> Summary {
        let mut digest = Digest::default();
        for row in rows {
            digest.row(row);
        }
        digest.finish()
    }

    #[test]
    fn tables_that_differ_in_anything_have_different_hashes() {
        let text = |text: &str| Value::Text(text.to_owned());
        let tables: [&[&[Value]]; 10] = [
            &[],
            &[&[]],
            &[&[Value::Null]],
            &[&[text("")]],
            &[&[text("a"), text("bc")]],
            &[&[text("ab"), text("c")]],
            &[&[text("a")], &[text("bc")]],
            &[&[text("bc")], &[text("a")]],
            &[&[Value::Json("a".to_owned())]],
            &[&[Value::Integer(1)], &[Value::Decimal(1)]],
        ];
        for (index, one) in tables.iter().enumerate() {
            assert_eq!(of(one), of(one));
            for other in tables.iter().skip(index + 1) {
                assert_ne!(of(one).hash, of(other).hash, "{one:?} {other:?}");
            }
        }
    }
}
