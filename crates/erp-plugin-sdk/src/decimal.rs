//! Decimal numbers, exactly: for money, never `f64`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A decimal number with exactly `SCALE` digits after the point, as a `decimal` field of that scale holds it:
/// `Decimal<2>` for an amount in most currencies. On the wire it is a string with exactly those digits.
///
/// It is an integer that counts units of the last digit, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const SCALE: u32>(i64);

impl<const SCALE: u32> Decimal<SCALE> {
    const UNITS_PER_ONE: u64 = 10_u64.pow(SCALE);

    /// From units of the last digit: `Decimal::<2>::from_units(1999)` is 19.99.
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// In units of the last digit.
    pub const fn units(self) -> i64 {
        self.0
    }

    /// The sum, or `None` if it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` if it does not fit.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product with a whole number, such as a price with a quantity, or `None` if it does not fit.
    pub fn checked_mul(self, factor: i64) -> Option<Self> {
        self.0.checked_mul(factor).map(Self)
    }
}

impl<const SCALE: u32> fmt::Display for Decimal<SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (whole, rest) = (units / Self::UNITS_PER_ONE, units % Self::UNITS_PER_ONE);
        match SCALE {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{rest:0width$}", width = SCALE as usize),
        }
    }
}

/// Why a text is no [`Decimal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDecimalError {
    text: String,
    scale: u32,
}

impl fmt::Display for ParseDecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, scale } = self;
        write!(
            f,
            "`{text}` is no decimal number with at most {scale} digits after the point, or is too large"
        )
    }
}

impl std::error::Error for ParseDecimalError {}

impl<const SCALE: u32> FromStr for Decimal<SCALE> {
    type Err = ParseDecimalError;

    /// Reads `12`, `12.5` or `-0.05`: no exponent, no plus, no more digits than `SCALE`, nothing rounded.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        parse_units(text, SCALE)
            .map(Self)
            .ok_or_else(|| ParseDecimalError { text: text.to_owned(), scale: SCALE })
    }
}

fn parse_units(text: &str, scale: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let missing_digits = scale.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    if whole.is_empty() {
        return None;
    }
    // Downwards from zero, because the smallest i64 has no positive counterpart.
    let mut units = 0_i64;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        units = units.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    let units = units.checked_mul(10_i64.checked_pow(missing_digits)?)?;
    if negative { Some(units) } else { units.checked_neg() }
}

impl<const SCALE: u32> Serialize for Decimal<SCALE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const SCALE: u32> Deserialize<'de> for Decimal<SCALE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_exactly_its_digits() {
        for (units, text) in [(1800, "18.00"), (5, "0.05"), (-5, "-0.05"), (-1999, "-19.99"), (0, "0.00")] {
            assert_eq!(Decimal::<2>::from_units(units).to_string(), text);
            assert_eq!(text.parse(), Ok(Decimal::<2>::from_units(units)));
        }
        assert_eq!(Decimal::<0>::from_units(-7).to_string(), "-7");
    }

    #[test]
    fn fewer_digits_are_filled_up() {
        assert_eq!("12".parse(), Ok(Decimal::<2>::from_units(1200)));
        assert_eq!("12.5".parse(), Ok(Decimal::<2>::from_units(1250)));
    }

    #[test]
    fn the_extremes_survive() {
        for units in [i64::MIN, i64::MAX] {
            let decimal = Decimal::<2>::from_units(units);
            assert_eq!(decimal.to_string().parse(), Ok(decimal));
        }
    }

    #[test]
    fn nothing_is_rounded_or_guessed() {
        for text in
            ["", "-", ".", ".5", "5.", "1.005", "1e2", "+1", "1,50", " 1", "99999999999999999999", "1.-5"]
        {
            assert!(text.parse::<Decimal<2>>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sums_and_products_are_exact_or_absent() {
        let price: Decimal<2> = "0.10".parse().unwrap();
        assert_eq!(price.checked_mul(3).unwrap().to_string(), "0.30");
        assert_eq!(price.checked_add("0.20".parse().unwrap()).unwrap().to_string(), "0.30");
        assert_eq!(Decimal::<2>::from_units(i64::MAX).checked_add(price), None);
    }

    #[test]
    fn on_the_wire_it_is_a_string() {
        let price: Decimal<2> = serde_json::from_str(r#""9.80""#).unwrap();
        assert_eq!(serde_json::to_string(&price).unwrap(), r#""9.80""#);
        assert!(serde_json::from_str::<Decimal<2>>("9.80").is_err());
    }
}
